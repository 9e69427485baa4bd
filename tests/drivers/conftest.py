"""Contracts are imported by the tests of each implementation, and should explain their failures too."""

from collections.abc import Iterator

import pytest
from tests.drivers.ceph_cluster import CephCluster
from tests.drivers.ceph_cluster import running as running_ceph
from tests.drivers.ceph_cluster import why_not as why_no_ceph

pytest.register_assert_rewrite("tests.drivers.contract_hypervisor", "tests.drivers.contract_network")


@pytest.fixture(scope="session")
def ceph_cluster() -> Iterator[CephCluster]:
    reason = why_no_ceph()
    if reason:
        pytest.skip(f"no cluster of Ceph can be started: {reason}")
    with running_ceph() as cluster:
        yield cluster


@pytest.fixture
def ceph(ceph_cluster: CephCluster) -> CephCluster:
    """A cluster without volumes. Tests of it are to be in the group `ceph`, so that one process has one."""
    ceph_cluster.empty()
    return ceph_cluster
