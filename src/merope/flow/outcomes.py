"""What became of the actions that `machine.decide` asked for, written back into the service."""

from collections.abc import MutableMapping
from dataclasses import dataclass

from merope.flow.conditions import RETRIES
from merope.flow.service import Json, Node, Role, Service
from merope.flow.states import Phase, State, VmView
from merope.flow.turn import (
    Action,
    Boot,
    DropNetwork,
    EndVm,
    Forget,
    Look,
    MakeNetwork,
    MakeVm,
    Remake,
)
from merope.model.states import LcmState, VmState

_ENDING = (VmState.ACTIVE, LcmState.SHUTDOWN)
_BOOTING = (VmState.ACTIVE, LcmState.BOOT_POWEROFF)


@dataclass(frozen=True)
class Outcome:
    """`made` is the id of what was made; `refusal` the core's sentence, "" where it agreed.

    `view` is what a VM turned out to be, when it was asked about. `heard`: since an order for a VM was given,
    the VM was heard of, and what it is now is known better than the order can tell. `forbidden`: the owner
    has not the right to recover VMs, which is needed to make one anew and to delete one in whatever state.
    """

    made: int = -1
    info: Json | None = None
    refusal: str = ""
    view: VmView | None = None
    heard: bool = False
    forbidden: bool = False


Views = MutableMapping[int, VmView]


def apply(service: Service, views: Views, action: Action, outcome: Outcome, now: int) -> None:
    """Notes one outcome; `views` are the states of VMs, which an order that was taken changes."""
    match action:
        case MakeNetwork() | DropNetwork():
            _of_network(service, action, outcome)
        case MakeVm():
            _made(service, views, action, outcome, now)
        case EndVm() | Boot() | Remake() | Look():
            _of_vm(service, views, action, outcome, now)
        case Forget():
            pass


def _of_network(service: Service, action: MakeNetwork | DropNetwork, outcome: Outcome) -> None:
    network = next(network for network in service.networks if network.name == action.name)
    if isinstance(action, MakeNetwork):
        if outcome.refusal:
            service.failure = f"Network {action.name}: {outcome.refusal}"
        else:
            network.given["id"] = str(outcome.made)
        return
    if outcome.refusal:
        service.failure = f"Network {action.name}: {outcome.refusal}"
    else:
        network.given.pop("id", None)


def _made(service: Service, views: Views, action: MakeVm, outcome: Outcome, now: int) -> None:
    role = _role(service, action.role)
    if outcome.refusal:
        _refuse(service, role, f"VM {action.number}: {outcome.refusal}", now)
        return
    node = Node(outcome.made, outcome.info or {}, scale_up=role.state is State.SCALING)
    if role.replacing:
        role.replacing -= 1
        node.retries = RETRIES
    role.nodes.append(node)
    role.last_vmname = max(role.last_vmname, action.number + 1)
    views.setdefault(outcome.made, VmView())


def _of_vm(
    service: Service, views: Views, action: EndVm | Boot | Remake | Look, outcome: Outcome, now: int
) -> None:
    role = _role(service, action.role)
    view = outcome.view or views.get(action.vm, VmView(VmState.DONE))
    if outcome.forbidden:
        _do_without(service, role, action)
    elif outcome.refusal:
        views[action.vm] = view
        _refuse(service, role, f"VM {action.vm}: {outcome.refusal}", now)
    elif isinstance(action, Look) or outcome.view is not None:
        asked = action.vm in views and views[action.vm].asked
        views[action.vm] = view._replace(seen=True, asked=asked)
    elif view.phase is Phase.GONE:
        views[action.vm] = view
    elif isinstance(action, EndVm):
        views[action.vm] = view._replace(asked=True) if outcome.heard else VmView(*_ENDING, asked=True)
    else:
        _begun_anew(role, views, action, view, heard=outcome.heard)


def _do_without(service: Service, role: Role, action: EndVm | Boot | Remake | Look) -> None:
    """What an owner may do: end a VM that has come to rest, and make another one."""
    if isinstance(action, EndVm):
        service.gently = True
        return
    node = next(node for node in role.nodes if node.vm_id == action.vm)
    node.disposed = True
    role.replacing += 1


def _begun_anew(role: Role, views: Views, action: Boot | Remake, view: VmView, *, heard: bool) -> None:
    node = next(node for node in role.nodes if node.vm_id == action.vm)
    if isinstance(action, Boot):
        node.boot = False
        begun = VmView(*_BOOTING, ready=view.ready)
    else:
        node.retries += 1
        begun = VmView()
    # A failure that was heard may be the one before: without an error, the core is asked what became of it.
    views[action.vm] = view._replace(error="") if heard else begun


def _refuse(service: Service, role: Role, sentence: str, now: int) -> None:
    role.failure = sentence
    if role.state is State.WARNING:
        service.note(now, f"Role {role.name}: {sentence}", "W")


def _role(service: Service, name: str) -> Role:
    found = service.role(name)
    assert found is not None
    return found
