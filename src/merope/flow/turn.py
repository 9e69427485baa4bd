"""One look at a service, and the actions that may come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from merope.flow.service import Node, Service
from merope.flow.states import Phase, VmView

World = Mapping[int, VmView]

_GONE = VmView(state=6)


class MakeNetwork(NamedTuple):
    name: str


class DropNetwork(NamedTuple):
    name: str
    vnet: int


class MakeVm(NamedTuple):
    """`number` goes into the name of the VM."""

    role: str
    number: int


class EndVm(NamedTuple):
    """`action` is terminate, terminate-hard, or delete, which works in every state of a VM."""

    role: str
    vm: int
    action: str


class Boot(NamedTuple):
    role: str
    vm: int


class Remake(NamedTuple):
    """A VM that failed is made anew, with the same id."""

    role: str
    vm: int


class Look(NamedTuple):
    """Ask what became of a VM: its state, and why it failed."""

    role: str
    vm: int


class Forget(NamedTuple):
    """The document goes."""


Action = MakeNetwork | DropNetwork | MakeVm | EndVm | Boot | Remake | Look | Forget


@dataclass
class Turn:
    """One look at a service: what is known, and the actions that come of it."""

    service: Service
    world: World
    now: int
    default_cooldown: int = 300
    actions: list[Action] = field(default_factory=list)

    def view(self, node: Node) -> VmView:
        return self.world.get(node.vm_id, _GONE)

    def phase(self, node: Node) -> Phase:
        return self.view(node).phase

    def ready(self, node: Node) -> bool:
        view = self.view(node)
        return view.phase is Phase.UP and (view.ready or not self.service.ready_status_gate)

    @property
    def straight(self) -> bool:
        return self.service.deployment == "straight"
