"""OneGate's process: `python -m merope.daemon.onegate --home DIR …`, started by the supervisor."""

import logging
import os
import sys
from dataclasses import replace

import uvloop

from merope.daemon import beside
from merope.daemon.arguments import Started, read
from merope.daemon.config import ConfigError
from merope.daemon.service import BAD_CONFIGURATION, Options
from merope.gate.server import GateServer
from merope.gate.settings import GateSettings, load
from merope.model.yaml_options import OptionsError
from merope.services.web import LEVELS

log = logging.getLogger("merope.gate")
_LOG_FORMAT = "%(asctime)s [%(levelname).1s] %(name)s: %(message)s"


def main(argv: list[str] | None = None) -> int:
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT, stream=sys.stderr)
    try:
        started = read(sys.argv[1:] if argv is None else argv)
        settings = configured(started)
    except (ConfigError, OptionsError) as error:
        log.error("%s", error)
        return BAD_CONFIGURATION
    logging.getLogger().setLevel(LEVELS[settings.debug_level])
    try:
        uvloop.run(_serve(settings, beside.login(started.layout, "onegate")))
    except OSError as error:
        log.error("%s", error)
        return 1
    return 0


async def _serve(settings: GateSettings, login: str) -> None:
    await GateServer(settings, login).run()


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
