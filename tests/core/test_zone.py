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


SERVER = 'SERVER=[NAME="front-{0}",ENDPOINT="http://10.0.0.{0}:2633/RPC2"]'


def servers(core: Core) -> list[dict[str, str]]:
    return [dict(server) for server in core.get(Zone, 0).server_pool.vectors("SERVER")]


def test_front_ends_are_added_numbered_and_removed(core: Core) -> None:
    for number in (1, 2):
        assert core.call(0, "one.zone.addserver", 0, SERVER.format(number)) == 0
    assert [server["ID"] for server in servers(core)] == ["0", "1"]
    check_schema(core.call(0, "one.zone.info", 0), "zone")
    check_schema(core.call(0, "one.zonepool.info"), "zone_pool")
    assert core.call(0, "one.zone.resetserver", 0, 1) == 0
    assert core.call(0, "one.zone.delserver", 0, 0) == 0
    assert [server["NAME"] for server in servers(core)] == ["front-2"]
    core.call(0, "one.zone.addserver", 0, SERVER.format(3))
    assert [server["ID"] for server in servers(core)] == ["1", "2"]


@pytest.mark.parametrize(
    "text",
    ["A=b", "SERVER=x", 'SERVER=[NAME="a"]', 'SERVER=[ENDPOINT="b"]', "SERVER=[", SERVER.format(1)],
)
def test_a_server_without_a_name_and_an_endpoint_of_its_own_is_refused(core: Core, text: str) -> None:
    core.call(0, "one.zone.addserver", 0, SERVER.format(1))
    assert core.fails(0, "one.zone.addserver", 0, text).code is Code.ACTION


def test_servers_of_other_zones_and_unknown_ones_are_refused() -> None:
    core = Core(federation_mode="MASTER")
    far = core.call(0, "one.zone.allocate", 'NAME=other\nENDPOINT="http://x/RPC2"\n' + SERVER.format(1))
    assert "SERVER" not in core.get(Zone, far).template
    for method, argument in (("addserver", SERVER.format(1)), ("delserver", 0), ("resetserver", 0)):
        error = core.fails(0, f"one.zone.{method}", far, argument)
        assert sentence(error) == (Code.ACTION, f"Servers have to be managed through the target zone {far}")
    for method in ("delserver", "resetserver"):
        error = core.fails(0, f"one.zone.{method}", 0, 5)
        assert sentence(error) == (Code.ACTION, "SERVER not found in zone")
    ann = core.user("ann")
    assert core.fails(ann, "one.zone.addserver", 0, SERVER.format(1)).code is Code.AUTHORIZATION


def test_servers_are_no_part_of_a_zones_template(core: Core) -> None:
    core.call(0, "one.zone.update", 0, 'ENDPOINT="http://new/RPC2"\n' + SERVER.format(1), 0)
    assert core.get(Zone, 0).template.names() == ["ENDPOINT"]
    assert servers(core) == []


def test_the_only_front_end_that_is_listed_leads_itself() -> None:
    core = Core(server_id=0)
    core.call(0, "one.zone.addserver", 0, SERVER.format(1))
    document = core.call(0, "one.zone.raftstatus")
    check_schema(document, "raftstatus")
    status = ElementTree.fromstring(document)
    assert (status.findtext("SERVER_ID"), status.findtext("STATE"), status.findtext("TERM")) == (
        "0",
        "3",
        "1",
    )
    core.call(0, "one.zone.addserver", 0, SERVER.format(2))
    assert core.fails(0, "one.zone.raftstatus").code is Code.INTERNAL


HEARTBEAT = (0, 0, 0, 0, 0, 0, 0, -1, "")


def test_a_front_end_without_peers_hears_heartbeats_and_takes_no_record(core: Core) -> None:
    assert core.call(0, "one.zone.replicate", *HEARTBEAT) == 0
    error = core.fails(0, "one.zone.replicate", 0, 5, 1, 5, 1, 4, 1, -1, "DELETE FROM vm_pool")
    assert sentence(error) == (Code.ACTION, "Error loading previous log record")
    error = core.fails(0, "one.zone.replicate", 0, 0, -1, *HEARTBEAT[3:])
    assert sentence(error) == (Code.ACTION, "Leader term (-1) is outdated (0)")


def test_a_front_end_without_peers_votes_for_nobody_and_is_no_slave(core: Core) -> None:
    error = core.fails(0, "one.zone.voterequest", 7, 1, 100, 6)
    assert sentence(error) == (Code.ACTION, "Candidate's log is outdated")
    assert core.fails(0, "one.zone.voterequest", -1, 1, 0, 0).message == "Candidate's term is outdated"
    error = core.fails(0, "one.zone.fedreplicate", 1, 0, "DELETE FROM user_pool")
    assert error.code is Code.ACTION


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("one.zone.replicate", HEARTBEAT),
        ("one.zone.voterequest", (1, 1, 1, 1)),
        ("one.zone.fedreplicate", (1, 0, "")),
    ],
)
def test_only_oneadmin_speaks_for_a_front_end(core: Core, name: str, arguments: tuple[object, ...]) -> None:
    assert core.fails(core.user("ann", 0), name, *arguments).code is Code.AUTHORIZATION
