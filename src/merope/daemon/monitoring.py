"""Puts monitoring together: the receiver, the agents that report to it, and what they are told."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

from merope import COMPATIBLE_VERSION
from merope.daemon.arguments import Started
from merope.daemon.layout import Layout, write_private
from merope.drivers.ssh import Ssh
from merope.engine.agent_starter import AgentStarter, Site
from merope.engine.agents import Agents, reports_by_agent
from merope.engine.cloud import Cloud
from merope.engine.receiver_process import ReceiverProcess
from merope.model.host import Host
from merope.model.settings import MonitorSettings
from merope.monitor import rsa
from merope.monitor.receiver import Wanted, described
from merope.monitor.recorder import Recorder
from merope.store.location import location_of

_STARTS_AT_ONCE = 15
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - where hosts are not all this machine


class Monitoring:
    """Must be made within a running loop. `recorder` keeps what is measured of hosts without an agent."""

    def __init__(self, started: Started, cloud: Cloud, recorder: Recorder, ssh: Ssh) -> None:
        loop = asyncio.get_running_loop()
        self._started = started
        self._settings = started.config.monitor
        self._recorder = recorder
        self._master = _master_key(started.layout)
        self._port = self._settings.network_port
        self._open = False
        self._threads = ThreadPoolExecutor(_STARTS_AT_ONCE, "agents")
        self._receiver = ReceiverProcess(self._wanted, self._hear, lambda: self.agents.greeting())
        starter = AgentStarter(
            self._site(), ssh, self._threads, loop.call_soon_threadsafe, lambda: self._port
        )
        self.agents = Agents(
            cloud,
            self._receiver,
            starter,
            loop.call_later,
            self.has_agent,
            silence=float(self._settings.monitoring_interval_host),
        )

    def has_agent(self, host: Host) -> bool:
        return not self._started.sandbox and reports_by_agent(self._settings.im_mad, host)

    def start(self) -> None:
        self.agents.start()

    async def stop(self) -> None:
        self.agents.stop()
        await self._receiver.close()
        self._threads.shutdown(cancel_futures=True)

    async def written(self) -> None:
        """Returns when what was measured until now is in the database."""
        await asyncio.gather(self._recorder.written(), self._receiver.written())

    def _hear(self, said: dict[str, object]) -> None:
        port = said.get("listening")
        if isinstance(port, int):
            self._port = port
        self.agents.hear(said)

    @property
    def _told_address(self) -> str:
        """Where an administrator wants the receiver to listen; empty where nobody has said so."""
        given = self._started.config.given("NETWORK/ADDRESS", "monitord.conf")
        return self._settings.network_address if given else ""

    def _open_up(self) -> None:
        """From now on other hosts can report: their messages are sealed."""
        if not self._open:
            self._open = True
            self._receiver.restart()

    def _wanted(self) -> Wanted:
        settings, core = self._settings, self._started.config.settings
        database = location_of(core, self._started.layout.database)
        return Wanted(
            address=self._told_address or (_EVERYWHERE if self._open else settings.network_address),
            port=settings.network_port,
            any_port=not self._started.config.given("NETWORK/PORT", "monitord.conf"),
            master=self._master.hex(),
            private_key=settings.network_prikey,
            database=described(database),
            silence=float(settings.monitoring_interval_host),
            timer=float(settings.manager_timer),
            keep_host_seconds=settings.host_monitoring_expiration_time,
            keep_vm_seconds=settings.vm_monitoring_expiration_time,
            keep_vm_every=core.monitoring_interval_db_update,
        )

    def _site(self) -> Site:
        settings, core = self._settings, self._started.config.settings
        key = settings.network_pubkey
        return Site(
            home=self._started.layout.home,
            remote=core.scripts_remote_dir,
            master=self._master,
            address=settings.network_monitor_address,
            periods=periods(settings),
            listening=self._told_address,
            open_up=self._open_up,
            public_key=(lambda: rsa.public_numbers(key)) if key else None,
            version=COMPATIBLE_VERSION,
            prometheus=settings.prometheus_address,
            datastores={True: core.datastore_location, False: core.datastore_location},
        )


def periods(settings: MonitorSettings) -> dict[str, float]:
    """PROBES_PERIOD: seconds by the kinds of messages."""
    return {
        "BEACON_HOST": settings.beacon_host,
        "SYSTEM_HOST": settings.system_host,
        "MONITOR_HOST": settings.monitor_host,
        "STATE_VM": settings.state_vm,
        "MONITOR_VM": settings.monitor_vm,
        "SYNC_STATE_VM": settings.sync_state_vm,
    }


def _master_key(layout: Layout) -> bytes:
    """What the secrets of all agents' sessions are made of; drawn when the cloud first starts."""
    path = layout.auth_file.with_name("monitor_key")
    if not path.exists():
        write_private(path, secrets.token_hex(32) + "\n")
    return bytes.fromhex(path.read_text().strip())
