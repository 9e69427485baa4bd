"""OneFlow's process: `python -m merope.daemon.oneflow --home DIR …`, started by the supervisor.

One at a time acts for a cloud: who comes second waits for the lock in the home.
"""

import fcntl
import logging
import sys
from dataclasses import replace

import uvloop

from merope.daemon import beside
from merope.daemon.arguments import Started
from merope.daemon.layout import write_private
from merope.daemon.local_time import local_zone
from merope.daemon.service import Options
from merope.flow.server import FlowServer
from merope.flow.settings import OPTIONS, FlowSettings
from merope.model.bus_address import address_of
from merope.services.settings import plain

log = logging.getLogger("merope.flow")


def main(argv: list[str] | None = None) -> int:
    return beside.run(argv, log, configured, _serve)


def _serve(started: Started, settings: FlowSettings) -> None:
    with open(started.layout.run / "oneflow.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        endpoint = started.layout.flow_endpoint
        write_private(endpoint, url_of(settings) + "\n")
        try:
            server = FlowServer(settings, beside.login(started.layout, "oneflow"), local_zone())
            uvloop.run(server.run())
        finally:
            endpoint.unlink(missing_ok=True)


def url_of(settings: FlowSettings) -> str:
    """Where commands on this machine find it."""
    options = Options("", settings.port, settings.host)
    return f"http{'s' if settings.ssl_cert else ''}://{options.host}:{settings.port}"


def configured(started: Started) -> FlowSettings:
    """What the file says; the cloud's own ports where it says nothing. Raises OptionsError."""
    layout, core = started.layout, started.config.settings
    options = Options(str(layout.home), core.port, core.listen_address)
    bus = address_of(core.hm_mad)
    own = f"ipc://{layout.events}" if layout.events else bus.endpoint if bus else ""
    found = plain(beside.config_file("oneflow", layout), OPTIONS)
    settings = replace(
        FlowSettings(),
        **{
            "one_xmlrpc": options.endpoint,
            **({"subscriber_endpoint": own} if own else {}),
            **beside.given(found, FlowSettings),
        },
    )
    return replace(settings, port=started.oneflow_port or settings.port)


if __name__ == "__main__":
    sys.exit(main())
