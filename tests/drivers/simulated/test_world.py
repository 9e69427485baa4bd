"""The simulated world is as strict as the real one, and notes what must never happen."""

from pathlib import Path

import pytest
from tests.drivers.simulated.machines import Cloud, machine

from merope.drivers.errors import DriverError
from merope.drivers.fence import StaleOperationError
from merope.drivers.hypervisor.base import DomainState
from merope.drivers.simulated.datastore import SimulatedDatastore
from merope.drivers.simulated.world import World
from merope.drivers.transfer.base import Place
from merope.model.datastore import Datastore
from merope.model.image import Image


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def test_a_vm_on_two_hosts_is_refused_and_noted(cloud: Cloud) -> None:
    cloud.deploy(7)
    with pytest.raises(DriverError, match="VM 7 cannot start on n2"):
        cloud.n2.deploy(machine(7), cloud.directory(7))
    assert cloud.world.violations == ["VM 7 was started on n2 while it is on n1"]
    assert cloud.n2.domains() == []


def test_a_vm_that_has_left_one_host_may_start_on_another(cloud: Cloud) -> None:
    cloud.n1.cancel(cloud.deploy(7))
    assert cloud.n2.deploy(machine(7), cloud.directory(7)) == "n2:web:dummy"
    assert cloud.world.violations == []


@pytest.mark.parametrize("missing", ["disk.0", "disk.1"])
def test_a_domain_needs_its_disks_and_its_context(cloud: Cloud, missing: str) -> None:
    cloud.prepare(7)
    cloud.transfer.delete(cloud.place(7, missing))
    with pytest.raises(DriverError, match=f"{missing} is not there"):
        cloud.n1.deploy(machine(7), cloud.directory(7))


def test_an_older_operation_of_a_vm_is_refused(cloud: Cloud) -> None:
    cloud.world.fence(7, 12)
    cloud.world.fence(7, 12)
    cloud.world.fence(8, 3)
    with pytest.raises(StaleOperationError, match="operation 11 of VM 7 is older than 12"):
        cloud.world.fence(7, 11)
    cloud.world.fence(7, 13)


@pytest.mark.parametrize("name", ["disk.0", ""])
def test_taking_away_what_a_running_vm_uses_is_noted(cloud: Cloud, name: str) -> None:
    cloud.deploy(7)
    cloud.transfer.delete(cloud.place(7, name))
    assert len(cloud.world.violations) == 1
    assert "delete of" in cloud.world.violations[0]


def test_moving_resizing_and_returning_a_disk_in_use_are_noted(cloud: Cloud) -> None:
    cloud.deploy(7)
    cloud.transfer.resize(cloud.place(7, "disk.0"), 100, "raw")
    cloud.transfer.save_back(cloud.place(7, "disk.0"), Path("dummy_path"))
    cloud.transfer.move(cloud.place(7, "disk.1"), cloud.place(8, "disk.1"))
    assert [sentence.split()[0] for sentence in cloud.world.violations] == ["resize", "save_back", "move"]


def test_removing_an_image_that_a_running_vm_uses_in_place_is_noted(cloud: Cloud) -> None:
    datastore = Datastore(1, 0, 0, "oneadmin", "oneadmin", "default")
    image = Image(5, 0, 0, "oneadmin", "oneadmin", "disk")
    driver = SimulatedDatastore(cloud.world, distinct_sources=True)
    image.source = driver.make(image, datastore).source
    cloud.transfer.link(Path(image.source), cloud.place(7, "disk.0"), "raw")
    cloud.deploy(7)
    driver.remove(image, datastore)
    assert cloud.world.violations == ["image dummy_path/1/5 was removed while VM 7 uses it"]
    with pytest.raises(DriverError, match="dummy_path/1/5 is not there"):
        cloud.transfer.clone(Path(image.source), cloud.place(8, "disk.0"), 1, "raw")


def test_without_shared_storage_a_host_sees_only_what_was_brought_to_it() -> None:
    cloud = Cloud(World(shared_storage=False))
    cloud.prepare(7, "n1")
    with pytest.raises(DriverError, match="cannot start on n2"):
        cloud.n2.deploy(machine(7), cloud.directory(7))
    cloud.transfer.move(Place("n1", cloud.directory(7)), Place("n2", cloud.directory(7)))
    cloud.n2.deploy(machine(7), cloud.directory(7))
    with pytest.raises(DriverError, match="cannot start on n1"):
        cloud.n2.migrate("n2:web:dummy", "n1")
    assert cloud.world.violations == []


def test_a_checkpoint_is_on_the_host_that_saved_it() -> None:
    cloud = Cloud(World(shared_storage=False))
    checkpoint = cloud.directory(7) / "checkpoint"
    deploy_id = cloud.deploy(7)
    cloud.n1.save(deploy_id, checkpoint)
    cloud.transfer.move(Place("n1", cloud.directory(7)), Place("n2", cloud.directory(7)))
    assert cloud.n2.restore(machine(7), deploy_id, checkpoint, cloud.directory(7)) == deploy_id


