"""The core's process: puts the rooms together, serves until it is told to stop.

`python -m merope.daemon.core --home DIR [--port N] [--listen ADDR] [--config FILE] [--drivers dummy]`,
started by the supervisor. Logs go to standard error; a wrong configuration ends it with status 78.
"""

import asyncio
import gc
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import uvloop

from merope.api.login import hash_password
from merope.api.server import DoorError
from merope.core import commands
from merope.core.bootstrap import bootstrap
from merope.core.results import handled
from merope.core.transaction import Transaction
from merope.daemon import authentication
from merope.daemon.adoption import adopt
from merope.daemon.arguments import Started, read
from merope.daemon.authentication import Authentication, Enabled
from merope.daemon.config import ConfigError
from merope.daemon.hook_programs import install
from merope.daemon.layout import UnsafeError, write_private
from merope.daemon.running import Running, hook_base
from merope.daemon.service import BAD_CONFIGURATION
from merope.drivers.auth.base import Places as AuthPlaces
from merope.drivers.errors import DriverError
from merope.engine import plans
from merope.engine.cloud import Cloud, Inputs
from merope.model import passwords
from merope.model.state import State
from merope.store.errors import StoreError
from merope.store.location import location_of, open_store

log = logging.getLogger("merope.core")

#: Collections are for what commands leave behind in cycles, which is little: rarer than Python's default.
_GC_THRESHOLD = (50_000, 20, 100)
_SERVICES = ("sunstone", "onegate", "oneflow", "ec2", "occi")
_LOG_FORMAT = "%(asctime)s [%(levelname).1s] %(name)s: %(message)s"
_LEVELS = {0: logging.ERROR, 1: logging.WARNING, 2: logging.INFO}


def main(argv: list[str] | None = None) -> int:
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT, stream=sys.stderr)
    try:
        started = read(sys.argv[1:] if argv is None else argv)
        auth, places = _auth_drivers(started)
    except ConfigError as error:
        log.error("%s", error)
        return BAD_CONFIGURATION
    logging.getLogger().setLevel(_LEVELS.get(started.config.settings.log_debug_level, logging.INFO))
    try:
        return uvloop.run(Core(started, auth, places).serve())
    except (StoreError, DoorError, UnsafeError) as error:
        log.error("%s", error)
        return 1


def _auth_drivers(started: Started) -> tuple[dict[str, Enabled], AuthPlaces]:
    """Raises ConfigError for drivers that cannot be had, and for what is wrong with their files."""
    where = authentication.places(started.layout.home, started.config_file)
    try:
        return authentication.drivers(started.config.settings, where), where
    except DriverError as error:
        raise ConfigError(str(error).splitlines()) from error


def check_operations() -> None:
    """An operation of a command has a plan, and one with a plan has somebody who takes its result."""
    odd = sorted(set(plans.PLANS) ^ handled())
    if odd:
        raise RuntimeError(f"operations with a plan or a handler of results, not both: {', '.join(odd)}")


class Core:
    """Everything that runs in the core's process."""

    def __init__(self, started: Started, auth: Mapping[str, Enabled], places: AuthPlaces) -> None:
        self._started = started
        self._auth = auth
        self._auth_places = places
        self._settings = started.config.settings
        self._layout = started.layout
        self._writer = ThreadPoolExecutor(1, "store")

    async def serve(self) -> int:
        """The exit status: 1 where another core has taken the database."""
        location = location_of(self._settings, self._layout.database)
        for sentence in adopt(self._layout.home, location):
            log.warning("%s", sentence)
        store = open_store(location)
        for warning in store.warnings:
            log.warning("%s: %s", store.where, warning)
        state = State()
        store.load(state)
        cloud = Cloud(
            state,
            store,
            self._settings,
            now=lambda: int(time.time()),
            random=os.urandom,
            executor=self._writer,
        )
        await self._prepare(cloud)
        for sentence in install(hook_base(self._started)):
            log.warning("%s", sentence)
        check_operations()
        # What was loaded stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLD)
        asked = _asked_to_stop(asyncio.get_running_loop())
        logins = Authentication(cloud, self._settings, self._auth, self._auth_places)
        running = Running(self._started, cloud, store, self._writer, logins, asked.set)
        await running.start()
        log.info("serving at %s:%d", self._settings.listen_address, self._settings.port)
        await asked.wait()
        log.info("stopping")
        await running.stop()
        self._writer.shutdown()
        store.close()
        return 1 if cloud.superseded else 0

    async def _prepare(self, cloud: Cloud) -> None:
        """A new database gets the objects of a fresh cloud."""
        if cloud.state.pools["user_pool"].entries:
            return
        password = self._layout.login().partition(":")[2]
        secret = secrets.token_hex(16)
        stored = hash_password(password, self._settings.password_kdf_cost)

        def command(tx: Transaction) -> int:
            bootstrap(
                tx,
                stored,
                sandbox=self._started.sandbox,
                serveradmin_secret=passwords.sha256_hex(secret),
                endpoint=f"http://localhost:{self._settings.port}/RPC2",
            )
            return 0

        _, index = cloud.execute(command, Inputs(internal=True))
        for service in _SERVICES:
            write_private(self._layout.auth_file.with_name(f"{service}_auth"), f"serveradmin:{secret}\n")
        await cloud.durable(index)


def _asked_to_stop(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


__all__ = ["commands", "main"]

if __name__ == "__main__":
    sys.exit(main())
