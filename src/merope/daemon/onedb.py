"""`onedb`: the database of a cloud that does not run, looked at, checked, moved and mended by hand.

The table of commands is the only list of them; options are those that administrators of OpenNebula know.
"""

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from merope.daemon import onedb_bodies, onedb_purge, onedb_whole
from merope.daemon.database import located
from merope.daemon.layout import default_home
from merope.daemon.onedb_session import Session, moment
from merope.store.errors import StoreError
from merope.store.location import File, Location
from merope.store.server import Server

FAILED = 255
_PASSWORD = "ONEDB_PASSWORD"  # noqa: S105 - the name of a variable


class Option(NamedTuple):
    """`read` makes a value of the word; without one it is a flag."""

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    read: Callable[[str], object] = str


class Command(NamedTuple):
    """`does` answers the exit status. A `?` at the end of an argument's name: it may be left out."""

    name: str
    help: str
    does: Callable[[Session, argparse.Namespace], int]
    options: tuple[Option, ...] = ()
    arguments: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


_FORCE = Option(("-f", "--force"), "replace a file that exists, or a database that holds a cloud")
_BACKUP = Option(("-b", "--backup"), "file for the backup that is made first", "FILE", Path)
_FEDERATED = Option(("--federated",), "only the tables that zones of a federation share")
_DRY = Option(("--dry",), "write nothing; print what would be written")
_ID = Option(("-i", "--id"), "the object of this id", "ID", int)
_PERIOD = (
    Option(
        ("--start",),
        "from this time on: 2026-11-21, '2026-11-21 18:30' or seconds since 1970",
        "TIME",
        moment,
    ),
    Option(("--end",), "before this time", "TIME", moment),
)
CONNECTION = (
    Option(("-s", "--sqlite"), "an SQLite file", "FILE", Path),
    Option(("-t", "--type"), "kind of server: mysql (default) or postgresql", "KIND"),
    Option(("-S", "--server"), "host of the server, or the path of its socket (default: localhost)", "HOST"),
    Option(("-P", "--port"), "its port", "PORT", int),
    Option(("-u", "--username"), "user of the database", "USER"),
    Option(
        ("-p", "--password"),
        f"its password, which others see in the list of processes: better is ${_PASSWORD}, or to be asked",
        "PASSWORD",
    ),
    Option(("-d", "--dbname"), "name of the database (default: opennebula)", "NAME"),
    Option(("--encoding",), "accepted for old scripts: texts are always UTF-8", "CHARSET"),
    Option(
        ("--home",),
        "the cloud whose database is meant when none is given (its oned.conf counts)",
        "DIR",
        Path,
    ),
    Option(("--config",), "another oned.conf", "FILE", Path),
    Option(("-v", "--verbose"), "say more"),
)
OBJECTS = ", ".join(sorted(onedb_bodies.TABLES_OF))

