"""Clusters and who is in them."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema

from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.errors import Code
from merope.model.host import Host


def host(core: Core, name: str = "node1", cluster: int = -1) -> int:
    oid = core.call(0, "one.host.allocate", name, "dummy", "dummy", cluster)
    assert isinstance(oid, int)
    return oid


def test_the_document_of_a_cluster_is_the_recorded_one(core: Core) -> None:
    host(core, "node1"), host(core, "node2")
    recorded = example("cluster.xml")
    for member in list(recorded.find("VNETS") or ()):
        recorded.find("VNETS").remove(member)  # type: ignore[union-attr]
    document = core.call(0, "one.cluster.info", 0)
    assert flat(ElementTree.fromstring(document)) == flat(recorded)
    check_schema(document, "cluster")


def test_a_host_is_in_one_cluster_at_a_time(core: Core) -> None:
    cluster, node = core.call(0, "one.cluster.allocate", "edge"), host(core)
    assert core.call(0, "one.cluster.addhost", cluster, node) == cluster
    assert (core.get(Cluster, 0).hosts, core.get(Cluster, cluster).hosts) == (set(), {node})
    assert (core.get(Host, node).cluster_id, core.get(Host, node).cluster) == (cluster, "edge")
    core.call(0, "one.cluster.delhost", cluster, node)
    assert (core.get(Cluster, 0).hosts, core.get(Cluster, cluster).hosts) == ({node}, set())


def test_a_datastore_may_be_in_several_clusters(core: Core) -> None:
    cluster = core.call(0, "one.cluster.allocate", "edge")
    for _ in range(2):
        core.call(0, "one.cluster.adddatastore", cluster, 1)
    assert core.get(Datastore, 1).clusters == {0, cluster}
    assert core.get(Cluster, cluster).datastores == {1}
    core.call(0, "one.cluster.deldatastore", 0, 1)
    assert core.get(Datastore, 1).clusters == {cluster}
    error = core.fails(0, "one.cluster.deldatastore", 0, 1)
    assert sentence(error) == (Code.ACTION, "datastore [1] is not in cluster [0]")


def test_the_pairs_of_cluster_and_datastore_are_rows(core: Core) -> None:
    cluster = core.call(0, "one.cluster.allocate", "edge")
    tx = core.transaction(core.caller(0))
    from merope.core.cluster import adddatastore

    adddatastore(tx, cluster, 1)
    assert tx.row("cluster_datastore_relation", (cluster, 1)) == {"cid": cluster, "oid": 1}


def test_a_renamed_cluster_shows_on_its_hosts(core: Core) -> None:
    node = host(core)
    core.call(0, "one.cluster.rename", 0, "main")
    assert core.get(Host, node).cluster == "main"


def test_what_a_cluster_reserves_takes_effect_on_hosts_that_reserve_nothing(core: Core) -> None:
    node, own = host(core, "node1"), host(core, "node2")
    tx = core.transaction(core.caller(0))
    for oid in (node, own):
        tx.edit(Host, oid).host_share.total_cpu = 800
    core.commit(tx)
    core.call(0, "one.host.update", own, 'RESERVED_CPU="0"', 1)
    core.call(0, "one.cluster.update", 0, 'RESERVED_CPU="25%"\nRESERVED_MEM=""', 0)
    assert [core.get(Host, oid).host_share.max_cpu for oid in (node, own)] == [600, 800]
    empty = core.call(0, "one.cluster.allocate", "edge")
    core.call(0, "one.cluster.addhost", empty, node)
    assert core.get(Host, node).host_share.max_cpu == 800


def test_only_empty_clusters_are_deleted(core: Core) -> None:
    cluster, node = core.call(0, "one.cluster.allocate", "edge"), host(core)
    core.call(0, "one.cluster.addhost", cluster, node)
    error = core.fails(0, "one.cluster.delete", cluster)
    text = f"Cannot delete cluster. Cluster {cluster} is not empty, it contains hosts."
    assert sentence(error) == (Code.ACTION, text)
    core.call(0, "one.cluster.delhost", cluster, node)
    core.call(0, "one.cluster.delete", cluster)
    assert not core.exists(Cluster, cluster)


def test_the_default_cluster_stays(core: Core) -> None:
    error = core.fails(0, "one.cluster.delete", 0)
    assert error.message == "Cannot delete cluster. System Clusters (ID < 100) cannot be deleted."


def test_a_deleted_cluster_takes_its_rules_and_leaves_its_vdcs(core: Core) -> None:
    cluster, lab = core.call(0, "one.cluster.allocate", "edge"), core.call(0, "one.vdc.allocate", "NAME=lab")
    core.call(0, "one.vdc.addgroup", lab, 1)
    before = len(core.state.rules)
    core.call(0, "one.vdc.addcluster", lab, 0, cluster)
    assert len(core.state.rules) == before + 3
    core.call(0, "one.cluster.delete", cluster)
    assert len(core.state.rules) == before
    assert "<CLUSTERS/>" in core.call(0, "one.vdc.info", lab)


@pytest.mark.parametrize(
    ("method", "other", "label"),
    [
        ("one.cluster.addhost", 7, "host"),
        ("one.cluster.adddatastore", 77, "datastore"),
        ("one.cluster.addvnet", 7, "virtual network"),
    ],
)
def test_what_does_not_exist_joins_nothing(core: Core, method: str, other: int, label: str) -> None:
    error = core.fails(0, method, 0, other)
    assert sentence(error) == (Code.NO_EXISTS, f"Error getting {label} [{other}].")
    assert core.fails(0, method, 4711, other).message == "Error getting cluster [4711]."


def test_users_change_no_cluster(core: Core) -> None:
    ann, node = core.user("ann"), host(core)
    error = core.fails(ann, "one.cluster.addhost", 0, node)
    text = f"Not authorized to perform ADMIN CLUSTER [0]; Not authorized to perform ADMIN HOST [{node}]"
    assert sentence(error) == (Code.AUTHORIZATION, f"User [{ann}] : {text}.")


def test_only_administrators_move_hosts_and_networks(core: Core) -> None:
    ann = core.user("ann")
    core.call(0, "one.vn.allocate", "NAME=net\nVN_MAD=dummy\nBRIDGE=b", -1)
    core.call(0, "one.host.allocate", "node", "dummy", "dummy", -1)
    for method, oid in (("one.cluster.delhost", 0), ("one.cluster.delvnet", 0)):
        assert core.fails(ann, method, 0, oid).code is Code.AUTHORIZATION


def test_a_network_that_is_not_in_a_cluster_is_not_taken_out(core: Core) -> None:
    core.call(0, "one.vn.allocate", "NAME=net\nVN_MAD=dummy\nBRIDGE=b", -1)
    assert core.call(0, "one.cluster.delvnet", 0, 0) == 0
    assert sentence(core.fails(0, "one.cluster.delvnet", 0, 0)) == (
        Code.ACTION,
        "virtual network [0] is not in cluster [0]",
    )
