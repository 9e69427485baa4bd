"""OneGate's process: `python -m merope.daemon.onegate --home DIR …`, started by the supervisor."""

import logging
import sys
from dataclasses import replace

import uvloop

from merope.daemon import beside
from merope.daemon.arguments import Started
from merope.daemon.service import Options
from merope.gate.server import GateServer
from merope.gate.settings import GateSettings, load

log = logging.getLogger("merope.gate")


def main(argv: list[str] | None = None) -> int:
    return beside.run(argv, log, configured, _serve)


def _serve(started: Started, settings: GateSettings) -> None:
    uvloop.run(GateServer(settings, beside.login(started.layout, "onegate")).run())


def configured(started: Started) -> GateSettings:
    """What the file says; the cloud's own ports where it says nothing. Raises OptionsError."""
    layout, core = started.layout, started.config.settings
    options = Options(str(layout.home), core.port, core.listen_address)
    flow = {"oneflow_server": f"http://localhost:{started.oneflow_port}"} if started.oneflow_port else {}
    given = load(beside.config_file("onegate", layout))
    settings = replace(GateSettings(), **{"one_xmlrpc": options.endpoint, **flow, **given})
    return replace(settings, port=started.onegate_port or settings.port)


if __name__ == "__main__":
    sys.exit(main())
