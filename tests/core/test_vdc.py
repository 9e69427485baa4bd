"""Virtual data centres: what is put in and taken out again, kind by kind."""

import pytest
from tests.core.conftest import Core, sentence

from merope.model.errors import Code
from merope.model.vdc import Vdc

ZONE, ALL = 0, -10
#: Kind → the field of the VDC, and what its rules say of host 0, datastore 1 … of the zone.
KINDS = {
    "cluster": ("clusters", ("HOST/%100", "DATASTORE/%100", "NET/%100")),
    "host": ("hosts", ("HOST/#0",)),
    "datastore": ("datastores", ("DATASTORE/#1",)),
    "vnet": ("vnets", ("NET/#0",)),
}
IDS = {"cluster": 100, "host": 0, "datastore": 1, "vnet": 0}


@pytest.fixture
def core() -> Core:
    """VDC 100 with group 100 in it, and a thing of each kind; ann is user 2."""
    made = Core()
    made.call(0, "one.cluster.allocate", "east")
    made.call(0, "one.host.allocate", "node", "dummy", "dummy", -1)
    made.call(0, "one.vn.allocate", "NAME=net\nVN_MAD=dummy\nBRIDGE=b", -1)
    made.call(0, "one.group.allocate", "team")
    made.call(0, "one.vdc.allocate", "NAME=centre")
    made.call(0, "one.vdc.addgroup", 100, 100)
    assert made.user("ann") == 2
    return made


def rules(core: Core) -> set[str]:
    """What the rules of group 100 are about, but those of the default VDC."""
    texts = {rule.to_string() for rule in core.state.rules}
    return {text.split()[1] for text in texts if text.startswith("@100 ")}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_resource_is_the_groups_while_it_is_in_the_vdc(core: Core, kind: str) -> None:
    field, about = KINDS[kind]
    before = rules(core)
    assert core.call(0, f"one.vdc.add{kind}", 100, ZONE, IDS[kind]) == 100
    assert getattr(core.get(Vdc, 100), field) == {(ZONE, IDS[kind])}
    assert rules(core) - before == set(about)
    assert core.call(0, f"one.vdc.del{kind}", 100, ZONE, IDS[kind]) == 100
    assert getattr(core.get(Vdc, 100), field) == set()
    assert rules(core) == before


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_resource_is_put_in_once_and_taken_out_once(core: Core, kind: str) -> None:
    word = kind.capitalize()
    assert sentence(core.fails(0, f"one.vdc.del{kind}", 100, ZONE, IDS[kind])) == (
        Code.INTERNAL,
        f"Cannot edit resources. {word} {IDS[kind]} of Zone 0 is not in VDC 100",
    )
    core.call(0, f"one.vdc.add{kind}", 100, ZONE, IDS[kind])
    assert sentence(core.fails(0, f"one.vdc.add{kind}", 100, ZONE, IDS[kind])) == (
        Code.INTERNAL,
        f"Cannot edit resources. {word} {IDS[kind]} of Zone 0 is already in VDC 100",
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_resources_are_for_administrators_to_give(core: Core, kind: str) -> None:
    for verb in ("add", "del"):
        error = core.fails(2, f"one.vdc.{verb}{kind}", 100, ZONE, IDS[kind])
        assert error.code is Code.AUTHORIZATION


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_all_of_a_kind_are_taken_out_together(core: Core, kind: str) -> None:
    before = rules(core)
    core.call(0, f"one.vdc.add{kind}", 100, ZONE, IDS[kind])
    core.call(0, f"one.vdc.add{kind}", 100, ZONE, ALL)
    assert getattr(core.get(Vdc, 100), KINDS[kind][0]) == {(ZONE, ALL)}
    core.call(0, f"one.vdc.del{kind}", 100, ZONE, ALL)
    assert getattr(core.get(Vdc, 100), KINDS[kind][0]) == set()
    assert rules(core) == before


def test_a_group_that_leaves_loses_what_the_vdc_gave(core: Core) -> None:
    before = rules(core)
    core.call(0, "one.vdc.addhost", 100, ZONE, 0)
    assert core.call(0, "one.vdc.delgroup", 100, 100) == 100
    assert core.get(Vdc, 100).groups == set()
    assert rules(core) == before
    assert sentence(core.fails(0, "one.vdc.delgroup", 100, 100)) == (
        Code.INTERNAL,
        "Cannot edit resources. Group 100 is not in VDC 100",
    )
