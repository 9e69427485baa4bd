"""ft/host_error: what a hook runs when a host is in ERROR. It orders the recovery, which is the core's.

    host_error.rb DOCUMENT|ID (-m | -r | -d) [-f] [-p N] [-u]

DOCUMENT is the host as hooks get it ($TEMPLATE, base64). Options are those of OpenNebula 5.12 (000 §2.3.1).
It ends at once: waiting for the host, switching it off and moving its VMs go on in the core. Run twice, it
orders once. Without arguments it reads them from standard input (ARGUMENTS_STDIN).
"""

import argparse
import base64
import binascii
import sys
from collections.abc import Sequence

from merope.client import Client, ClientError, find_cloud, parse_document, whole

#: Monitoring cycles that are waited where no -p says how many.
CYCLES = 2
_MIGRATE, _RECREATE, _DELETE = "migrate", "recreate", "delete"
_IN_ERROR = "3"
_RETURNED = "RETURNED"
_LONGEST = 1_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """0: ordered, or nothing to be done; 1: refused; 2: wrong arguments."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words and not sys.stdin.isatty():
        words = sys.stdin.read().split()
    args = _parser().parse_args(words)
    try:
        with _client() as client:
            return _order(client, args)
    except ClientError as error:
        print(f"The recovery of host {args.host} could not be ordered: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="host_error", description="Recovers the VMs of a host in ERROR.")
    parser.add_argument("host", type=_host_id, help="the host's document in base64, or its id")
    action = parser.add_mutually_exclusive_group(required=True)
    for letter, name, text in (
        ("-m", _MIGRATE, "move its VMs to other hosts; their disks must be on shared storage"),
        ("-r", _RECREATE, "delete its VMs and make them anew: what they wrote is lost"),
        ("-d", _DELETE, "delete its VMs"),
    ):
        action.add_argument(letter, f"--{name}", action="store_const", const=name, dest="action", help=text)
    parser.add_argument("-f", "--force", action="store_true", help="also those suspended or powered off")
    parser.add_argument(
        "-p",
        "--pause",
        type=_cycles,
        default=CYCLES,
        metavar="N",
        help=f"monitoring cycles to wait for the host to come back ({CYCLES})",
    )
    parser.add_argument(
        "-u", "--no-fencing", action="store_true", help="it is off for sure: don't switch it off"
    )
    return parser


def _host_id(word: str) -> int:
    """Raises argparse's error for what is neither a host's document nor its id."""
    if word.isascii() and word.isdecimal():
        return int(word)
    try:
        document = parse_document(base64.b64decode(word, validate=True).decode())
    except (binascii.Error, UnicodeDecodeError, ClientError):
        raise argparse.ArgumentTypeError(
            "expected the host's document in base64 ($TEMPLATE) or its id"
        ) from None
    oid = whole(document, "ID")
    if document.tag != "HOST" or oid < 0:
        raise argparse.ArgumentTypeError(f"expected the document of a host, not of a {document.tag}")
    return oid


def _cycles(word: str) -> int:
    if not (word.isascii() and word.isdecimal()) or int(word) > _LONGEST:
        raise argparse.ArgumentTypeError(f"expected a number of cycles, not {word!r}")
    return int(word)


def _client() -> Client:
    cloud = find_cloud()
    return Client(cloud.endpoint, cloud.auth)


def _order(client: Client, args: argparse.Namespace) -> int:
    host = client.info("host", args.host)
    name = host.findtext("NAME", "")
    if host.findtext("STATE") != _IN_ERROR or host.findtext("TEMPLATE/FAILURE/STAGE") == _RETURNED:
        print(f"Host {name} ({args.host}) is not in ERROR any more: nothing is to be done.")
        return 0
    client.call("one.host.recover", args.host, args.action, args.force, args.pause, not args.no_fencing)
    print(
        f"Ordered for host {name} ({args.host}): {args.action}, after {args.pause} cycles. "
        f"How far it is: onehost show {args.host}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
