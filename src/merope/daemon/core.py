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
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from merope.api.call_log import CallLog
from merope.api.dispatch import Dispatcher
from merope.api.login import hash_password
from merope.api.metrics import Registry
from merope.api.server import Door, DoorError
from merope.api.settings import DoorSettings
from merope.core import commands, image_progress
from merope.core.bootstrap import bootstrap
from merope.core.results import handled
from merope.core.transaction import Transaction
from merope.daemon import authentication
from merope.daemon.addresses import AddressManagers
from merope.daemon.adoption import adopt
from merope.daemon.arguments import Started, read
from merope.daemon.authentication import Authentication, Enabled
from merope.daemon.config import ConfigError
from merope.daemon.layout import UnsafeError, write_private
from merope.daemon.local_time import local_zone
from merope.daemon.preparations import Preparations
from merope.daemon.scheduling import Scheduling
from merope.daemon.service import BAD_CONFIGURATION
from merope.daemon.timetable import Timetable
from merope.drivers.auth.base import Places as AuthPlaces
from merope.drivers.errors import DriverError
from merope.drivers.simulated.world import World
from merope.engine import plans
from merope.engine.cloud import Cloud, Inputs, NotDurable
from merope.engine.engine import Engine
from merope.engine.inline import InlineExecutor
from merope.engine.job import Job
from merope.engine.places import Layout as Places
from merope.engine.polling import Poller
from merope.engine.recorder import Recorder
from merope.engine.recovery import Recovery
from merope.engine.toolbox import SimulatedDrivers
from merope.engine.workers import WorkerPool
from merope.model import passwords
from merope.model.settings import Settings
from merope.model.state import State
from merope.scheduler.snapshot import Limits
from merope.store.errors import StoreError
from merope.store.location import location_of, open_store
from merope.store.sql import SqlStore

log = logging.getLogger("merope.core")

