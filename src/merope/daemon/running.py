"""What acts on a cloud that is open: the door, the engine, and all that looks at it from time to time."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from merope.api.call_log import CallLog
from merope.api.dispatch import Dispatcher
from merope.api.metrics import Registry
from merope.api.server import Door
from merope.api.settings import DoorSettings
from merope.core import image_progress
from merope.daemon.addresses import AddressManagers
from merope.daemon.arguments import Started
from merope.daemon.authentication import Authentication
from merope.daemon.layout import Layout
from merope.daemon.local_time import local_zone
from merope.daemon.measures import SchedulerMeasures, fencing_counts, measure, measure_hosts
from merope.daemon.monitoring import Monitoring
from merope.daemon.preparations import Preparations
from merope.daemon.scheduling import Scheduling
from merope.daemon.service import Options
from merope.daemon.timetable import Timetable
from merope.drivers.simulated.world import World
from merope.drivers.ssh import Ssh, SshSettings
from merope.engine.cloud import Cloud, Inputs, NotDurable
from merope.engine.engine import Engine
from merope.engine.event_bus import EventBus
from merope.engine.hook_executor import Places as HookPlaces
from merope.engine.hook_process import HookProcess
from merope.engine.hooks import Hooks
from merope.engine.host_watch import HostWatch
from merope.engine.inline import InlineExecutor
from merope.engine.job import Job
from merope.engine.places import Layout as Places
from merope.engine.polling import Poller
from merope.engine.recovery import Recovery
from merope.engine.remote import Remote
from merope.engine.toolbox import SimulatedDrivers
from merope.engine.workers import WorkerPool
from merope.model.bus_address import address_of
from merope.model.settings import Settings
from merope.monitor.recorder import Recorder
from merope.scheduler.snapshot import Limits
from merope.store.sql import SqlStore

DRAIN_SECONDS = 10.0
_SANDBOX_HOST_SECONDS = 60.0
_LOGS_CALLS = 3


class Running:
    """Must be made within a running loop; `superseded` is called when another core has taken the database."""

    def __init__(
        self,
        started: Started,
        cloud: Cloud,
        store: SqlStore,
        writer: Executor,
        logins: Authentication,
        superseded: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        settings, later = started.config.settings, loop.call_later
        self._started = started
        self._cloud = cloud
        self._store = store
        self._logins = logins
        self._threads = ThreadPoolExecutor(4, "work")
        self._executor = _executor(started, cloud)
        self._engine = Engine(cloud, self._executor, later, finished=Finished(store))
        self._hook_process = HookProcess(_hook_places(started))
        self._hooks = Hooks(
            cloud,
            self._hook_process,
            later,
            most=2 * settings.hook_concurrency,
            seconds=settings.hook_timeout,
        )
        self._bus = EventBus(cloud, address_of(settings.hm_mad), later, started.layout.events)
        registry = Registry()
        self._host_watch = HostWatch(cloud, later, fencing_counts(registry))
        self._recorder = _recorder(started, store, self._threads)
        hosts = Ssh(started.layout.home, ssh_settings(settings))
        self._monitoring = Monitoring(started, cloud, self._recorder, hosts)
        self._poller = Poller(
            cloud,
            self._executor,
            later,
            self._recorder,
            host_seconds=_host_seconds(started),
            market_seconds=float(settings.monitoring_interval_market),
            has_agent=self._monitoring.has_agent,
        )
        self._scheduling = _scheduling(started, cloud, self._threads, registry)
        interval = float(started.config.scheduler.sched_interval)
        self._timetable = Timetable(cloud, later, local_zone(), interval)
        self._recovery = Recovery(
            cloud, store.probe, writer, later, settle=store.settle, superseded=superseded
        )
        measure(registry, cloud, self._engine, self._hooks)
        measure_hosts(registry, cloud, self._monitoring.agents, self._host_watch)
        self._door = Door(registry, lambda: cloud.trouble or None)

    async def start(self) -> None:
        """Raises DoorError where the port is taken."""
        await self._door.start(self._dispatcher(), _door_settings(self._started))
        self._engine.resume()
        self._hooks.resume()
        self._bus.start()
        self._host_watch.start()
        self._poller.start()
        self._monitoring.start()
        self._recovery.start()
        self._scheduling.wake()
        self._timetable.start()

    async def stop(self) -> None:
        """Nothing new is begun, what was begun has its time, and what was answered is stored."""
        self._scheduling.stop()
        self._timetable.stop()
        self._host_watch.stop()
        self._poller.stop()
        self._recovery.stop()
        await self._door.stop(DRAIN_SECONDS)
        await self._logins.close()
        self._engine.stop()
        self._hooks.stop()
        await self._hook_process.close()
        if isinstance(self._executor, WorkerPool):
            await self._executor.close()
            hosts = Ssh(self._started.layout.home)
            await asyncio.get_running_loop().run_in_executor(self._threads, hosts.close)
        # What the database did not take was refused to whoever asked for it.
        with suppress(NotDurable):
            await self._cloud.durable(self._cloud.state.index)
        await self._bus.stop()
        await self._monitoring.stop()
        self._recorder.flush()
        self._threads.shutdown()

    def _dispatcher(self) -> Dispatcher:
        settings = self._started.config.settings
        logs_calls = settings.log_debug_level >= _LOGS_CALLS
        prepare = Preparations(self._cloud, self._executor, self._store, self._threads, self._monitoring)
        return Dispatcher(
            self._cloud,
            self._store,
            executor=self._threads,
            prepare=prepare.table,
            call_log=CallLog(sys.stderr, settings.log_call_format) if logs_calls else None,
            drivers=self._logins,
            managers=AddressManagers(self._cloud, self._executor),
        )


class Finished:
    """Documents of finished VMs, for cleaning up after them."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def vm_document(self, oid: int) -> str | None:
        found = self._store.archived_vms(oid)
        return found[0].body if found else None

    def history(self, oid: int) -> list[str]:
        return self._store.history(oid)


