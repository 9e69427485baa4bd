"""The services beside the core: where they listen, what they log in with, and how their processes begin."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

from merope.daemon.arguments import Started, read
from merope.daemon.config import ConfigError
from merope.daemon.layout import Layout
from merope.daemon.process import port_holder
from merope.daemon.service import BAD_CONFIGURATION, Service
from merope.model.yaml_options import OptionsError
from merope.services.web import LEVELS

UNABLE = -1
DEFAULTS = {"oneflow": 2474, "onegate": 5030}
#: ONE_SERVICES names the services that `one start` starts; without it, all.
ENVIRONMENT = "ONE_SERVICES"
_LIBRARIES = ("aiohttp", "jsonschema", "cronsim", "zmq", "yaml", "cryptography")
#: Seconds for which a core may be making the credentials of its services.
_PATIENCE = 60.0
_LOG_FORMAT = "%(asctime)s [%(levelname).1s] %(name)s: %(message)s"


class _Settings(Protocol):
    @property
    def debug_level(self) -> int: ...


S = TypeVar("S", bound=_Settings)


def run(
    argv: Sequence[str] | None,
    log: logging.Logger,
    configured: Callable[[Started], S],
    serve: Callable[[Started, S], None],
) -> int:
    """The exit status of a service's process: the same log, and the same words for what is wrong, for each.

    `configured` raises ConfigError or OptionsError, `serve` OSError.
    """
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
        serve(started, settings)
    except OSError as error:
        log.error("%s", error)
        return 1
    return 0


def port(service: Service, layout: Layout, wanted: int | None) -> int:
    """The port to start it at: 0 where it is not wanted, UNABLE where it cannot be, which is said."""
    if wanted == 0 or service.name not in os.environ.get(ENVIRONMENT, service.name).split(","):
        return 0
    if missing := [name for name in _LIBRARIES if find_spec(name) is None]:
        _say(f"{service.name} is not started: {', '.join(missing)} is missing (install merope[flow]).")
        return UNABLE
    host, stated = _stated(config_file(service.name, layout))
    number = wanted or stated or DEFAULTS[service.name]
    if holder := port_holder(host, number):
        _say(
            f"{service.name} is not started: port {number} at {host} is taken by {holder}. "
            f"Give --{service.name}-port."
        )
        return UNABLE
    return number


def _say(sentence: str) -> None:
    print(f"one: {sentence}", file=sys.stderr)


def config_file(service: str, layout: Layout) -> Path:
    """oneflow-server.conf or onegate-server.conf: in the home, else in etc/ of ONE_LOCATION."""
    name = f"{service}-server.conf"
    location = os.environ.get("ONE_LOCATION")
    places = [layout.home / name, *([Path(location) / "etc" / name] if location else [])]
    return next((path for path in places if path.exists()), places[0])


def _stated(path: Path) -> tuple[str, int]:
    """Host and port of a file; the service itself says what is wrong with one."""
    found = {":host": "127.0.0.1", ":port": "0"}
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            key, _, value = line.partition(": ")
            if key in found:
                found[key] = value.split("#")[0].strip().strip("'\"")
    return found[":host"], int(found[":port"]) if found[":port"].isdecimal() else 0


def login(layout: Layout, service: str) -> str:
    """What it logs in with; a core that starts for the first time is waited for. Raises FileNotFoundError."""
    path = layout.auth_file.with_name(f"{service}_auth")
    deadline = time.monotonic() + _PATIENCE
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text().strip()


def given(values: Mapping[str, Any], settings: type[Any]) -> dict[str, Any]:
    """Those of the options of a file that are fields of its settings."""
    known = settings.__dataclass_fields__
    return {name: value for name, value in values.items() if name in known}
