"""Virtual data centres: the rules that stand are those that some VDC asks for, whatever was done before."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.core.conftest import Core, sentence

from merope.model.errors import ApiError, Code
from merope.model.kinds import BY_API
from merope.model.vdc import ALL_RESOURCES, Vdc

#: Kind → what a group gets on one, and on all of a zone: {id} and {group} and {zone} are filled in.
GIVEN = {
    "cluster": ("HOST/%{id} MANAGE", "NET/%{id} USE", "DATASTORE/%{id} USE"),
    "host": ("HOST/#{id} MANAGE",),
    "datastore": ("DATASTORE/#{id} USE",),
    "vnet": ("NET/#{id} USE",),
}
TYPES = {"cluster": "CLUSTER", "host": "HOST", "datastore": "DATASTORE", "vnet": "NET"}
FIELDS = {"cluster": "clusters", "host": "hosts", "datastore": "datastores", "vnet": "vnets"}


def asked_for(core: Core) -> set[str]:
    """The rules that the VDCs ask for, by their documents."""
    found = set()
    for oid in core.state.pool(BY_API["vdc"]).entries:
        vdc = core.get(Vdc, oid)
        for group in vdc.groups:
            for kind, rights in GIVEN.items():
                for zone, resource in getattr(vdc, FIELDS[kind]):
                    for right in rights:
                        text = right.format(id=resource)
                        if resource == ALL_RESOURCES:
                            text = f"{right.partition('/')[0]}/* {right.split()[1]}"
                        found.add(f"@{group} {text} #{zone}")
    return found


def standing(core: Core) -> set[str]:
    """The rules that there are, but those of the cloud itself."""
    return {rule.to_string() for rule in core.state.rules} - {
        rule.to_string() for rule in Core().state.rules if not rule.to_string().endswith("#0")
    }


@pytest.fixture
def core() -> Core:
    """With a host 0, a network 0, a second cluster 100, a group 100, a zone 100 and a VDC 100."""
    made = Core(federation_mode="MASTER")
    furnish(made)
    return made


def furnish(core: Core) -> None:
    core.call(0, "one.host.allocate", "node", "dummy", "dummy", -1)
    core.call(0, "one.vn.allocate", "NAME=n\nVN_MAD=dummy\nBRIDGE=b", -1)
    core.call(0, "one.cluster.allocate", "more")
    core.call(0, "one.group.allocate", "web")
    core.call(0, "one.zone.allocate", "NAME=far\nENDPOINT=http://far:2633/RPC2")
    core.call(0, "one.vdc.allocate", "NAME=lab")


@pytest.mark.parametrize("kind", GIVEN)
def test_a_group_gets_the_rights_of_each_kind_and_loses_them(core: Core, kind: str) -> None:
    core.call(0, "one.vdc.addgroup", 100, 1)
    before = standing(core)
    oid = 1 if kind == "datastore" else 0
    core.call(0, f"one.vdc.add{kind}", 100, 0, oid)
    given = {f"@1 {right.format(id=oid)} #0" for right in GIVEN[kind]}
    assert standing(core) - before == given
    core.call(0, f"one.vdc.del{kind}", 100, 0, oid)
    assert standing(core) == before


@pytest.mark.parametrize("kind", GIVEN)
def test_all_of_a_kind_take_the_place_of_single_ones_of_that_zone_only(core: Core, kind: str) -> None:
    core.call(0, "one.vdc.addgroup", 100, 100)
    core.call(0, f"one.vdc.add{kind}", 100, 100, 7)
    core.call(0, f"one.vdc.add{kind}", 100, 0, 1 if kind == "datastore" else 0)
    core.call(0, f"one.vdc.add{kind}", 100, 0, ALL_RESOURCES)
    assert getattr(core.get(Vdc, 100), FIELDS[kind]) == {(100, 7), (0, ALL_RESOURCES)}
    assert standing(core) == asked_for(core)
    error = core.fails(0, f"one.vdc.add{kind}", 100, 0, ALL_RESOURCES)
    assert sentence(error) == (
        Code.INTERNAL,
        f"Cannot edit resources. {kind.capitalize()} ALL of Zone 0 is already in VDC 100",
    )


@pytest.mark.parametrize("kind", GIVEN)
def test_resources_take_the_right_to_administer_them_where_they_are_here(core: Core, kind: str) -> None:
    oid = 1 if kind == "datastore" else 0
    for zone, resource in ((0, oid), (0, ALL_RESOURCES), (100, 7)):
        ann = core.user(f"ann{zone}{resource}")
        core.call(0, "one.acl.addrule", f"{0x1_0000_0000 | ann:x}", "2000400000000", "4", "400000000")
        error = core.fails(ann, f"one.vdc.add{kind}", 100, zone, resource)
        assert error.code is Code.AUTHORIZATION
        assert f"ADMIN ZONE [{zone}]" in error.message
        here = zone == 0 and resource != ALL_RESOURCES
        assert (f"ADMIN {TYPES[kind]} [{resource}]" in error.message) == here


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.core = Core(federation_mode="MASTER")
        furnish(self.core)

    def attempt(self, name: str, *arguments: Any) -> None:
        try:
            self.core.call(0, name, *arguments)
        except ApiError:
            return

    @rule(vdc=st.sampled_from([0, 100, 101]), group=st.sampled_from([1, 100, 101]), add=st.booleans())
    def group(self, vdc: int, group: int, add: bool) -> None:
        self.attempt(f"one.vdc.{'add' if add else 'del'}group", vdc, group)

    @rule(
        vdc=st.sampled_from([0, 100, 101]),
        kind=st.sampled_from(sorted(GIVEN)),
        zone=st.sampled_from([0, 100]),
        oid=st.sampled_from([0, 1, 100, ALL_RESOURCES]),
        add=st.booleans(),
    )
    def resource(self, vdc: int, kind: str, zone: int, oid: int, add: bool) -> None:
        self.attempt(f"one.vdc.{'add' if add else 'del'}{kind}", vdc, zone, oid)

    @rule(name=st.sampled_from(["a", "b"]))
    def make(self, name: str) -> None:
        self.attempt("one.vdc.allocate", f"NAME={name}")
        self.attempt("one.group.allocate", name)

    @rule(vdc=st.sampled_from([100, 101]))
    def delete(self, vdc: int) -> None:
        self.attempt("one.vdc.delete", vdc)

    @rule(
        what=st.sampled_from(
            [("group", 100), ("group", 101), ("cluster", 100), ("host", 0), ("vn", 0), ("zone", 100)]
        )
    )
    def delete_resource(self, what: tuple[str, int]) -> None:
        self.attempt(f"one.{what[0]}.delete", what[1])

    @invariant()
    def what_stands_is_what_is_asked_for(self) -> None:
        assert standing(self.core) == asked_for(self.core)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