def _recorder(started: Started, store: SqlStore, threads: Executor) -> Recorder:
    monitor = started.config.monitor
    return Recorder(
        store,
        threads,
        host_seconds=monitor.host_monitoring_expiration_time,
        vm_seconds=monitor.vm_monitoring_expiration_time,
        vm_every=started.config.settings.monitoring_interval_db_update,
    )


def _scheduling(started: Started, cloud: Cloud, threads: Executor, registry: Registry) -> Scheduling:
    loop = asyncio.get_running_loop()
    return Scheduling(
        cloud,
        started.config.scheduler,
        _limits(started),
        loop.call_later,
        threads,
        loop.call_soon_threadsafe,
        # The loop's own clock stands still within a turn.
        time.perf_counter,
        SchedulerMeasures(registry),
    )


def _executor(started: Started, cloud: Cloud) -> InlineExecutor | WorkerPool:
    location = Path(started.config.settings.datastore_location)
    if not started.sandbox:
        remote = remote_of(started.layout, started.config.settings)
        return WorkerPool(started.layout.home, location, progress=_noting_progress(cloud), remote=remote)
    drivers = SimulatedDrivers(World(), Places(location))
    drivers.populate(cloud.state)
    return InlineExecutor(drivers)


def _noting_progress(cloud: Cloud) -> Callable[[Job, int], None]:
    """Lets the images that are being made show how far they are."""

    def note(job: Job, done: int) -> None:
        image = job.image
        if image is not None and job.vm is None:
            cloud.execute(lambda tx: image_progress.note(tx, image.id, done), Inputs(internal=True))

    return note


def hook_base(started: Started) -> Path:
    """The directory in which commands of hooks are looked for."""
    stated = started.config.settings.hook_base_path
    return Path(stated) if stated else started.layout.home / "remotes" / "hooks"


def _hook_places(started: Started) -> HookPlaces:
    """Hooks may use the commands, which are in their PATH, know the cloud and log in as its administrator."""
    settings, layout = started.config.settings, started.layout
    options = Options(str(layout.home), settings.port, settings.listen_address)
    commands = str(Path(sys.executable).parent)
    return HookPlaces(
        base=str(hook_base(started)),
        remote_base=settings.hook_remote_base_path,
        environment={
            "ONE_XMLRPC": options.endpoint,
            "ONE_AUTH": str(layout.auth_file),
            "PATH": f"{os.environ.get('PATH', os.defpath)}:{commands}",
        },
        concurrency=settings.hook_concurrency,
        home=str(layout.home),
        ssh=asdict(ssh_settings(settings)),
    )


def remote_of(layout: Layout, settings: Settings) -> Remote:
    """The hosts of a cloud, as it is configured."""
    return Remote(
        layout.home,
        Path(settings.datastore_location),
        PurePosixPath(settings.scripts_remote_dir),
        ssh_settings(settings),
        settings.ssh_python,
    )


def ssh_settings(settings: Settings) -> SshSettings:
    return SshSettings(
        host_keys=settings.ssh_host_keys,
        connect_seconds=settings.ssh_connect_timeout,
        alive_seconds=settings.ssh_alive_interval,
        persist_seconds=settings.ssh_persist,
    )


def _host_seconds(started: Started) -> float:
    return _SANDBOX_HOST_SECONDS if started.sandbox else float(started.config.monitor.state_vm)


def _limits(started: Started) -> Limits:
    """MAX_VM, MAX_DISPATCH and MAX_HOST where the administrator wrote them into sched.conf."""
    wanted, given = started.config.scheduler, started.config.given
    values = {"MAX_VM": wanted.max_vm, "MAX_DISPATCH": wanted.max_dispatch, "MAX_HOST": wanted.max_host}
    return Limits(*(number if given(name, "sched.conf") else 0 for name, number in values.items()))


def _door_settings(started: Started) -> DoorSettings:
    """What the administrator wrote into oned.conf; the door's own defaults where nothing is written."""
    settings = started.config.settings
    names = {
        "MAX_CONN": ("max_connections", settings.max_conn),
        "MAX_CONN_BACKLOG": ("connection_backlog", settings.max_conn_backlog),
        "KEEPALIVE_TIMEOUT": ("keepalive_seconds", float(settings.keepalive_timeout)),
        "KEEPALIVE_MAX_CONN": ("keepalive_requests", settings.keepalive_max_conn),
        "TIMEOUT": ("read_seconds", float(settings.timeout)),
        "MESSAGE_SIZE": ("message_size", settings.message_size),
    }
    given: dict[str, Any] = {
        field: value for name, (field, value) in names.items() if started.config.given(name)
    }
    return DoorSettings(host=settings.listen_address, port=settings.port, **given)
