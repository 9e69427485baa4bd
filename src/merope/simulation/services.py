"""What must be true of services when nothing happens any more, and when all of them have been ended."""

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

from merope.client.client import parse_document
from merope.flow.documents import SERVICE, service_of, view_of
from merope.flow.machine import decide
from merope.flow.requests import purge, undeploy
from merope.flow.service import Service
from merope.flow.states import State, VmView
from merope.flow.vm_templates import vm_name
from merope.model.state import State as CloudState
from merope.model.states import VmState
from merope.model.stored_document import StoredDocument
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork
from merope.simulation import invariants
from merope.simulation.oneflow import FlowLife, OneFlow

if TYPE_CHECKING:
    from merope.simulation.simulation import Simulation

#: Seconds of one look, and looks until everything must be at rest.
_LOOK, _LOOKS = 200.0, 40
#: How often somebody recovers a service that does not end, before it is removed altogether.
_RECOVERIES = 3
_NUMBERS = 50
"""More VMs than a role has had in one schedule."""


def _documents(state: CloudState) -> Iterator[StoredDocument]:
    for document in invariants.every(state, StoredDocument):
        if document.type == SERVICE and "BODY" in document.template:
            yield document


def stored(state: CloudState) -> Iterator[Service]:
    """The services that there are, as they are stored."""
    return (service_of(parse_document(document.to_xml())) for document in _documents(state))


def come_to_rest(simulation: "Simulation", flow: OneFlow) -> str:
    """Time passes until nothing changes any more; what is under way still, "" for nothing."""
    flow.own_blow = flow.core_blow = None
    before: object = None
    for _ in range(_LOOKS):
        simulation.watch(_LOOK)
        now = _portrait(simulation.process.state)
        life = flow.life
        if life is not None and not life.busy and not life.manager.down and now == before:
            return ""
        before = now
    down = "there is no OneFlow" if flow.life is None else flow.life.manager.down or f"busy {flow.life.busy}"
    return f"services do not come to rest: {down}, {before}"


def _portrait(state: CloudState) -> object:
    services = [
        (s.id, s.state.name, s.failure, [(r.state.name, r.cardinality, r.failure, r.nodes) for r in s.roles])
        for s in stored(state)
    ]
    return services, [(vm.id, vm.phase.name) for vm in _vms(state)]


def _vms(state: CloudState) -> list[VM]:
    """VMs of services that live."""
    return [vm for vm in invariants.every(state, VM) if vm.user_template.get("SERVICE_ID")]


def at_rest(simulation: "Simulation", flow: OneFlow) -> Iterator[str]:
    """What is wrong with services of which nothing goes on any more."""
    state, life = simulation.process.state, flow.life
    assert life is not None
    services = {service.id: service for service in stored(state)}
    living = {oid for oid, service in services.items() if service.state is not State.DONE}
    if living != set(life.manager.keepers):
        yield f"OneFlow looks after {sorted(life.manager.keepers)}, there are {sorted(living)}"
    locked = {document.id for document in _documents(state) if document.lock is not None}
    # What is locked cannot be noted; OneFlow tries again until it is unlocked.
    for oid in living & set(life.manager.keepers) - locked:
        yield from _as_told(simulation, life, services[oid])
    yield from _vms_are_known(state, flow, services)
    yield from _networks_are_known(state, flow, services)


def _as_told(simulation: "Simulation", life: FlowLife, service: Service) -> Iterator[str]:
    """What OneFlow takes a service to be is what is stored, what it takes VMs to be is what they are, and
    the table of states has nothing more to do."""
    held = life.manager.keepers[service.id].service
    if held.to_text() != service.to_text() or held.owner != service.owner:
        yield f"service {service.id} is {service.to_text()}, OneFlow takes it for {held.to_text()}"
    views: dict[int, VmView] = {}
    for vm in service.vm_ids:
        seen, true = life.manager.world.views.get(vm, _GONE), _truth(simulation, vm)
        if seen.phase is not true.phase:
            said = f"VM {vm} of service {service.id} is {true.phase.name}"
            yield f"{said}, OneFlow takes it for {seen.phase.name}"
        views[vm] = true._replace(asked=seen.asked, seen=seen.seen, error=seen.error)
    settled = deepcopy(service)
    turn = decide(settled, views, simulation.loop.now(), life.manager.settings.default_cooldown)
    if turn.actions or settled.to_text() != service.to_text():
        yield f"service {service.id} is {service.to_text()}, and there is to be done: {turn.actions}"


_GONE = VmView(VmState.DONE)


