"""What people ask of a service: to scale, to recover, to end. Each changes the service; `decide` goes on.

Source: seed 000 §1.3.3, §1.3.6, §1.4.2.
"""

from merope.flow.service import Role, Service
from merope.flow.states import Phase, State
from merope.flow.turn import World

_RECOVERS = {
    State.FAILED_DEPLOYING: State.DEPLOYING,
    State.FAILED_UNDEPLOYING: State.UNDEPLOYING,
    State.FAILED_SCALING: State.SCALING,
    State.COOLDOWN: State.RUNNING,
    State.WARNING: State.WARNING,
    # On the way too: what was put to rest meanwhile is waited for, or started again so.
    State.DEPLOYING: State.DEPLOYING,
    State.SCALING: State.SCALING,
    State.UNDEPLOYING: State.UNDEPLOYING,
}
_SCALABLE = (State.RUNNING, State.WARNING)


class RequestError(ValueError):
    """Why a service cannot do that now; `status` is HTTP's."""

    status = 400


class UnavailableError(RequestError):
    """Nothing can be done at this moment; it is worth while to try again."""

    status = 503


def scale(service: Service, role_name: str, cardinality: int, now: int, *, force: bool = False) -> None:
    """Raises RequestError."""
    role = service.role(role_name)
    if role is None:
        known = ", ".join(r.name for r in service.roles)
        raise RequestError(f"Service {service.id} has no role {role_name!r}: its roles are {known}.")
    if service.state not in _SCALABLE:
        raise RequestError(f"Service {service.id} cannot be scaled while it is {service.state.name}.")
    if cardinality < 0:
        raise RequestError(f"A cardinality is 0 or more, not {cardinality}.")
    if not force:
        _check_limits(role, cardinality)
    set_cardinality(service, role, cardinality, now)


def _check_limits(role: Role, cardinality: int) -> None:
    if role.min_vms is not None and cardinality < role.min_vms:
        raise RequestError(f"Role {role.name} has at least {role.min_vms} VMs (min_vms); force goes below.")
    if role.max_vms is not None and cardinality > role.max_vms:
        raise RequestError(f"Role {role.name} has at most {role.max_vms} VMs (max_vms); force goes beyond.")


def set_cardinality(
    service: Service, role: Role, cardinality: int, now: int, reason: str = "", cooldown: int | None = None
) -> None:
    """`cooldown` in seconds: of the policy that wants it, None for the role's."""
    if cooldown is not None:
        role.rest["next_cooldown"] = cooldown
    if reason and cardinality != role.cardinality:
        service.note(now, f"Role {role.name}: {reason}: from {role.cardinality} to {cardinality} nodes")
    role.cardinality = cardinality
    role.failure = ""


def undeploy(service: Service, now: int) -> bool:
    """Begins to end the service; False where it has ended already, and its document may go."""
    if service.state is State.DONE:
        return False
    if service.state is not State.UNDEPLOYING:
        service.state = State.UNDEPLOYING
        service.failure = ""
        service.note(now, "New state: UNDEPLOYING")
    return True


def purge(service: Service, now: int) -> None:
    """Ends the service whatever state its VMs are in, and its document with it."""
    service.purge = True
    service.failure = ""
    for role in service.roles:
        role.failure = ""
        if role.state is State.FAILED_UNDEPLOYING:
            role.state = State.UNDEPLOYING
    if service.state is State.FAILED_UNDEPLOYING:
        service.state = State.UNDEPLOYING
    undeploy(service, now)


def recover(service: Service, world: World, now: int) -> list[int]:
    """Goes on after a failure: what failed is replaced, what is unknown or was put to rest is started again.

    The answer are the VMs that are to be asked once more to end. Raises RequestError.
    """
    to = _RECOVERS.get(service.state)
    if to is None:
        names = ", ".join(state.name for state in _RECOVERS)
        raise RequestError(
            f"Service {service.id} is {service.state.name}, and has nothing to recover from ({names})."
        )
    service.failure = ""
    again = []
    for role in service.roles:
        role.failure, role.replacing = "", 0
        if role.state is service.state or role.state in (State.WARNING, State.FAILED_SCALING):
            role.state = _RECOVERS[role.state]
        if to is State.RUNNING:
            role.cooldown_end = 0
        elif to is not State.UNDEPLOYING:
            _renew(role, world)
        again += [node.vm_id for node in role.nodes if node.disposed or to is State.UNDEPLOYING]
    if to is not service.state:
        service.state = to
        service.note(now, f"New state: {to.name} (recovered)")
    else:
        service.note(now, "Recovered")
    return again


def _renew(role: Role, world: World) -> None:
    for node in role.live:
        phase = world[node.vm_id].phase if node.vm_id in world else Phase.GONE
        node.retries = 0
        if phase is Phase.FAILED:
            node.disposed = True
        elif phase in (Phase.UNKNOWN, Phase.RESTING):
            node.boot = True
