"""From a decoded call to an outcome: authenticate, find the command, run it, and wait until it is durable."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any, Protocol

from merope.api import calls
from merope.api.backend import Outcome, Peer, Value, Wire
from merope.api.call_log import Call, CallLog
from merope.api.gathering import Gatherer
from merope.api.login import Authenticator, Logins
from merope.core import execute as core
from merope.core import hook_calls, login, user
from merope.core.ipam import Asked
from merope.core.methods import Answer, Method, Pieces, Result
from merope.core.transaction import ALL_ARCHIVED, Archived, Caller, Transaction
from merope.model.addressing import Answers, Question, Told
from merope.model.errors import ApiError, Code
from merope.model.event import Heard
from merope.model.settings import Settings
from merope.model.state import Entry, State

log = logging.getLogger("merope.api")

Prepare = Callable[[Mapping[str, Any], Caller], Awaitable[dict[str, str | int]]]
"""Finds something slow out before a command runs, from its arguments by name."""

_NOBODY = Caller(-1, -1)

_MOST_WORDS = 4096
"""Characters of an error's message: one that quotes what was sent does not send all of it back."""


class Cloud(Protocol):
    """The running cloud, as far as the door needs it."""

    state: State
    settings: Settings
    heard: Heard

    def run(
        self,
        command: Callable[[Transaction], Result],
        *,
        read_only: bool,
        caller: Caller,
        request_id: int,
        archive: dict[tuple[str, int], Entry | None] | None,
        archived_vms: list[Entry] | None,
        prepared: dict[str, str | int] | None,
        addresses: Answers | None,
    ) -> tuple[Result, int]: ...

    def now(self) -> int: ...

    def is_durable(self, index: int) -> bool: ...

    def durable(self, index: int) -> asyncio.Future[None]:
        """Raises when the change was taken back; the text says why."""
        ...


_IN_DOUBT = "It is not known yet whether the change was made."


class Archive(Protocol):
    """Finished VMs, which are in the database only; blocks."""

    def archived_vms(self, oid: int | None = None) -> list[Entry]: ...

    def history(self, oid: int) -> list[str]: ...


class Managers(Protocol):
    """Who manages the addresses of ranges outside this cloud."""

    async def ask(self, question: Question, number: int) -> Told:
        """`number` is the request's."""
        ...

    def settle(self, answers: Answers, *, succeeded: bool) -> None:
        """What was given and is not used is returned: all of it when the request did not succeed."""
        ...


class _NoManagers:
    async def ask(self, question: Question, number: int) -> Told:  # noqa: ARG002 - there is nobody to tell
        return Told(False, f"there is no address management here to {question.action} anything")

    def settle(self, answers: Answers, *, succeeded: bool) -> None:
        """Nothing was given."""


