"""The bed as a command; see the package."""

import argparse
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path

from tests.testbed.bed import DEFAULT, Bed
from tests.testbed.host import BedError

from merope.drivers.errors import DriverError


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="testbed", description="Hosts on one machine.")
    parser.add_argument("--directory", type=Path, default=DEFAULT, help=f"of the bed (default: {DEFAULT})")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="make the bed, or power on what is off")
    up.add_argument("--size", type=int, default=3, help="how many hosts (default: 3)")
    up.add_argument("--network", type=IPv4Network, help="range of the bed (default: a free one)")
    verbs.add_parser("down", help="remove all of it")
    verbs.add_parser("status", help="what is on")
    power = verbs.add_parser("power", help="what a BMC does")
    power.add_argument("host")
    power.add_argument("what", choices=("on", "off", "cycle", "status"))
    link = verbs.add_parser("link", help="the wire of a host")
    link.add_argument("host")
    link.add_argument("what", choices=("up", "down"))
    arguments = parser.parse_args(words)
    try:
        _carry_out(arguments)
    except (BedError, DriverError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    return 0


def _carry_out(arguments: argparse.Namespace) -> None:
    directory = arguments.directory.absolute()
    if arguments.verb == "up":
        began = time.monotonic()
        bed = Bed.up(directory, arguments.size, arguments.network)
        _tell(bed)
        print(f"up after {time.monotonic() - began:.1f} s")
    elif arguments.verb == "down":
        if (directory / "bed.json").exists():
            Bed.at(directory).down()
            print(f"removed the bed at {directory}")
        else:
            print(f"there is no bed at {directory}")
    elif arguments.verb == "status":
        _tell(Bed.at(directory))
    elif arguments.verb == "link":
        host = Bed.at(directory).host(arguments.host)
        host.link_up() if arguments.what == "up" else host.link_down()
    else:
        _power(Bed.at(directory), arguments.host, arguments.what)


def _power(bed: Bed, name: str, what: str) -> None:
    host = bed.host(name)
    if what in ("off", "cycle"):
        host.power_off()
    if what in ("on", "cycle"):
        host.power_on()
        host.wait()
    print("on" if host.is_on else "off")


def _tell(bed: Bed) -> None:
    print(f"bed {bed.directory}, network {bed.network}, shared storage {bed.shared}")
    for host in bed.hosts:
        print(f"  {host.name:8} {host.address:16} {'on' if host.is_on else 'off'}")


if __name__ == "__main__":
    sys.exit(main())
