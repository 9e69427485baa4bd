"""Random lives of services: requests, mishaps of VMs, refusals, a core that is away, a server that is killed.

    python -m tests.flow.schedules --seeds 500

In the end all trouble is over. Then every service that is to run runs with as many VMs as its roles say,
every VM is known to its service, and what has ended has left nothing. A seed always gives the same life.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from tests.flow.fake_core import Killed
from tests.flow.flow_world import FlowWorld, role

from merope.client.errors import ConnectionFailed, OneError
from merope.flow.requests import RequestError
from merope.flow.settings import FlowSettings
from merope.flow.states import State
from merope.model.states import LcmState, VmState

_STEPS = 60
_RUNNING = (State.RUNNING, State.DONE)
_MISHAPS = (
    (VmState.POWEROFF, LcmState.LCM_INIT),
    (VmState.SUSPENDED, LcmState.LCM_INIT),
    (VmState.ACTIVE, LcmState.UNKNOWN),
    (VmState.ACTIVE, LcmState.BOOT_FAILURE),
    (VmState.DONE, LcmState.LCM_INIT),
)
_REFUSED = (
    "one.template.instantiate",
    "one.vm.action",
    "one.vm.recover",
    "one.vn.reserve",
    "one.vntemplate.instantiate",
    "one.vn.delete",
)


class BrokenError(AssertionError):
    """What is not as it should be, and the seed."""


class Life:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.world = FlowWorld(settings=FlowSettings(default_cooldown=self.dice.choice((0, 5, 60))))
        self.core = self.world.core

    async def run(self) -> None:
        for number in range(self.dice.randint(1, 3)):
            self.core.add_document(f"s{number}", json.dumps(self._template(number)))
        self.world.manager.read_all()
        for _ in range(_STEPS):
            await self.dice.choice(self._deeds())()
        await self._heal()
        self._check()
        await self._end_all()

    def _template(self, number: int) -> dict[str, Any]:
        dice = self.dice
        names = ["a", "b", "c"][: dice.randint(1, 3)]
        roles = []
        for place, name in enumerate(names):
            parents = [p for p in names[:place] if dice.random() < 0.5]
            roles.append(role(name, dice.randint(0, 3), parents=parents, max_vms=5))
        values: list[dict[str, Any]] = []
        if dice.random() < 0.5:
            values.append({"Own": {"template_id": "1"}})
        if dice.random() < 0.3:
            values.append({"Part": {"reserve_from": "0", "extra": f"NAME=part{number}\nSIZE=4"}})
        return {
            "name": f"s{number}",
            "deployment": dice.choice(("none", "straight")),
            "shutdown_action": dice.choice(("terminate", "terminate-hard")),
            "roles": roles,
            "networks_values": values,
        }

    def _deeds(self) -> list[Callable[[], Awaitable[None]]]:
        often = [self._go_on, self._go_on, self._go_on, self._wait]
        return [*often, self._ask, self._ask, self._mishap, self._kill, self._refuse, self._part]

    # What happens

    async def _go_on(self) -> None:
        """VMs go a step; some of what there is to hear is heard."""
        self.core.step()
        count = self.dice.randint(0, len(self.core.events))
        later = self.core.events[count:]
        del self.core.events[count:]
        self.core.deliver()
        self.core.events[:0] = later
        await self._settle()

    async def _wait(self) -> None:
        self.world.now += self.dice.choice((1, 10, 100))
        for oid in list(self.world.manager.keepers):
            self.world.manager.wake(oid)
        await self._settle()

    async def _mishap(self) -> None:
        vms = [vm for vm in self.core.alive if vm.state is VmState.ACTIVE and vm.lcm is LcmState.RUNNING]
        if vms:
            self.core.become(self.dice.choice(vms).id, *self.dice.choice(_MISHAPS))

    async def _kill(self) -> None:
        """The server ends at one of its next calls."""
        self.core.kill_at = len(self.core.calls) + self.dice.randint(0, 8)
        self.core.kill_after = self.dice.random() < 0.5

    async def _refuse(self) -> None:
        self.core.refuse = {} if self.core.refuse else {self.dice.choice(_REFUSED): "not now"}

    async def _part(self) -> None:
        """The core is away for a moment, and what it had to say is lost."""
        self.core.down = ConnectionFailed("core", "is away", True)
        await self._settle(once=True)
        self.core.down = None
        self.core.events.clear()
        self.world.manager.read_all()
        await self._settle()

    async def _ask(self) -> None:
        world, dice = self.world, self.dice
        if not world.manager.keepers:
            return
        oid = dice.choice(sorted(world.manager.keepers))
        keeper = world.manager.keepers[oid]
        names = [r.name for r in keeper.service.roles]
        request = dice.choices(("scale", "recover", "undeploy", "purge"), (10, 6, 1, 1))[0]
        try:
            if request == "scale":
                await self._scale(oid, dice.choice(names), dice.randint(0, 4))
            elif request == "recover":
                await keeper.recover()
            else:
                from merope.flow import requests

                change = getattr(requests, request)
                await keeper.ask(lambda service: change(service, world.now))
        except (RequestError, ConnectionFailed, OneError):
            pass
        except Killed:
            self.core.killed = True
        world.manager.wake(oid)
        await self._settle()

    async def _scale(self, oid: int, name: str, size: int) -> None:
        from merope.flow.requests import scale

        await self.world.manager.keepers[oid].ask(lambda s: scale(s, name, size, self.world.now, force=True))

    async def _settle(self, once: bool = False) -> None:
        """Until nobody is busy; a server that was killed is followed by another."""
        for _ in range(100):
            manager = self.world.manager
            tasks = [*manager._busy.values(), *filter(None, [manager._reading])]
            if once:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                return
            if self.core.killed:
                self.core.killed = False
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.world.restart()
            elif not tasks:
                return
            else:
                await asyncio.gather(*tasks, return_exceptions=True)
        raise BrokenError(f"seed {self.seed}: the server does not come to rest")

    # The end of all trouble

    async def _heal(self) -> None:
        self.core.refuse, self.core.kill_at = {}, -1
        for _ in range(60):
            for _ in range(20):
                self.core.deliver()
                await self._settle()
                if not (self.core.step() or self.core.events):
                    break
            troubled = [o for o, k in self.world.manager.keepers.items() if k.service.state not in _RUNNING]
            if not troubled and not self.world.manager.down:
                return
            for oid in troubled:
                with suppress(RequestError):
                    await self.world.manager.keeper(oid).recover()
                self.world.manager.wake(oid)
            await self._wait()
        states = {o: self._describe(o) for o in self.world.manager.keepers}
        raise BrokenError(f"seed {self.seed}: it does not get well: {states}")

    def _describe(self, oid: int) -> Any:
        service = self.world.manager.keepers[oid].service
        return service.state.name, service.failure, [(r.name, r.state.name, r.failure) for r in service.roles]

    def _check(self) -> None:
        known: list[int] = []
        for oid in self.core.documents:
            service = self.world.service(oid)
            known += service.vm_ids
            for of in service.roles:
                wanted = 0 if service.state is State.DONE else of.cardinality
                if len(of.nodes) != wanted:
                    raise BrokenError(
                        f"seed {self.seed}: role {of.name} of {oid} has {len(of.nodes)}, not {wanted}"
                    )
        alive = [vm.id for vm in self.core.alive]
        if sorted(known) != alive:
            raise BrokenError(f"seed {self.seed}: services know of VMs {sorted(known)}, there are {alive}")

    async def _end_all(self) -> None:
        from merope.flow.requests import undeploy

        for oid in list(self.world.manager.keepers):
            await self.world.manager.keeper(oid).ask(lambda s: undeploy(s, self.world.now))
            self.world.manager.wake(oid)
        await self._heal()
        if self.core.alive or self.core.networks != {0: "public"}:
            alive = [vm.id for vm in self.core.alive]
            left = f"VMs {alive}, networks {self.core.networks}"
            raise BrokenError(f"seed {self.seed}: there are left {left}")


def run(seed: int) -> None:
    """Raises BrokenError."""
    asyncio.run(Life(seed).run())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    began, bad = time.perf_counter(), 0
    for seed in range(given.first, given.first + given.seeds):
        try:
            run(seed)
        except BrokenError as broken:
            print(broken)
            bad += 1
    print(f"{given.seeds} lives in {time.perf_counter() - began:.1f} s, {bad} broken")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
