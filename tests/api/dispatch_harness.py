"""A dispatcher on a fresh sandbox cloud in memory, with a database and everything else that is real."""

import asyncio
import io
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import unescape

from tests import method_tests

import merope.core.commands  # noqa: F401 - declaring a method takes importing its module
from merope.api.backend import Outcome, Peer, Value, Wire
from merope.api.call_log import CallLog
from merope.api.dispatch import Dispatcher
from merope.core.bootstrap import bootstrap
from merope.core.transaction import Transaction
from merope.daemon.addresses import AddressManagers
from merope.daemon.preparations import Preparations
from merope.drivers.simulated.world import World
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Engine
from merope.engine.inline import InlineExecutor
from merope.engine.places import Layout
from merope.engine.toolbox import SimulatedDrivers
from merope.model import passwords
from merope.model.change import Change
from merope.model.settings import Settings
from merope.model.state import State
from merope.monitor.recorder import Recorder
from merope.store.errors import StoreError
from merope.store.sqlite import SqliteStore

START = 1_795_226_169
ADMIN = "oneadmin:opennebula"
PEER = Peer("127.0.0.1", 1234)
VM = "CPU = 0.1\nMEMORY = 16\n"


class SlowStore(SqliteStore):
    """While `open` is not set writes wait; `failures` of them fail."""

    def __init__(self, path: Path) -> None:
        self.open = threading.Event()
        self.open.set()
        self.failures = 0
        super().__init__(path)

    def commit(self, changes: Sequence[Change]) -> None:
        assert self.open.wait(10)
        if self.failures:
            self.failures -= 1
            raise StoreError("Cannot write to the database: the disk is full.")
        super().commit(changes)


class Sandbox:
    """`call` methods; `value` of those that must succeed. Must be made within a running loop."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.now = START
        self.settings = replace(Settings(), password_kdf_cost=1, **settings)
        self.store = SlowStore(directory / "one.db")
        self.state = State()
        self.store.load(self.state)
        self._writer = ThreadPoolExecutor(1, "store")
        self.threads = ThreadPoolExecutor(2, "work")
        self.cloud = Cloud(
            self.state,
            self.store,
            self.settings,
            now=lambda: self.now,
            random=lambda count: bytes(range(count)),
            executor=self._writer,
        )
        if 0 not in self.state.pools["user_pool"].entries:
            self.cloud.execute(self._bootstrap, Inputs(internal=True))
        drivers = SimulatedDrivers(World(), Layout(directory / "datastores"))
        self.addresses = drivers.addresses
        hands = InlineExecutor(drivers)
        self.recorder = Recorder(self.store, self.threads, host_seconds=43200, vm_seconds=43200)
        self.log = io.StringIO()
        self.call_log = CallLog(self.log, self.settings.log_call_format)
        self.dispatcher = Dispatcher(
            self.cloud,
            self.store,
            executor=self.threads,
            prepare=Preparations(self.cloud, hands, self.store, self.threads, self.recorder).table,
            call_log=self.call_log,
            managers=AddressManagers(self.cloud, hands),
        )
        self.hands = hands

    def _bootstrap(self, tx: Transaction) -> int:
        stored = passwords.hash_password("opennebula", b"s" * passwords.SALT_BYTES, 1)
        bootstrap(tx, stored, sandbox=True, serveradmin_secret="0" * 64)
        return 0

    def start_engine(self, after: Any) -> None:
        Engine(self.cloud, self.hands, after)

    async def call(self, method: str, *arguments: Value, session: str = ADMIN) -> Outcome:
        answered = self.dispatcher.call(method, [session, *arguments], PEER)
        outcome = answered if isinstance(answered, Outcome) else await answered
        method_tests.note(method, method_tests.REFUSES if outcome.code else method_tests.ANSWERS)
        return outcome

    async def value(self, method: str, *arguments: Value, session: str = ADMIN) -> Any:
        """The result, documents as text."""
        outcome = await self.call(method, *arguments, session=session)
        assert outcome.code == 0, outcome
        if isinstance(outcome.value, Wire):
            return unescape(b"".join(outcome.value.pieces).decode())
        return outcome.value

    async def settle(self) -> None:
        while not self.cloud.is_durable(self.state.index):
            await self.cloud.durable(self.state.index)

    async def rest(self) -> None:
        """Waits until nothing is under way."""
        async with asyncio.timeout(10):
            while self.state.effects:  # noqa: ASYNC110 - each turn of the loop is a step of the engine
                await asyncio.sleep(0)
            await self.settle()

    async def finished_vm(self, session: str = ADMIN) -> int:
        """A VM that was allocated and terminated."""
        oid = await self.value("one.vm.allocate", VM, True, session=session)
        await self.value("one.vm.action", "terminate", oid, session=session)
        assert isinstance(oid, int)
        return oid

    def logged(self) -> str:
        self.call_log.flush()
        return self.log.getvalue()

    async def close(self) -> None:
        self.store.open.set()
        self.store.failures = 0
        await self.settle()
        self._writer.shutdown()
        self.threads.shutdown()
        self.store.close()