COMMANDS = (
    Command(
        "version",
        "the version of the database. Exit status: 0 that of this release, 1 no cloud in it yet, 2 older, "
        "3 newer, 255 it cannot be read",
        onedb_whole.version,
        examples=("onedb version", "onedb version -v -s /var/lib/one/one.db"),
    ),
    Command("history", "the versions that the database has had", onedb_whole.history),
    Command(
        "upgrade",
        "take over a database that OpenNebula 5.12 wrote (`one start` does it as well); a copy is made first",
        onedb_whole.upgrade,
        (_FORCE, _BACKUP, Option(("--no-backup",), "make no copy first")),
        ("version?",),
        (
            "onedb upgrade -s /var/lib/one/one.db",
            "onedb upgrade -u oneadmin -d opennebula --backup /safe/before",
        ),
    ),
    Command(
        "fsck",
        "check everything that can be counted anew, and put right what is certain; a backup is made first",
        onedb_whole.fsck,
        (_FORCE, _BACKUP, Option(("--dry",), "only look; also while a core runs, then at a copy")),
        examples=("onedb fsck --dry", "onedb fsck --backup /safe/before-fsck"),
    ),
    Command(
        "backup",
        "write everything into a file (SQLite, whatever the database is); also while a core runs",
        onedb_whole.save,
        (_FORCE, _FEDERATED),
        ("file?",),
        ("onedb backup /safe/one-2026-11-21.bck", "onedb backup -u oneadmin -d opennebula"),
    ),
    Command(
        "restore",
        "put a backup into the database, whichever kind it was made of; what it held is kept in a file",
        onedb_whole.restore,
        (_FORCE, _FEDERATED),
        ("file",),
        ("onedb restore -f /safe/one-2026-11-21.bck",),
    ),
    Command(
        "purge-history",
        "remove all but the last two history records of VMs that are not done",
        onedb_purge.purge_history,
        (_ID, *_PERIOD),
        examples=("onedb purge-history --end 2026-01-01", "onedb purge-history --id 42"),
    ),
    Command(
        "purge-done",
        "remove VMs that are done, and their history: accounting forgets them",
        onedb_purge.purge_done,
        (*_PERIOD, Option(("--pages",), "accepted for old scripts", "N", int)),
        examples=("onedb purge-done --end 2025-12-31",),
    ),
    Command(
        "show-body",
        f"the document of an object: {OBJECTS}",
        onedb_bodies.show,
        (_ID,),
        ("object",),
        ("onedb show-body vm --id 42",),
    ),
    Command(
        "change-body",
        f"change what XPATH finds in the documents of objects: {OBJECTS}",
        onedb_bodies.change,
        (
            _ID,
            Option(("-x", "--xpath"), "only objects in which this is found", "XPATH"),
            Option(("-e", "--expr"), "only objects of which this is so: =, !=, <, >, <=, >=", "EXPR"),
            _DRY,
            Option(("--delete",), "remove what is found"),
            Option(("-a", "--append"), "add the element, in every element that its path leads to"),
        ),
        ("object", "xpath_of", "value?"),
        (
            "onedb change-body vm --expr UNAME=ann '/VM/TEMPLATE/NIC[NETWORK=\"old\"]/NETWORK' new",
            "onedb change-body vm --expr LCM_STATE=0 /VM/TEMPLATE/DISK/CACHE --delete",
            "onedb change-body vm --id 42 /VM/TEMPLATE/DISK/CACHE none --append",
        ),
    ),
    Command(
        "update-body",
        f"edit the document of an object in $EDITOR, or take it from a file: {OBJECTS}",
        onedb_bodies.update,
        (_ID, Option(("--file",), "the new document", "FILE", Path)),
        ("object",),
        ("onedb update-body vm --id 42", "onedb update-body vm --id 42 --file vm-42.xml"),
    ),
    Command(
        "sqlite2mysql",
        "copy an SQLite database (-s) into a server (-S -P -u -d; -t postgresql for PostgreSQL)",
        onedb_whole.sqlite_to_server,
        (_FORCE, _BACKUP),
        examples=("onedb sqlite2mysql -s /var/lib/one/one.db -u oneadmin -d opennebula",),
    ),
    Command(
        "patch",
        "run a patch: a Python file with a function patch(transaction, read); whole or not at all",
        onedb_whole.patch,
        (_BACKUP, Option(("--extra",), "words for the patch, separated by commas", "WORDS")),
        ("file",),
        ("onedb patch fix.py --backup /safe/before-patch",),
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 done, 1 something is wrong in the database, 255 it could not be done."""
    os.umask(0o077)
    args = _parser().parse_args(argv)
    try:
        session = Session(_location(args), _home(args), args.verbose, _server(args))
        return int(args.does(session, args))
    except StoreError as error:
        print(f"onedb: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onedb",
        description="Look after the database of a cloud. What changes it is refused while a core runs on it.",
        epilog="Without -s or -u it is the database of the cloud in --home. onedb COMMAND --help says more.",
    )
    chosen = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        examples = "\n".join(f"  {line}" for line in command.examples)
        sub = chosen.add_parser(
            command.name,
            help=command.help,
            description=command.help[:1].upper() + command.help[1:] + ".",
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(does=command.does)
        for argument in command.arguments:
            name = argument.rstrip("?")
            # `--xpath` is another one.
            shown = name.removesuffix("_of").upper()
            sub.add_argument(name, metavar=shown, nargs="?" if argument.endswith("?") else None)
        for option in command.options:
            _add(sub, option)
        group = sub.add_argument_group("the database")
        for option in CONNECTION:
            _add(group, option)
    return parser


def _add(parser: argparse._ActionsContainer, option: Option) -> None:
    if option.metavar:
        parser.add_argument(*option.names, metavar=option.metavar, type=option.read, help=option.help)
    else:
        parser.add_argument(*option.names, action="store_true", help=option.help)


def _home(args: argparse.Namespace) -> Path:
    home: Path = args.home or default_home()
    return home.absolute()


def _location(args: argparse.Namespace) -> Location:
    if args.sqlite is not None:
        return File(args.sqlite.absolute())
    return _server(args) or located(_home(args), args.config)


def _server(args: argparse.Namespace) -> Server | None:
    """The server that the options name, if any."""
    kinds = {None: "mysql", "mysql": "mysql", "postgresql": "postgresql"}
    if args.type == "sqlite" or not (args.type or args.username or args.server or args.dbname):
        return None
    if args.type not in kinds:
        raise StoreError(f"There are no databases of type {args.type!r}: sqlite, mysql, postgresql.")
    return Server(
        kinds[args.type],
        args.server or "localhost",
        args.port or 0,
        args.username or "oneadmin",
        _password(args),
        args.dbname or "opennebula",
    )


def _password(args: argparse.Namespace) -> str:
    if args.password is not None:
        return str(args.password)
    if _PASSWORD in os.environ:
        return os.environ[_PASSWORD]
    if not sys.stdin.isatty():
        raise StoreError(f"A password is needed: set ${_PASSWORD}.")
    return getpass.getpass("Password of the database: ")


if __name__ == "__main__":
    sys.exit(main())
