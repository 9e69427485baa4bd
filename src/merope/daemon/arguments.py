"""The command line that every service understands: --home DIR, and what of oned.conf it overrides."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from merope.daemon.config import Config, load
from merope.daemon.layout import Layout
from merope.daemon.start import Wanted, command_line


@dataclass(frozen=True)
class Started:
    """What a service is started with: where its cloud lives and the configuration in force.

    Port and address of the API are `config.settings.port` and `.listen_address`, whether they came from
    the command line, the file or the defaults.
    """

    layout: Layout
    config: Config
    sandbox: bool
    config_file: Path | None = None
    oneflow_port: int = 0
    onegate_port: int = 0


def read(argv: Sequence[str]) -> Started:
    """Raises ConfigError, on which a service ends with BAD_CONFIGURATION (78)."""
    parser = argparse.ArgumentParser(description="A service of a Merope cloud; `one start` starts them all.")
    parser.add_argument("--home", required=True, metavar="DIR", help="directory of the cloud")
    parser.add_argument("--port", type=int, metavar="N", help="PORT of oned.conf")
    parser.add_argument("--listen", metavar="ADDRESS", help="LISTEN_ADDRESS of oned.conf")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="oned.conf to use (default: that in the home)"
    )
    parser.add_argument("--drivers", choices=("dummy",), help="dummy: simulated drivers")
    for name in ("--oneflow-port", "--onegate-port"):
        parser.add_argument(name, type=int, default=0, metavar="N", help="where that service listens")
    given = parser.parse_args(argv)
    layout = Layout.at(given.home)
    wanted = Wanted(given.port, given.listen, given.config, given.drivers)
    file = wanted.config or layout.config_file
    config = load(layout.home, file, command_line(wanted), wanted.sandbox)
    return Started(layout, config, wanted.sandbox, file, given.oneflow_port, given.onegate_port)
