"""Zones, virtual data centres and the system's own methods."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema

from merope.model.errors import Code
from merope.model.vdc import Vdc
from merope.model.zone import Zone


def test_the_zone_of_a_stand_alone_cloud_is_the_only_one(core: Core) -> None:
    error = core.fails(0, "one.zone.allocate", "NAME=other\nENDPOINT=http://x/RPC2")
    assert error.code is Code.INTERNAL
    assert core.fails(0, "one.zone.delete", 0).code is Code.ACTION


def test_a_master_registers_and_removes_zones() -> None:
    core = Core(federation_mode="MASTER")
    assert core.call(0, "one.zone.allocate", 'NAME=other\nENDPOINT="http://x/RPC2"') == 100
    check_schema(core.call(0, "one.zone.info", 100), "zone")
    core.call(0, "one.zone.delete", 100)
    assert not core.exists(Zone, 100)


def test_a_zone_keeps_its_endpoint(core: Core) -> None:
    endpoint = core.get(Zone, 0).template.get("ENDPOINT")
    core.call(0, "one.zone.update", 0, "A=b", 0)
    assert core.get(Zone, 0).template.get("ENDPOINT") == endpoint


def test_everybody_may_use_the_zone(core: Core) -> None:
    ann = core.user("ann")
    assert "<NAME>OpenNebula</NAME>" in core.call(ann, "one.zonepool.info")


def test_a_front_end_without_peers_is_solo(core: Core) -> None:
    document = core.call(0, "one.zone.raftstatus")
    assert flat(ElementTree.fromstring(document)) == flat(example("raftstatus.xml"))
    check_schema(document, "raftstatus")


def test_the_version_is_the_interfaces(core: Core) -> None:
    assert core.call(core.user("ann"), "one.system.version") == "5.12.0"


def test_the_configuration_is_for_administrators(core: Core) -> None:
    assert core.call(0, "one.system.config").startswith("<OPENNEBULA_CONFIGURATION")
    ann = core.user("ann")
    assert core.fails(ann, "one.system.config").code is Code.AUTHORIZATION


def test_the_recorded_vdc_and_its_rules(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    lab = core.call(0, "one.vdc.allocate", "NAME=lab")
    core.call(0, "one.host.allocate", "node1", "dummy", "dummy", -1)
    core.call(0, "one.vdc.addgroup", lab, gid)
    for word, oid in (("host", 0), ("cluster", 0), ("datastore", 1)):
        assert core.call(0, f"one.vdc.add{word}", lab, 0, oid) == lab
    recorded = example("vdc.xml")
    for network in list(recorded.find("VNETS") or ()):
        recorded.find("VNETS").remove(network)  # type: ignore[union-attr]
    document = core.call(0, "one.vdc.info", lab)
    assert flat(ElementTree.fromstring(document)) == flat(recorded)
    check_schema(document, "vdc")
    rules = {rule.findtext("STRING") for rule in example("acl-pool.xml")} - {"@100 NET/#0 USE #0"}
    assert {rule.to_string() for rule in core.state.rules} == rules


def test_a_rule_stays_while_another_vdc_asks_for_it(core: Core) -> None:
    labs = [core.call(0, "one.vdc.allocate", f"NAME={name}") for name in ("a", "b")]
    before = len(core.state.rules)
    for lab in labs:
        core.call(0, "one.vdc.addgroup", lab, 1)
        core.call(0, "one.vdc.adddatastore", lab, 0, 1)
    assert len(core.state.rules) == before + 1
    core.call(0, "one.vdc.delete", labs[0])
    assert len(core.state.rules) == before + 1
    core.call(0, "one.vdc.deldatastore", labs[1], 0, 1)
    assert len(core.state.rules) == before


def test_all_resources_replace_single_ones(core: Core) -> None:
    lab = core.call(0, "one.vdc.allocate", "NAME=lab")
    core.call(0, "one.vdc.adddatastore", lab, 0, 1)
    core.call(0, "one.vdc.adddatastore", lab, 0, -10)
    assert core.get(Vdc, lab).datastores == {(0, -10)}
    assert core.fails(0, "one.vdc.adddatastore", lab, 0, 1).code is Code.INTERNAL


def test_the_default_vdc_stays(core: Core) -> None:
    error = core.fails(0, "one.vdc.delete", 0)
    assert sentence(error) == (Code.ACTION, "Cannot delete VDC. The default VDC (ID 0) cannot be deleted.")


@pytest.mark.parametrize(
    ("method", "arguments", "code"),
    [
        ("one.vdc.addgroup", (0, 1), Code.INTERNAL),
        ("one.vdc.addgroup", (0, 4711), Code.NO_EXISTS),
        ("one.vdc.delgroup", (0, 0), Code.INTERNAL),
        ("one.vdc.addcluster", (0, 0, 0), Code.INTERNAL),
        ("one.vdc.addcluster", (0, 7, 0), Code.NO_EXISTS),
        ("one.vdc.addhost", (0, 0, 4711), Code.NO_EXISTS),
        ("one.vdc.delhost", (0, 0, 4711), Code.INTERNAL),
        ("one.vdc.allocate", ("NAME=default",), Code.INTERNAL),
        ("one.vdc.allocate", ("A=b",), Code.INTERNAL),
    ],
)
def test_what_cannot_be_done_to_a_vdc_is_refused(
    core: Core, method: str, arguments: tuple[object, ...], code: Code
) -> None:
    assert core.fails(0, method, *arguments).code is code
