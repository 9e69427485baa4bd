"""Hosts: switched on and off by those who may."""

import pytest
from tests.core.conftest import Core, sentence

from merope.model.errors import Code
from merope.model.host import Host
from merope.model.states import HostState


@pytest.fixture
def core() -> Core:
    made = Core()
    made.call(0, "one.host.allocate", "node", "dummy", "dummy", -1)
    return made


@pytest.mark.parametrize(
    ("status", "state"), [(0, HostState.INIT), (1, HostState.DISABLED), (2, HostState.OFFLINE)]
)
def test_a_status_is_a_state(core: Core, status: int, state: HostState) -> None:
    assert core.call(0, "one.host.status", 0, status) == 0
    assert core.get(Host, 0).state == state


def test_a_status_that_there_is_not_is_refused(core: Core) -> None:
    assert sentence(core.fails(0, "one.host.status", 0, 3)) == (
        Code.INTERNAL,
        "Wrong status code [3], it must be 0, 1 or 2",
    )


def test_only_administrators_switch_hosts(core: Core) -> None:
    ann = core.user("ann")
    assert sentence(core.fails(ann, "one.host.status", 0, 2)) == (
        Code.AUTHORIZATION,
        "User [2] : Not authorized to perform ADMIN HOST [0].",
    )
