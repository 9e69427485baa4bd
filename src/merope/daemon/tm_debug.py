"""`one tm-debug VMID`: the steps of a transfer that failed, to be looked at, done, skipped or done again.

The VM rests in a state of failure meanwhile; `onevm recover` says how it goes on. Run on the front-end.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from merope.daemon.hosts_command import CommandFailed, carried_out, client_here
from merope.daemon.layout import Layout
from merope.engine.job import Answer, Job
from merope.engine.jobs import replica_of
from merope.engine.plans import PLANS
from merope.engine.remote import Remote
from merope.engine.workers import WorkerPool
from merope.model.datastore import Datastore
from merope.model.effect import Effect
from merope.model.phase import Phase
from merope.model.vm import VM

_SECONDS = 24 * 3600.0
_ENDINGS = {
    Phase.PROLOG_FAILURE: "vm.prolog",
    Phase.EPILOG_FAILURE: "vm.epilog",
    Phase.EPILOG_STOP_FAILURE: "vm.epilog_stop",
    Phase.EPILOG_UNDEPLOY_FAILURE: "vm.epilog_stop",
    Phase.PROLOG_RESUME_FAILURE: "vm.prolog_resume",
    Phase.PROLOG_UNDEPLOY_FAILURE: "vm.prolog_resume",
    Phase.PROLOG_MIGRATE_FAILURE: "vm.prolog_migrate",
    Phase.PROLOG_MIGRATE_POWEROFF_FAILURE: "vm.prolog_migrate",
    Phase.PROLOG_MIGRATE_SUSPEND_FAILURE: "vm.prolog_migrate",
    Phase.PROLOG_MIGRATE_UNKNOWN_FAILURE: "vm.prolog_migrate",
}
"""The operation that failed. In no other state is it sure that the core does not do it at this moment."""


@dataclass(frozen=True, slots=True)
class Step:
    """`host` is empty for the front-end."""

    stage: int
    host: str
    text: str

    def __str__(self) -> str:
        return f"[{self.host or 'front-end'}] {self.text}"


class Transfers:
    """The steps of one VM's failed transfer, on the machines that they belong to."""

    def __init__(self, vm: VM, pool: WorkerPool, remote: Remote, system: Datastore | None = None) -> None:
        op = _ENDINGS.get(vm.phase)
        if op is None:
            raise CommandFailed(
                f"VM {vm.id} is {vm.phase.name}: only a transfer that has failed can be gone through"
            )
        records = vm.history_records
        left = records[-2] if op == "vm.prolog_migrate" and len(records) > 1 else None
        self.job = Job(Effect(0, op, vm.id, -1, {}), vm, source=left, replica=replica_of(system))
        self._pool, self._remote = pool, remote

    async def steps(self) -> list[Step]:
        """As they are to be done now. Raises CommandFailed where a machine cannot tell."""
        found: list[Step] = []
        for number, host in self._stages():
            answer = await self._ask(number, host, "")
            if not answer.ok:
                raise CommandFailed(answer.message)
            found += [Step(number, host, text) for text in json.loads(answer.data["steps"])]
        return found

    async def do(self, step: Step) -> str:
        """What became of it, as a word or a sentence."""
        answer = await self._ask(step.stage, step.host, step.text)
        if not answer.ok:
            return f"failed: {answer.message}"
        return "done" if answer.data["done"] else "there was nothing to do"

    def _stages(self) -> Iterator[tuple[int, str]]:
        for number, stage in enumerate(PLANS[self.job.effect.op]):
            if stage.when(self.job):
                yield number, stage.host(self.job)

    async def _ask(self, stage: int, host: str, step: str) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        request: dict[str, Any] = {"job": self.job.to_json(), "stage": stage, "step": step, "host": host}
        request["far"] = [name for name in self.job.hosts if self._pool.place(name)]
        request["ssh"] = {} if self._pool.place(host) else asdict(self._remote.settings)
        self._pool.probe(request, _SECONDS, answered.set_result)
        return await answered


async def _go_through(transfers: Transfers, listed: bool) -> None:
    steps = await transfers.steps()
    vm = transfers.job.vm
    assert vm is not None
    print(f"VM {vm.id}, {vm.phase.name}: {transfers.job.effect.op.partition('.')[2]}, {len(steps)} steps")
    number = 0
    while number < len(steps):
        print(f"{number + 1:3}. {steps[number]}", flush=True)
        if listed:
            number += 1
            continue
        match await asyncio.to_thread(_choice):
            case "r":
                print(f"     {await transfers.do(steps[number])}", flush=True)
            case "s" | "":
                number += 1
            case "b":
                number = max(number - 1, 0)
            case _:
                return
    if not listed:
        print(f"How it goes on: onevm recover --success {vm.id} (all is there), --retry or --failure")


def _choice() -> str:
    """A step is run, also again; skipped (or gone on from); the one before is shown again."""
    try:
        return input("     run, skip (or go on), back, quit? [r/s/b/q] ").strip().lower()[:1]
    except EOFError:
        return "q"


async def _debug(remote: Remote, vm: VM, system: Datastore | None, listed: bool) -> None:
    pool = WorkerPool(remote.home, remote.location, remote=remote)
    try:
        await _go_through(Transfers(vm, pool, remote, system), listed)
    finally:
        await pool.close()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="one tm-debug", description="The steps of a VM's transfer that failed, one by one."
    )
    parser.add_argument("vm", type=int, help="of a VM whose transfer has failed")
    parser.add_argument("--list", action="store_true", help="show the steps and do none")
    parser.add_argument("--home", type=Path, help="directory of the cloud (default: ./var)")
    arguments = parser.parse_args(words)

    def debug(layout: Layout, remote: Remote) -> int:
        with client_here(layout) as client:
            vm = VM.from_xml(client.info_text("vm", arguments.vm))
            system = None
            if vm.history is not None:
                system = Datastore.from_xml(client.info_text("datastore", vm.history.ds_id))
        asyncio.run(_debug(remote, vm, system, arguments.list))
        return 0

    return carried_out(arguments.home, debug)