class Dispatcher:
    """The door's backend."""

    def __init__(
        self,
        cloud: Cloud,
        archive: Archive,
        *,
        executor: Executor,
        prepare: Mapping[str, Prepare],
        call_log: CallLog | None = None,
        drivers: Authenticator | None = None,
        managers: Managers | None = None,
    ) -> None:
        self._cloud = cloud
        self._archive = archive
        self._executor = executor
        self._prepare = prepare
        self._log = call_log
        self._logins = Logins(cloud, self._as_system, executor, drivers)
        self._lists = Gatherer()
        self._managers: Managers = managers or _NoManagers()
        self._requests = 0

    def call(self, method: str, params: list[Value], peer: Peer) -> Outcome | Awaitable[Outcome]:
        declared = calls.method_named(method)
        arguments = calls.arguments(declared, params)
        session = params[0]
        assert isinstance(session, str)
        self._requests += 1
        number = self._requests
        caller = self._logins.remembered(session)
        if caller is None:
            return self._log_in(declared, arguments, session, peer, number)
        return self._call(Call(number, declared, arguments, caller, peer))

    async def _log_in(
        self, method: Method, arguments: list[Any], session: str, peer: Peer, number: int
    ) -> Outcome:
        caller = await self._logins.log_in(session, peer)
        if caller is None:
            error = login.not_authenticated()
            return self._outcome(Call(number, method, arguments, _NOBODY, peer), error=error)
        outcome = self._call(Call(number, method, arguments, caller, peer))
        return outcome if isinstance(outcome, Outcome) else await outcome

    def _call(self, call: Call) -> Outcome | Awaitable[Outcome]:
        if call.method.prepare and _asks_for_it(call):
            return self._prepared(call)
        return self._attempt(call, {}, None, None)

    async def _prepared(self, call: Call) -> Outcome:
        """Who may not do it is told so before anything slow is done for it."""
        try:
            self._run(
                lambda tx: core.permit(tx, call.method, call.arguments), call.caller, -1, read_only=True
            )
        except ApiError as error:
            refusal = self._refused(call, error)
            return refusal if isinstance(refusal, Outcome) else await refusal
        except Archived:
            log.debug("%s looks the rights up in the archive", call.method.name)
        names = {param.name: value for param, value in zip(call.method.params, call.arguments, strict=True)}
        found = await self._found(call, names)
        outcome = self._attempt(call, {}, None, found)
        return outcome if isinstance(outcome, Outcome) else await outcome

    async def _found(self, call: Call, names: Mapping[str, Any]) -> dict[str, str | int]:
        prepare = self._prepare[call.method.prepare]
        if call.method.prepare != "password":
            return await prepare(names, call.caller)
        if not user.is_derived(names):
            return {}
        async with self._logins.turns.of(call.peer.host, call.caller.uid):
            return await prepare(names, call.caller)

    def _as_system(self, command: Callable[[Transaction], Result], caller: Caller) -> tuple[Result, int]:
        return self._run(command, caller, -1)

    def _run(
        self,
        command: Callable[[Transaction], Result],
        caller: Caller,
        request_id: int,
        *,
        read_only: bool = False,
        archive: dict[tuple[str, int], Entry | None] | None = None,
        archived_vms: list[Entry] | None = None,
        prepared: dict[str, str | int] | None = None,
        addresses: Answers | None = None,
    ) -> tuple[Result, int]:
        return self._cloud.run(
            command,
            read_only=read_only,
            caller=caller,
            request_id=request_id,
            archive=archive,
            archived_vms=archived_vms,
            prepared=prepared,
            addresses=addresses,
        )

    def _attempt(
        self,
        call: Call,
        archive: dict[tuple[str, int], Entry | None],
        archived_vms: list[Entry] | None,
        prepared: dict[str, str | int] | None,
        addresses: Answers | None = None,
    ) -> Outcome | Awaitable[Outcome]:
        try:
            result, index = self._run(
                lambda tx: core.execute(tx, call.method, call.arguments),
                call.caller,
                call.number,
                read_only=call.method.read_only and not self._is_watched(call),
                archive=archive,
                archived_vms=archived_vms,
                prepared=prepared,
                addresses=addresses,
            )
        except ApiError as error:
            return self._refused(call, error)
        except Archived as missing:
            return self._with_archive(call, archive, archived_vms, prepared, missing, addresses)
        except Asked as asked:
            if addresses is not None:
                raise
            return self._with_addresses(call, archive, archived_vms, prepared, asked.question)
        if isinstance(result, Pieces):
            # Asked for now, as in `_refused` and below: the number of a change that is taken back is given to
            # another one.
            return self._gathered(call, self._cloud.durable(index), result)
        if self._cloud.is_durable(index):
            return self._outcome(call, result)
        return self._later(call, self._cloud.durable(index), result)

    def _is_watched(self, call: Call) -> bool:
        return hook_calls.watched(self._cloud.state, self._cloud.heard, call.method.name)

    def _refused(self, call: Call, error: ApiError) -> Outcome | Awaitable[Outcome]:
        if self._is_watched(call):
            self._run(
                lambda tx: hook_calls.refused(tx, call.method, call.arguments, error),
                call.caller,
                call.number,
            )
        # The refusal may rest on a change that is not durable yet.
        index = self._cloud.state.index
        if self._cloud.is_durable(index):
            return self._outcome(call, error=error)
        return self._later(call, self._cloud.durable(index), error=error)

    async def _gathered(self, call: Call, stored: asyncio.Future[None], result: Pieces) -> Outcome:
        parts = await self._lists.gather(result.parts)
        outcome = await self._later(call, stored, parts[0])
        return outcome if outcome.code else Outcome(Wire(*parts))

    async def _with_archive(
        self,
        call: Call,
        archive: dict[tuple[str, int], Entry | None],
        archived_vms: list[Entry] | None,
        prepared: dict[str, str | int] | None,
        missing: Archived,
        addresses: Answers | None,
    ) -> Outcome:
        """Reads what the command asked for, when all that it could have written is there, and goes on."""
        loop = asyncio.get_running_loop()
        await self._cloud.durable(self._cloud.state.index)
        if missing.oid == ALL_ARCHIVED:
            archived_vms = await self._all_archived()
        else:
            found = await loop.run_in_executor(self._executor, self._archive.archived_vms, missing.oid)
            archive = {**archive, (missing.table, missing.oid): found[0] if found else None}
        outcome = self._attempt(call, archive, archived_vms, prepared, addresses)
        return outcome if isinstance(outcome, Outcome) else await outcome

    async def _with_addresses(
        self,
        call: Call,
        archive: dict[tuple[str, int], Entry | None],
        archived_vms: list[Entry] | None,
        prepared: dict[str, str | int] | None,
        question: Question,
    ) -> Outcome:
        """Puts the command's questions to address managers until it asks no more."""
        answers, succeeded = Answers(), False
        try:
            while True:
                answers.asked[question.key] = (question, await self._managers.ask(question, call.number))
                answers.begin()
                try:
                    outcome = self._attempt(call, archive, archived_vms, prepared, answers)
                    done = outcome if isinstance(outcome, Outcome) else await outcome
                except Asked as asked:
                    question = asked.question
                    continue
                succeeded = not done.code
                return done
        finally:
            self._managers.settle(answers, succeeded=succeeded)

    async def _all_archived(self) -> list[Entry]:
        """Every finished VM, those too that finished while the others were read."""
        loop = asyncio.get_running_loop()
        live = self._cloud.state.pools["vm_pool"].entries
        before = set(live)
        found = await loop.run_in_executor(self._executor, self._archive.archived_vms)
        known = {entry.oid for entry in found}
        while ended := before - live.keys() - known:
            await self._cloud.durable(self._cloud.state.index)
            for oid in sorted(ended):
                found += await loop.run_in_executor(self._executor, self._archive.archived_vms, oid)
            known |= ended
        return sorted(found, key=lambda entry: entry.oid)

    def _later(
        self, call: Call, stored: asyncio.Future[None], result: Answer = "", error: ApiError | None = None
    ) -> asyncio.Future[Outcome]:
        """The answer once `stored` is done; no task, which would cost more than what is left to do."""
        told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def tell(_: asyncio.Future[None]) -> None:
            if told.done():
                return
            try:
                told.set_result(self._told(call, stored.exception(), result, error))
            except Exception as fault:
                told.set_exception(fault)

        stored.add_done_callback(tell)
        return told

    def _told(
        self, call: Call, trouble: BaseException | None, result: Answer, error: ApiError | None
    ) -> Outcome:
        """What is answered when the change is stored, or was not for a `trouble`."""
        if trouble is None:
            return self._outcome(call, result, error)
        # The connection to the database was lost in the middle of storing it.
        in_doubt = getattr(trouble, "in_doubt", False)
        told = _IN_DOUBT if in_doubt else "The change could not be stored and was not made."
        return self._outcome(call, error=ApiError(Code.INTERNAL, f"{told} {trouble}"))

    def _outcome(self, call: Call, result: Answer = "", error: ApiError | None = None) -> Outcome:
        if error is not None:
            message = f"[{call.method.name}] {error.message}"
            if len(message) > _MOST_WORDS:
                message = f"{message[:_MOST_WORDS]}…"
            if self._log is not None:
                self._log.invoked(call, error.code, message, "")
            return Outcome.failure(error.code, message, error.oid)
        if self._log is not None:
            self._log.invoked(call, 0, "", result)
        return Outcome(Wire(result) if isinstance(result, bytes) else result)


def _asks_for_it(call: Call) -> bool:
    """Whether the arguments ask for what the method has prepared."""
    name = call.method.prepare_for
    return not name or any(
        value for param, value in zip(call.method.params, call.arguments, strict=True) if param.name == name
    )
