"""Logging in: from a session's text to a caller, by password, by token or by an authentication driver.

What is slow runs in threads, in fair turns; what is guessed is slowed down; what was verified is remembered.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Protocol

from merope.api.backend import Peer
from merope.api.sessions import Sessions
from merope.api.throttle import Throttle
from merope.api.turns import Turns
from merope.core import external_user
from merope.core.login import PUBLIC, Step, Verdict
from merope.core.methods import Result
from merope.core.transaction import SYSTEM, Caller, Transaction
from merope.core.user import CORE, upgrade_password
from merope.model import passwords
from merope.model.authentication import Identity
from merope.model.errors import ApiError
from merope.model.settings import Settings
from merope.model.state import State
from merope.model.user import User

log = logging.getLogger("merope.auth")

Run = Callable[[Callable[[Transaction], Result], Caller], tuple[Result, int]]
"""Runs a command for a caller; the answer depends on the change that comes with it."""


class Authenticator(Protocol):
    """The authentication drivers."""

    at_once: int
    """Questions that it answers at the same time."""

    async def ask(self, verdict: Verdict) -> Identity | None:
        """None when the credentials are not right, or that cannot be found out; the log says why."""
        ...


class NoDrivers:
    """Where there are none: nobody gets in by one."""

    at_once = 1

    async def ask(self, verdict: Verdict) -> Identity | None:
        log.warning("authentication driver %s is not available", verdict.driver)
        return None


class Cloud(Protocol):
    """The running cloud, as far as logins need it."""

    @property
    def state(self) -> State: ...
    @property
    def settings(self) -> Settings: ...
    def now(self) -> int: ...
    def durable(self, index: int) -> Awaitable[None]: ...


class Logins:
    """One per door. `turns` are also those of other derivations of keys."""

    def __init__(self, cloud: Cloud, run: Run, executor: Executor, drivers: Authenticator | None) -> None:
        self._cloud = cloud
        self._run = run
        self._executor = executor
        self._drivers = drivers or NoDrivers()
        self._sessions = Sessions(cloud.state, cloud.settings, time.monotonic, cloud.now)
        self._throttle = Throttle(time.monotonic)
        self.turns = Turns()
        self._driver_turns = Turns(self._drivers.at_once)
        self._under_way: dict[str, asyncio.Task[Caller | None]] = {}

    def remembered(self, session: str) -> Caller | None:
        """The caller of a session that was verified before and still holds."""
        return self._sessions.remembered(session)

    async def log_in(self, session: str, peer: Peer) -> Caller | None:
        """Who a session is; None when it is refused. The same session is verified once at a time."""
        verdict = self._sessions.check(session, self._cloud.now())
        if verdict.step is Step.GRANTED:
            return self._sessions.caller(verdict)
        if verdict.step is Step.DENIED or self._sessions.is_known_wrong(verdict):
            return None
        task = self._under_way.get(session)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._slowly(session, verdict, peer.host))
            self._under_way[session] = task
            task.add_done_callback(lambda _: self._under_way.pop(session, None))
        return await asyncio.shield(task)

    async def _slowly(self, session: str, verdict: Verdict, host: str) -> Caller | None:
        if self._sessions.was_right(verdict):
            # Guesses of others from the same address must not keep its users out.
            return await self._verified(session, host)
        name, service = verdict.name, bool(verdict.target)
        wait = self._throttle.begin(host, name, service=service)
        if wait is None:
            return None
        if wait:
            try:
                await asyncio.sleep(wait)
            finally:
                self._throttle.left(host, name)
        caller = await self._verified(session, host)
        self._throttle.end(host, name, success=caller is not None, service=service)
        return caller

    async def _verified(self, session: str, host: str) -> Caller | None:
        """Everything is looked up again: it may have changed while the attempt waited."""
        verdict = self._sessions.check(session, self._cloud.now())
        if verdict.step is Step.VERIFY:
            async with self.turns.of(host, verdict.holder):
                return await self._by_password(session, verdict)
        if verdict.step is Step.DRIVER:
            async with self._driver_turns.of(host, verdict.holder):
                return await self._by_driver(session, verdict)
        return self._sessions.caller(verdict) if verdict.step is Step.GRANTED else None

    async def _by_password(self, session: str, verdict: Verdict) -> Caller | None:
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._executor, passwords.verify, verdict.stored, verdict.secret):
            self._sessions.remember_wrong(verdict)
            return None
        if verdict.uid < 0:
            return None
        accepted = {verdict.stored, await self._upgraded(verdict)}
        return self._granted(session, accepted, -1)

    async def _upgraded(self, verdict: Verdict) -> str:
        """A password that is stored in an older form is stored anew, now that its text is known.

        Answers the stored form that there is then.
        """
        cost = self._cloud.settings.password_kdf_cost
        if not passwords.needs_upgrade(verdict.stored, cost):
            return verdict.stored
        fresh = await self._hashed(verdict.secret)

        def command(tx: Transaction) -> Result:
            return int(upgrade_password(tx, verdict.holder, verdict.stored, fresh))

        _, index = self._run(command, SYSTEM)
        return fresh if await self._is_durable(index) else verdict.stored

    async def _by_driver(self, session: str, verdict: Verdict) -> Caller | None:
        identity = await self._drivers.ask(verdict)
        if identity is None:
            return None
        if verdict.uid < 0:
            return await self._admitted(session, verdict, identity)
        if not verdict.target and not await self._in_groups(verdict, identity):
            return None
        return self._granted(session, {verdict.stored}, identity.expires)

    async def _in_groups(self, verdict: Verdict, identity: Identity) -> bool:
        def command(tx: Transaction) -> Result:
            own = tx.find(User, verdict.holder)
            # Somebody may have changed the user while the driver was asked.
            if own is not None and (own.auth_driver, own.password) == (verdict.driver, verdict.stored):
                external_user.keep_groups(tx, verdict.holder, identity)
            return 0

        return await self._done(command, verdict) is not None

    async def _admitted(self, session: str, verdict: Verdict, identity: Identity) -> Caller | None:
        """A user whom the cloud did not know, or not under the name that was typed."""
        if not identity.name:
            log.warning("driver %s names no user for a name that is not known", verdict.driver)
            return None
        if identity.driver == CORE:
            identity = replace(identity, password=await self._hashed(identity.password))
        uid = await self._done(lambda tx: external_user.admit(tx, identity), verdict)
        if not isinstance(uid, int) or identity.driver == PUBLIC:
            return None
        known = replace(verdict, uid=uid, holder=uid)
        caller = self._sessions.caller(known)
        if caller is not None:
            self._sessions.remember(session, known, caller, identity.expires)
        return caller

    async def _done(self, command: Callable[[Transaction], Result], verdict: Verdict) -> Result | None:
        """The result of a command once it is durable; None, and the log says why, when it is refused."""
        try:
            result, index = self._run(command, SYSTEM)
        except ApiError as error:
            log.warning("driver %s: %s", verdict.driver, error.message)
            return None
        return result if await self._is_durable(index) else None

    async def _is_durable(self, index: int) -> bool:
        try:
            await self._cloud.durable(index)
        except asyncio.CancelledError:
            raise
        except Exception as trouble:
            log.error("a login's change could not be stored: %s", trouble)
            return False
        return True

    async def _hashed(self, password: str) -> str:
        loop = asyncio.get_running_loop()
        cost = self._cloud.settings.password_kdf_cost
        return await loop.run_in_executor(self._executor, hash_password, password, cost)

    def _granted(self, session: str, accepted: set[str], expires: int) -> Caller | None:
        """The caller, unless the user is another or has another password by now."""
        verdict = self._sessions.check(session, self._cloud.now())
        if verdict.uid < 0 or verdict.stored not in accepted:
            return None
        caller = self._sessions.caller(verdict)
        if caller is not None:
            self._sessions.remember(session, verdict, caller, expires)
        return caller


def hash_password(password: str, cost: int) -> str:
    """The stored form of a password; takes milliseconds on purpose."""
    return passwords.hash_password(password, os.urandom(16), cost)
