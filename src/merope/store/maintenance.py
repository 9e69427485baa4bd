"""`one backup`, `one restore`, `one fsck`: keeping a cloud's database safe."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from merope.store.errors import StoreError

#: Exit status of what could not be done at all; 1 is for fsck to say that it found something.
FAILED = 2
#: By name: what is right in a database is the core's knowledge, which stands above the store.
_FSCK = "merope.daemon.fsck:run"
#: And what a configuration says, the daemon's.
_LOCATED = "merope.daemon.database:located"


def main(argv: Sequence[str]) -> int:
    """`argv` begins with the name of the command. Returns the exit status."""
    try:
        return _main(argv)
    except StoreError as error:
        print(f"one {argv[0]}: {error}", file=sys.stderr)
        return FAILED


def _main(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    home = Path(args.home).absolute()
    location = _named(_LOCATED)(home)
    if args.command == "fsck":
        return int(_named(_FSCK)(home, args.repair, args.json, location))
    from merope.store import backup
    from merope.store.progress import Shown

    if args.command == "backup":
        target = Path(args.file).absolute()
        shown = Shown("saving")
        try:
            backup.backup(home, target, shown, location)
        finally:
            shown.end()
        print(f"The cloud in {home} is saved in {target}, with its secrets: keep it as you keep a password.")
        return 0
    shown = Shown("restoring")
    try:
        kept = backup.restore(home, Path(args.file).absolute(), shown, location)
    finally:
        shown.end()
    old = f" The old database is kept in {kept}." if kept else ""
    print(f"{args.file} is restored in {home}.{old}")
    return 0


def _named(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="one")
    chosen = parser.add_subparsers(dest="command", required=True)
    saved = chosen.add_parser(
        "backup",
        help="save the database and the secrets",
        description="Save the database and the secrets (.one/) in a new file, also while the cloud runs. "
        "Datastores are not in it.",
    )
    put_back = chosen.add_parser(
        "restore",
        help="put a backup back",
        description="Verify a backup and put it in the place of the database, which is kept beside it. "
        "The cloud must not run.",
    )
    for parsed in (saved, put_back):
        parsed.add_argument("file", metavar="FILE", help="the backup")
    checked = chosen.add_parser(
        "fsck",
        help="check the database, and repair it if asked to",
        description="Check the file, every document, and everything that can be counted anew. While the "
        "cloud runs, a copy is checked. Exit status: 0 nothing is wrong (any more), 1 something is, 2 it "
        "could not be checked.",
    )
    checked.add_argument(
        "--repair", action="store_true", help="put right what can be derived with certainty (cloud stopped)"
    )
    checked.add_argument("--json", "-j", action="store_true", help="as JSON")
    for parsed in (saved, put_back, checked):
        parsed.add_argument("--home", required=True, metavar="DIR", help="directory of the cloud")
    return parser