DRAIN_SECONDS = 10.0
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
        self._auth = auth
        self._auth_places = places
        self._sandbox = started.sandbox
        self._config = started.config
        self._settings: Settings = started.config.settings
        self._layout = started.layout
        self._writer = ThreadPoolExecutor(1, "store")
        self._threads = ThreadPoolExecutor(4, "work")

    async def serve(self) -> int:
        loop = asyncio.get_running_loop()
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
        check_operations()
        # What was loaded stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLD)
        executor = self._executor(cloud)
        engine = Engine(cloud, executor, loop.call_later, finished=Finished(store))
        recorder = Recorder(store, self._threads, self._config.monitor)
        poller = Poller(
            cloud,
            executor,
            loop.call_later,
            recorder,
            host_seconds=self._host_period(),
            market_seconds=float(self._settings.monitoring_interval_market),
        )
        scheduling = Scheduling(
            cloud,
            self._config.scheduler,
            self._limits(),
            loop.call_later,
            self._threads,
            loop.call_soon_threadsafe,
        )
        logins = Authentication(cloud, self._settings, self._auth, self._auth_places)
        timetable = Timetable(
            cloud, loop.call_later, local_zone(), float(self._config.scheduler.sched_interval)
        )
        registry = Registry()
        _measure(registry, cloud, engine)
        dispatcher = Dispatcher(
            cloud,
            store,
            executor=self._threads,
            prepare=Preparations(cloud, executor, store, self._threads, recorder).table,
            call_log=CallLog(sys.stderr, self._settings.log_call_format) if self._logs_calls() else None,
            drivers=logins,
            managers=AddressManagers(cloud, executor),
        )
        door = Door(registry, lambda: cloud.trouble or None)
        await door.start(dispatcher, self._door_settings())
        engine.resume()
        poller.start()
        asked = _asked_to_stop(loop)
        recovery = Recovery(
            cloud, store.probe, self._writer, loop.call_later, settle=store.settle, superseded=asked.set
        )
        recovery.start()
        scheduling.wake()
        timetable.start()
        log.info("serving at %s:%d", self._settings.listen_address, self._settings.port)
        await asked.wait()
        log.info("stopping")
        scheduling.stop()
        timetable.stop()
        poller.stop()
        recovery.stop()
        await door.stop(DRAIN_SECONDS)
        await logins.close()
        engine.stop()
        if isinstance(executor, WorkerPool):
            await executor.close()
        # What the database did not take was refused to whoever asked for it.
        with suppress(NotDurable):
            await cloud.durable(state.index)
        recorder.flush()
        self._writer.shutdown()
        self._threads.shutdown()
        store.close()
        return 1 if cloud.superseded else 0

    def _limits(self) -> Limits:
        """MAX_VM, MAX_DISPATCH and MAX_HOST where the administrator wrote them into sched.conf."""
        wanted = self._config.scheduler
        values = {"MAX_VM": wanted.max_vm, "MAX_DISPATCH": wanted.max_dispatch, "MAX_HOST": wanted.max_host}
        return Limits(*(n if self._config.given(name, "sched.conf") else 0 for name, n in values.items()))

    def _logs_calls(self) -> bool:
        return self._settings.log_debug_level >= 3

    def _host_period(self) -> float:
        return 60.0 if self._sandbox else float(self._config.monitor.state_vm)

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
                sandbox=self._sandbox,
                serveradmin_secret=passwords.sha256_hex(secret),
                endpoint=f"http://localhost:{self._settings.port}/RPC2",
            )
            return 0

        _, index = cloud.execute(command, Inputs(internal=True))
        for service in _SERVICES:
            write_private(self._layout.auth_file.with_name(f"{service}_auth"), f"serveradmin:{secret}\n")
        await cloud.durable(index)

    def _executor(self, cloud: Cloud) -> "InlineExecutor | WorkerPool":
        location = Path(self._settings.datastore_location)
        if not self._sandbox:
            return WorkerPool(self._layout.home, location, progress=_noting_progress(cloud))
        drivers = SimulatedDrivers(World(), Places(location))
        drivers.populate(cloud.state)
        return InlineExecutor(drivers)

    def _door_settings(self) -> DoorSettings:
        """What the administrator wrote into oned.conf; the door's own defaults where nothing is written."""
        names = {
            "MAX_CONN": ("max_connections", self._settings.max_conn),
            "MAX_CONN_BACKLOG": ("connection_backlog", self._settings.max_conn_backlog),
            "KEEPALIVE_TIMEOUT": ("keepalive_seconds", float(self._settings.keepalive_timeout)),
            "KEEPALIVE_MAX_CONN": ("keepalive_requests", self._settings.keepalive_max_conn),
            "TIMEOUT": ("read_seconds", float(self._settings.timeout)),
            "MESSAGE_SIZE": ("message_size", self._settings.message_size),
        }
        given: dict[str, Any] = {
            field: value for name, (field, value) in names.items() if self._config.given(name)
        }
        return DoorSettings(host=self._settings.listen_address, port=self._settings.port, **given)


def _noting_progress(cloud: Cloud) -> Callable[[Job, int], None]:
    """Lets the images that are being made show how far they are."""

    def note(job: Job, done: int) -> None:
        image = job.image
        if image is not None and job.vm is None:
            cloud.execute(lambda tx: image_progress.note(tx, image.id, done), Inputs(internal=True))

    return note


class Finished:
    """Documents of finished VMs, for cleaning up after them."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def vm_document(self, oid: int) -> str | None:
        found = self._store.archived_vms(oid)
        return found[0].body if found else None

    def history(self, oid: int) -> list[str]:
        return self._store.history(oid)


def _measure(registry: Registry, cloud: Cloud, engine: Engine) -> None:
    objects = registry.gauge("merope_objects", "Live objects of each kind.", ("kind",))
    for pool in cloud.state.pools.values():
        objects.labels(pool.kind.api).follow(_length(pool))
    flights = registry.gauge("merope_effects", "Operations on hosts.", ("state",))
    flights.labels("running").follow(lambda: engine.in_flight)
    flights.labels("waiting").follow(lambda: engine.waiting)
    flights.labels("retrying").follow(lambda: engine.retrying)
    changes = registry.gauge("merope_change_index", "Number of the last change.")
    changes.labels().follow(lambda: cloud.state.index)


def _length(pool: Any) -> Callable[[], float]:
    return lambda: len(pool)


def _asked_to_stop(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


__all__ = ["commands", "main"]

if __name__ == "__main__":
    sys.exit(main())
