"""A VM that is found on another host than that of its record: the record moves, when it is safe to say so."""

import pytest
from tests.core.vm_world import ANN, NODE0, NODE1, Cloud, check

from merope.core import host_monitor
from merope.core.host_monitor import Found, Measured
from merope.core.transaction import SYSTEM
from merope.model.host import Host
from merope.model.phase import Phase


def look(cloud: Cloud, host: int, *vms: int, since: int | None = None) -> None:
    """Monitoring finds these VMs running on a host, and no others."""
    tx = cloud.transaction(SYSTEM)
    states = dict.fromkeys(vms, "RUNNING")
    host_monitor.take(tx, host, Measured(800, 1024 * 1024, {}, (1, 0, 1), Found(states, since=since)))
    cloud.commit(tx)


@pytest.fixture
def cloud() -> Cloud:
    """With VM 0, which runs on node0 as its record has it."""
    made = Cloud()
    assert made.running() == 0
    return made


def test_the_record_moves_when_its_own_host_does_not_have_the_vm(cloud: Cloud) -> None:
    before = len(cloud.records(0))
    look(cloud, NODE0)
    look(cloud, NODE1, 0)
    assert cloud.phase(0) is Phase.RUNNING
    last = cloud.records(0)[-1]
    host = cloud.get(Host, NODE1)
    assert (last.hid, last.hostname, last.cid) == (NODE1, host.name, host.cluster_id)
    assert (last.rstime > 0, last.etime) == (True, 0)
    assert len(cloud.records(0)) == before + 1
    check(cloud)


def test_capacity_goes_with_the_record(cloud: Cloud) -> None:
    look(cloud, NODE0)
    look(cloud, NODE1, 0)
    assert (cloud.get(Host, NODE0).vms, cloud.get(Host, NODE1).vms) == (set(), {0})
    assert cloud.get(Host, NODE0).host_share.running_vms == 0
    assert cloud.get(Host, NODE1).host_share.cpu_usage > 0


def test_a_vm_that_its_own_host_may_have_is_left_where_it_is(cloud: Cloud) -> None:
    look(cloud, NODE1, 0)
    assert (cloud.phase(0), cloud.records(0)[-1].hid) == (Phase.RUNNING, NODE0)


def test_nothing_moves_while_something_is_under_way(cloud: Cloud) -> None:
    look(cloud, NODE0)
    cloud.call(ANN, "one.vm.action", "resume", 0)
    look(cloud, NODE1, 0)
    assert (cloud.phase(0), cloud.records(0)[-1].hid) == (Phase.BOOT_POWEROFF, NODE0)


def test_a_look_that_began_before_the_vm_changed_moves_nothing(cloud: Cloud) -> None:
    began = cloud.state.index
    look(cloud, NODE0)
    look(cloud, NODE1, 0, since=began)
    assert (cloud.phase(0), cloud.records(0)[-1].hid) == (Phase.POWEROFF, NODE0)


def test_what_is_left_of_a_finished_vm_is_not_taken_for_it(cloud: Cloud) -> None:
    cloud.call(0, "one.vm.recover", 0, 5)
    look(cloud, NODE1, 0)
    assert cloud.get(Host, NODE1).vms == set()


def test_an_id_that_no_vm_has_is_nobodys(cloud: Cloud) -> None:
    look(cloud, NODE1, 77)
    assert cloud.get(Host, NODE1).vms == set()
