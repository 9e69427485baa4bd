"""A fresh cloud has what a fresh 5.12 has."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat
from tests.core.schemas import check_schema

from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.group import Group
from merope.model.marketplace import Marketplace
from merope.model.security_group import SecurityGroup
from merope.model.user import User
from merope.model.vdc import Vdc
from merope.model.zone import Zone


def test_the_first_rules_are_the_recorded_ones(core: Core) -> None:
    recorded = example("acl-pool.xml")
    ours = ElementTree.fromstring(core.call(0, "one.acl.info"))
    assert [flat(rule) for rule in ours] == [flat(rule) for rule in list(recorded)[:6]]


def test_a_new_group_gets_the_recorded_rules_of_the_default_vdc(core: Core) -> None:
    assert core.call(0, "one.group.allocate", "web") == 100
    recorded = example("acl-pool.xml")
    ours = ElementTree.fromstring(core.call(0, "one.acl.info"))
    assert [flat(rule) for rule in ours] == [flat(rule) for rule in list(recorded)[:9]]


def test_groups_are_the_recorded_ones(core: Core) -> None:
    recorded = {group.findtext("ID"): group for group in example("group-pool.xml").iter("GROUP")}
    users = recorded["1"]
    users.find("USERS").clear()  # type: ignore[union-attr]
    for gid in (0, 1):
        ours = ElementTree.fromstring(core.get(Group, gid).to_xml())
        assert flat(ours) == flat(recorded[str(gid)])


def test_users_are_oneadmin_and_the_services_administrator(core: Core) -> None:
    admin, server = core.get(User, 0), core.get(User, 1)
    assert (admin.name, admin.auth_driver, admin.gid) == ("oneadmin", "core", 0)
    assert (server.name, server.auth_driver, server.gid) == ("serveradmin", "server_cipher", 0)
    tokens = {user.template.get("TOKEN_PASSWORD") for user in (admin, server)}
    assert len(tokens) == 2
    assert {len(token) for token in tokens} == {64}


@pytest.mark.parametrize("oid", [0, 1, 2])
def test_datastores_of_a_sandbox_are_the_recorded_ones(oid: int) -> None:
    core = Core(datastore_location="/var/lib/one//datastores")
    recorded = {item.findtext("ID"): item for item in example("datastore-pool.xml").iter("DATASTORE")}[
        str(oid)
    ]
    for name in ("TOTAL_MB", "FREE_MB", "USED_MB"):
        recorded.find(name).text = "0"  # type: ignore[union-attr]
    recorded.find("IMAGES").clear()  # type: ignore[union-attr]
    assert flat(ElementTree.fromstring(core.get(Datastore, oid).to_xml())) == flat(recorded)


def test_datastores_of_a_real_cloud_use_ssh() -> None:
    core = Core(sandbox=False)
    assert [core.get(Datastore, oid).tm_mad for oid in (0, 1, 2)] == ["ssh", "ssh", "ssh"]
    assert [core.get(Datastore, oid).ds_mad for oid in (0, 1, 2)] == ["-", "fs", "fs"]
    assert core.get(Datastore, 0).template.get("SHARED") == "NO"


def test_the_default_cluster_has_the_datastores(core: Core) -> None:
    cluster = core.get(Cluster, 0)
    assert (cluster.name, cluster.datastores, cluster.hosts) == ("default", {0, 1, 2}, set())


def test_the_public_marketplaces_are_the_recorded_ones(core: Core) -> None:
    recorded = {item.findtext("ID"): item for item in example("market-pool.xml").iter("MARKETPLACE")}
    for oid in range(4):
        ours = ElementTree.fromstring(core.get(Marketplace, oid).to_xml())
        assert flat(ours) == flat(recorded[str(oid)])


def test_the_zone_has_the_endpoint_of_the_api() -> None:
    zone = Core(port=2733).get(Zone, 0)
    assert flat(ElementTree.fromstring(zone.to_xml())) == flat(example("zone.xml"))


def test_the_default_vdc_has_every_cluster_and_the_group_users(core: Core) -> None:
    vdc = core.get(Vdc, 0)
    assert (vdc.groups, vdc.clusters) == ({1}, {(0, -10)})


def test_the_default_security_group_may_be_used_by_all(core: Core) -> None:
    group = core.get(SecurityGroup, 0)
    assert group.permissions.to_octal() == "644"
    rules = [(rule["PROTOCOL"], rule["RULE_TYPE"]) for rule in group.template.vectors("RULE")]
    assert rules == [("ALL", "OUTBOUND"), ("ALL", "INBOUND")]


def test_next_ids_leave_room_for_the_clouds_own(core: Core) -> None:
    assert core.call(0, "one.group.allocate", "g") == 100
    assert core.call(0, "one.cluster.allocate", "c") == 100
    assert core.user("ann") == 2
    source = "NAME=more\nDS_MAD=dummy\nTM_MAD=dummy"
    assert core.call(0, "one.datastore.allocate", source, -1) == 100
    assert core.call(0, "one.vdc.allocate", "NAME=lab") == 100


@pytest.mark.parametrize(
    ("method", "schema"),
    [
        ("one.userpool.info", "user_pool"),
        ("one.grouppool.info", "group_pool"),
        ("one.acl.info", "acl_pool"),
        ("one.clusterpool.info", "cluster_pool"),
        ("one.datastorepool.info", "datastore_pool"),
        ("one.vdcpool.info", "vdc_pool"),
        ("one.marketpool.info", "marketplace_pool"),
    ],
)
def test_every_pool_of_a_fresh_cloud_is_valid(core: Core, method: str, schema: str) -> None:
    check_schema(core.call(0, method), schema)


def test_the_zone_of_a_fresh_cloud_is_valid(core: Core) -> None:
    check_schema(core.call(0, "one.zone.info", 0), "zone")
