"""Arguments by chance: mostly of objects that are there, sometimes of none, sometimes nonsense."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from merope.model.kinds import KINDS
from merope.model.phase import Phase
from merope.model.state import State
from merope.model.vm import VM

T = TypeVar("T")

POOLS = {kind.api: kind.table for kind in KINDS}
NUMBERS = (-2, -1, 0, 1, 2, 3, 5, 100, 101, 999, 2**31 - 1)


class Draw:
    """Chance, and the state that it is about."""

    def __init__(self, state: State, chance: Random, now: int = 0, turn: int = 0) -> None:
        self.state = state
        self.now = now
        self.turn = turn
        """Goes up from step to step and from seed to seed: whose turn it is among those that take turns."""
        self.chance = chance

    def ids(self, api: str) -> list[int]:
        return sorted(self.state.pools[POOLS[api]].entries)

    def one(self, things: Sequence[T]) -> T:
        return things[int(self.chance.random() * len(things))]

    def likely(self, probability: float) -> bool:
        return self.chance.random() < probability

    def oid(self, api: str) -> int:
        """An object that is there; now and then one that isn't."""
        found = self.ids(api)
        if not found or self.likely(0.03):
            return self.one(NUMBERS)
        return self.one(found)

    def user(self) -> int:
        """Who asks: oneadmin or anybody."""
        return 0 if self.likely(0.6) else self.oid("user")

    def vm_in(self, *phases: Phase) -> int | None:
        """A VM in one of the phases; None when there is none."""
        pool = self.state.pools["vm_pool"]
        found = [oid for oid in sorted(pool.entries) if self.phase(oid) in phases]
        return self.one(found) if found else None

    def phase(self, oid: int) -> Phase | None:
        vm = self.state.pools["vm_pool"].parsed(oid)
        return vm.phase if isinstance(vm, VM) else None

    def vm_template(self) -> str:
        """Small, of whatever there is; one in twenty is wrong."""
        cpu, memory = self.one((0.1, 0.5, 1, 2, 2.345)), self.one((64, 128, 512, 2048))
        lines = [f"CPU={cpu}", f"MEMORY={memory}"]
        if self.likely(0.2):
            lines.append(f'NAME="{self.one(("web", "db", "one-1"))}"')
        for _ in range(self.one((0, 1, 1, 1, 2))):
            lines.append(self._disk())
        for number in range(self.one((0, 0, 1, 1, 2))):
            lines.append(f'NIC=[NETWORK_ID={self.oid("vn")},NAME="n{number}"{self._nic_more()}]')
        if self.likely(0.1):
            lines.append(f'NIC_ALIAS=[NETWORK_ID={self.oid("vn")},PARENT="n0"]')
        if self.likely(0.3):
            lines.append('GRAPHICS=[TYPE="VNC",LISTEN="0.0.0.0"]')
        if self.likely(0.3):
            lines.append('CONTEXT=[NETWORK="YES",SET_HOSTNAME="$NAME"]')
        if self.likely(0.1):
            lines.append(
                f'SCHED_REQUIREMENTS="{self.one(("NAME=node1", "FREE_CPU > 1", "(", "CLUSTER_ID=100"))}"'
            )
        if self.likely(0.2):
            lines.append(
                f'VMGROUP=[VMGROUP_ID={self.oid("vmgroup")},ROLE="{self.one(("a", "b", "b", "z"))}"]'
            )
        if self.likely(0.05):
            lines.append(self.one(("MEMORY=-1", "CPU=x", "DISK=[IMAGE_ID=99]", "OS=[", 'VCPU="0"')))
        return "\n".join(lines)

    def _nic_more(self) -> str:
        if self.likely(0.15):
            return f',IP="10.0.0.{self.one((1, 2, 3, 4, 9))}"'
        return f',SECURITY_GROUPS="{self.oid("secgroup")}"' if self.likely(0.2) else ""

    def _disk(self) -> str:
        if self.likely(0.25):
            return f"DISK=[TYPE={self.one(('fs', 'swap'))},SIZE={self.one((1, 100, 900))}]"
        return f"DISK=[IMAGE_ID={self.oid('image')}]"

    def image_template(self) -> str:
        name = f"image{self.chance.randrange(8)}"
        persistent = self.one(("YES", "NO"))
        content = self.one(('PATH="/images/some"', 'TYPE="DATABLOCK"\nSIZE=30', 'TYPE="CDROM"\nPATH="/iso"'))
        return f'NAME="{name}"\nPERSISTENT="{persistent}"\n{content}'