def test_a_host_that_fails_takes_its_domains_along(cloud: Cloud) -> None:
    cloud.deploy(7)
    cloud.world.host_fails("n1")
    with pytest.raises(DriverError, match="n1 cannot be reached") as caught:
        cloud.n1.domains()
    assert caught.value.retry_safe
    cloud.world.host_returns("n1")
    assert cloud.n1.domains() == []
    assert cloud.n2.deploy(machine(7), cloud.directory(7))
    assert cloud.world.violations == []


def test_a_host_that_nobody_added_cannot_be_reached_in_a_closed_world() -> None:
    cloud = Cloud(World(open_hosts=False))
    with pytest.raises(DriverError, match="n1 cannot be reached"):
        cloud.n1.report()
    cloud.world.add_host("n1", total_cpu=400, total_memory=1024)
    assert cloud.n1.report().total_cpu == 400


def test_a_guest_that_does_not_listen_is_not_shut_down(cloud: Cloud) -> None:
    deploy_id = cloud.deploy(7)
    cloud.world.deaf.add(7)
    with pytest.raises(DriverError, match="did not power off"):
        cloud.n1.shutdown(deploy_id)
    assert len(cloud.n1.domains()) == 1
    cloud.n1.cancel(deploy_id)
    assert cloud.n1.domains() == []


def test_a_guest_may_crash_or_power_off_by_itself(cloud: Cloud) -> None:
    deploy_id = cloud.deploy(7)
    cloud.world.guest_crashes(7)
    assert cloud.n1.domains()[0].state is DomainState.FAILURE
    with pytest.raises(DriverError, match="does not run"):
        cloud.n1.reboot(deploy_id)
    assert cloud.n1.deploy(machine(7), cloud.directory(7)) == deploy_id
    assert cloud.n1.domains()[0].state is DomainState.RUNNING
    cloud.world.guest_powers_off(7)
    assert cloud.n1.domains() == []


def test_a_guest_that_does_not_run_can_do_nothing(cloud: Cloud) -> None:
    for act in (cloud.world.guest_crashes, cloud.world.guest_powers_off, cloud.world.guest_writes):
        with pytest.raises(KeyError, match="VM 7 does not run"):
            act(7)


def test_what_a_guest_writes_survives_a_save_and_a_move(cloud: Cloud) -> None:
    deploy_id = cloud.deploy(7)
    disk = cloud.directory(7) / "disk.0"
    before = cloud.world.storage.find("n1", disk)
    assert before is not None
    old = before.content
    cloud.world.guest_writes(7)
    cloud.n1.save(deploy_id, cloud.directory(7) / "checkpoint")
    cloud.transfer.move(Place("n1", cloud.directory(7)), Place("n1", cloud.directory(9)))
    moved = cloud.world.storage.find("n1", cloud.directory(9) / "disk.0")
    assert moved is not None
    assert moved.content != old
    assert moved.content == before.content


def test_a_wild_domain_is_not_ours(cloud: Cloud) -> None:
    cloud.world.start_wild("n1", "pet")
    (wild,) = cloud.n1.domains()
    assert (wild.vm_id, wild.name, wild.deploy_id) == (None, "pet", "pet")
    with pytest.raises(DriverError, match="not a VM of this cloud"):
        cloud.n1.migrate("pet", "n2")


def test_what_is_left_of_a_vm_is_found(cloud: Cloud) -> None:
    cloud.network.pre(machine(7))
    cloud.deploy(7)
    assert cloud.world.strays({7}) == []
    assert sorted(cloud.world.strays(set())) == [
        "NIC 0 of VM 7 on n1",
        "domain of VM 7 on n1",
        "file /var/lib/one/datastores/0/7/disk.0",
        "file /var/lib/one/datastores/0/7/disk.1",
    ]


def test_nics_that_were_not_prepared_are_noticed(cloud: Cloud) -> None:
    deploy_id = cloud.deploy(7)
    with pytest.raises(DriverError, match="were not prepared"):
        cloud.network.post(machine(7), deploy_id)
    with pytest.raises(DriverError, match="does not run"):
        cloud.network.post(machine(7), "n1:other:dummy")


def test_the_same_calls_make_the_same_world() -> None:
    def play() -> object:
        cloud = Cloud()
        for vm_id in range(5):
            cloud.deploy(vm_id)
            cloud.world.guest_writes(vm_id)
        cloud.n1.migrate("n1:web:dummy", "n2")
        return [(host.name, domain) for host, domain in cloud.world.domains()], list(cloud.world.storage)

    assert play() == play()


def test_operations_are_counted(cloud: Cloud) -> None:
    cloud.n1.cancel(cloud.deploy(7))
    assert cloud.world.counters == {"clone": 1, "make_context": 1, "deploy": 1, "cancel": 1}