def _truth(simulation: "Simulation", oid: int) -> VmView:
    vm = simulation.process.state.pools["vm_pool"].parsed(oid)
    return view_of(parse_document(vm.to_xml())) if isinstance(vm, VM) else _GONE


def _vms_are_known(state: CloudState, flow: OneFlow, services: dict[int, Service]) -> Iterator[str]:
    """Each VM is one of its service's, and no service has two for one."""
    owners = Counter(vm for service in services.values() for vm in service.vm_ids)
    yield from (f"VM {vm} is {times} times in services" for vm, times in owners.items() if times > 1)
    names: Counter[tuple[str, str]] = Counter()
    for vm in _vms(state):
        named = vm.user_template.get("SERVICE_ID")
        owner = services[int(named)].owner.uid if int(named) in services else 0
        # One that was given to somebody else before OneFlow could note it is that one's.
        if vm.id not in owners and vm.uid != owner:
            continue
        if vm.id not in owners:
            yield f"VM {vm.id} ({vm.phase.name}) was made for service {named}, which does not know of it"
        names[named, vm.name] += 1
    for service in services.values():
        for role in service.roles:
            for number in range(_NUMBERS):
                name = vm_name(flow.settings.vm_name_template, service, role.name, number)
                if names[str(service.id), name] > 1:
                    yield f"there are {names[str(service.id), name]} VMs {name}"


def _networks_are_known(state: CloudState, flow: OneFlow, services: dict[int, Service]) -> Iterator[str]:
    """A network that was made for a service is that service's, and there is none of one that has ended."""
    held = [] if flow.life is None else [k.service for k in flow.life.manager.keepers.values()]
    known = {n.id for s in (*services.values(), *held) for n in s.networks if n.own and n.id is not None}
    for network in invariants.every(state, VirtualNetwork):
        if network.id not in known and flow.is_ours(network.name) and not _in_use(network):
            yield f"network {network.id} ({network.name}) was made for a service, and none has it"


def _in_use(network: VirtualNetwork) -> bool:
    """By others: nobody can remove it."""
    return bool(network.used_leases)


# The end


def end(simulation: "Simulation", flow: OneFlow) -> Iterator[str]:
    """An administrator takes all services over and ends them; what is wrong afterwards."""
    ours = _take_over(simulation)
    yield from filter(None, [come_to_rest(simulation, flow)])
    for number in range(_RECOVERIES + 1):
        for service in list(stored(simulation.process.state)):
            _end(simulation, flow, service, last=number == _RECOVERIES)
        yield from filter(None, [come_to_rest(simulation, flow)])
    yield from at_rest(simulation, flow)
    state = simulation.process.state
    for vm in (vm for vm in _vms(state) if vm.id in ours or vm.uid == 0):
        yield f"VM {vm.id} of service {vm.user_template.get('SERVICE_ID')} is {vm.phase.name} after its end"
    for service in stored(state):
        networks = {n.id for n in service.networks if n.own and n.id is not None}
        held = [n for n in invariants.every(state, VirtualNetwork) if n.id in networks and _in_use(n)]
        if service.state is not State.DONE and not held:
            yield f"service {service.id} cannot be ended: {service.to_text()}"


def _end(simulation: "Simulation", flow: OneFlow, service: Service, *, last: bool) -> None:
    life = flow.life
    if life is None or service.id not in life.manager.keepers:
        return
    oid, now = service.id, simulation.loop.now()

    async def asked(life: FlowLife) -> None:
        keeper = life.manager.keeper(oid)
        if service.state is State.FAILED_UNDEPLOYING:
            await keeper.recover()
        await keeper.ask(partial(_change, now, last=last or oid % 2 == 0))
        life.manager.wake(oid)

    life.do(asked)


def _change(now: int, service: Service, *, last: bool) -> Any:
    return purge(service, now) if last else undeploy(service, now)


def _take_over(simulation: "Simulation") -> set[int]:
    """The VMs of the services."""
    state = simulation.process.state
    ours = {vm for service in stored(state) for vm in service.vm_ids}
    for service in list(stored(state)):
        simulation.request("one.document.unlock", [service.id])
        simulation.request("one.document.chown", [service.id, 0, 0])
        for network in [n.id for n in service.networks if n.own and n.id is not None]:
            simulation.request("one.vn.unlock", [network])
            simulation.request("one.vn.chown", [network, 0, 0])
    for vm in sorted(ours):
        simulation.request("one.vm.unlock", [vm])
        simulation.request("one.vm.chown", [vm, 0, 0])
    return ours
