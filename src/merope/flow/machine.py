"""What a service does next: a pure function of the service, the states of its VMs, and the time.

It walks two tables, of roles and of services: the first row of a state whose conditions all hold is followed,
until none changes anything. What is to be done comes out as actions; what became of them goes in again by
`outcomes.py`. Everything needed to go on after a crash is in the service itself.
"""

from merope.flow.role_table import ROLE_TABLE
from merope.flow.service import Role, Service
from merope.flow.service_table import SERVICE_TABLE
from merope.flow.states import State
from merope.flow.turn import Turn, World

ROWS_OF_ROLE = {state: [row for row in ROLE_TABLE if row.state is state] for state in State}
ROWS_OF_SERVICE = {state: [row for row in SERVICE_TABLE if row.state is state] for state in State}
#: Passes until nothing changes: more than any service has rows to follow.
_MOST_PASSES = 64


def decide(service: Service, world: World, now: int, default_cooldown: int = 300) -> Turn:
    """Brings `service` on as far as it gets without anybody's help; the answer has the actions to be done."""
    turn = Turn(service, world, now, default_cooldown)
    for _ in range(_MOST_PASSES):
        before = _states(service)
        turn.actions = []
        for role in service.roles:
            follow_role(turn, role)
        _follow_service(turn)
        if _states(service) == before:
            break
    return turn


def _states(service: Service) -> tuple[State, ...]:
    return (service.state, *(role.state for role in service.roles))


def follow_role(turn: Turn, role: Role) -> None:
    for row in ROWS_OF_ROLE[role.state]:
        if not all(condition(turn, role) for condition in row.when):
            continue
        actions = len(turn.actions)
        row.does(turn, role)
        if row.to is not None:
            role.state = row.to
            follow_role(turn, role)
            return
        if len(turn.actions) > actions:
            return


def _follow_service(turn: Turn) -> None:
    service = turn.service
    for row in ROWS_OF_SERVICE[service.state]:
        if not all(condition(turn) for condition in row.when):
            continue
        row.does(turn)
        if row.to is not None:
            service.state = row.to
            service.note(turn.now, f"New state: {row.to.name}")
            return
        break
