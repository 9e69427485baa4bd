"""Each row of the tables of roles and of services, by tests that were not written by hand.

A situation is looked for in which the row is the first that holds; then it does what it says."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.flow.flow_world import START

from merope.flow import machine
from merope.flow.machine import decide
from merope.flow.role_table import ROLE_TABLE, RoleRow
from merope.flow.service import Network, Node, Owner, Role, Service
from merope.flow.service_table import SERVICE_TABLE, ServiceRow
from merope.flow.states import State, VmView
from merope.flow.turn import Turn
from merope.model.states import LcmState as L
from merope.model.states import VmState as V

OWNER = Owner(2, 1, "ann", "users")
VIEWS = [
    VmView(V.ACTIVE, L.RUNNING),
    VmView(V.ACTIVE, L.RUNNING, asked=True),
    VmView(V.ACTIVE, L.RUNNING, asked=True, seen=True),
    VmView(V.ACTIVE, L.BOOT_FAILURE),
    VmView(V.ACTIVE, L.BOOT_FAILURE, error="why"),
    VmView(V.ACTIVE, L.UNKNOWN, seen=True),
    VmView(V.ACTIVE, L.BOOT),
    VmView(V.POWEROFF),
    VmView(V.DONE),
]
NODES = [
    Node(0),
    Node(0, scale_up=True, retries=1),
    Node(0, scale_up=True),
    Node(0, disposed=True),
    Node(0, boot=True),
]
SERVICE_STATES = (State.RUNNING, State.DEPLOYING, State.UNDEPLOYING)


def fresh(node: Node) -> Node:
    return Node(node.vm_id, {}, node.scale_up, node.disposed, node.boot, node.retries)


def turns_of_role(state: State) -> Iterator[tuple[Turn, Role]]:
    nodes: list[Node | None] = [None, *NODES]
    for of, node, view, size, failure, end in itertools.product(
        SERVICE_STATES, nodes, VIEWS, (0, 1, 2), ("", "refused"), (START - 1, START + 1)
    ):
        role = Role("web", size, 0, state=state, nodes=[fresh(node)] if node else [], failure=failure)
        role.cooldown_end = end
        service = Service(0, "shop", OWNER, "none", [role], of)
        yield Turn(service, {0: view}, START), role


def turns_of_service(state: State) -> Iterator[Turn]:
    networks: tuple[list[dict[str, str]], ...] = (
        [],
        [{"template_id": "1"}],
        [{"template_id": "1", "id": "5"}],
    )
    for first, second, failure, purge, given_networks in itertools.product(
        State, State, ("", "refused"), (False, True), networks
    ):
        roles = [Role("a", 1, 0, state=first), Role("b", 1, 0, state=second)]
        service = Service(0, "shop", OWNER, "none", roles, state, failure=failure, purge=purge)
        service.networks = [Network("Own", dict(given)) for given in given_networks]
        yield Turn(service, {}, START)


def names(row: RoleRow | ServiceRow) -> str:
    to = "stays" if row.to is None else row.to.name
    return f"{row.state.name}-{'-'.join(c.__name__ for c in row.when)}-{to}".replace(" ", "_")


@pytest.mark.parametrize("row", ROLE_TABLE, ids=names)
def test_a_row_of_the_table_of_roles_is_followed(row: RoleRow, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [r for r in ROLE_TABLE if r.state is row.state]
    earlier = rows[: rows.index(row)]
    only_these: dict[State, list[RoleRow]] = {state: [] for state in State} | {row.state: rows}
    monkeypatch.setattr(machine, "ROWS_OF_ROLE", only_these)
    for turn, role in turns_of_role(row.state):
        if any(all(c(turn, role) for c in r.when) for r in earlier):
            continue
        if not all(c(turn, role) for c in row.when):
            continue
        before = repr(role)
        machine.follow_role(turn, role)
        if row.to is None and not turn.actions and repr(role) == before:
            continue  # what it would do has to wait here
        assert role.state is (row.to or row.state) or (row.to is None and repr(role) != before)
        return
    pytest.fail("no situation in which this row is followed")


@pytest.mark.parametrize("row", SERVICE_TABLE, ids=names)
def test_a_row_of_the_table_of_services_is_followed(row: ServiceRow) -> None:
    earlier = [r for r in SERVICE_TABLE if r.state is row.state]
    earlier = earlier[: earlier.index(row)]
    for turn in turns_of_service(row.state):
        if any(all(c(turn) for c in r.when) for r in earlier) or not all(c(turn) for c in row.when):
            continue
        row.does(turn)
        assert row.to is not None or turn.actions
        return
    pytest.fail("no situation in which this row is followed")


@pytest.mark.parametrize("state", State)
def test_every_state_but_done_can_be_ended(state: State) -> None:
    """A service without VMs that is undeployed is DONE at once, whatever its role was."""
    role = Role("web", 0, 0, state=state)
    service = Service(0, "shop", OWNER, "straight", [role], State.UNDEPLOYING)
    decide(service, {}, START)
    assert service.state is State.DONE


_NODES = st.builds(
    Node,
    st.integers(0, 3),
    scale_up=st.booleans(),
    disposed=st.booleans(),
    boot=st.booleans(),
    retries=st.integers(0, 2),
)
_ROLES = st.builds(
    Role,
    st.sampled_from(["a", "b"]),
    st.integers(0, 4),
    st.just(0),
    parents=st.sampled_from([[], ["a"]]),
    state=st.sampled_from(State),
    nodes=st.lists(_NODES, max_size=3, unique_by=lambda n: n.vm_id),
    failure=st.sampled_from(["", "refused"]),
)
_SERVICES = st.builds(
    Service,
    st.just(0),
    st.just("shop"),
    st.just(OWNER),
    st.sampled_from(["none", "straight"]),
    st.lists(_ROLES, min_size=1, max_size=2, unique_by=lambda r: r.name),
    st.sampled_from(State),
    purge=st.booleans(),
    log=st.builds(list),
)


@given(_SERVICES, st.dictionaries(st.integers(0, 3), st.sampled_from(VIEWS)))
def test_what_was_decided_is_decided_again(service: Service, views: dict[int, VmView]) -> None:
    """So a server that was killed after it had stored its decision goes on with the same."""
    # Only what is to end was asked to.
    assume(
        all(
            n.disposed or not views[n.vm_id].asked for r in service.roles for n in r.nodes if n.vm_id in views
        )
    )
    first = decide(service, views, START).actions
    stored = service.to_json()
    again = Service.of_json(0, "shop", OWNER, stored)
    assert decide(again, views, START).actions == first
    assert again.to_json() == stored


@given(_SERVICES)
def test_a_service_is_read_as_it_was_written(service: Service) -> None:
    stored = service.to_json()
    assert Service.of_json(0, "shop", OWNER, stored).to_json() == stored
