"""What every hypervisor driver promises. A test class of an implementation inherits this one and gives it
a fixture `case`."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Domain, DomainState, Hypervisor
from merope.model.template import Vector
from merope.model.vm import VM


class HypervisorCase(Protocol):
    """One host, and another one to migrate to when there is one."""

    driver: Hypervisor
    other: Hypervisor | None
    other_name: str
    system_dir: Path

    def vm(self, vm_id: int) -> VM:
        """A VM whose disks are in `system_dir`."""
        ...

    def plugged(self, vm_id: int) -> VM:
        """The same VM with a disk 2, whose file is there, and a NIC 1 that is prepared on the host."""
        ...

    def exists(self, path: Path) -> bool: ...


def find(driver: Hypervisor, deploy_id: str) -> Domain | None:
    return next((domain for domain in driver.domains() if domain.deploy_id == deploy_id), None)


class HypervisorContract:
    def test_a_deployed_vm_runs_under_its_deploy_id(self, case: HypervisorCase) -> None:
        deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
        domain = find(case.driver, deploy_id)
        assert domain is not None
        assert (domain.vm_id, domain.state) == (7, DomainState.RUNNING)
        assert domain.memory_kb > 0
        assert domain.vcpus >= 1

    def test_deploying_a_vm_that_runs_answers_its_id_and_changes_nothing(self, case: HypervisorCase) -> None:
        deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
        assert case.driver.deploy(case.vm(7), case.system_dir) == deploy_id
        assert len(case.driver.domains()) == 1

    def test_two_vms_have_two_deploy_ids(self, case: HypervisorCase) -> None:
        first = case.driver.deploy(case.vm(7), case.system_dir)
        assert case.driver.deploy(case.vm(8), case.system_dir) != first

    def test_a_cancelled_vm_is_gone_and_cancelling_again_succeeds(self, case: HypervisorCase) -> None:
        deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
        case.driver.cancel(deploy_id)
        case.driver.cancel(deploy_id)
        assert find(case.driver, deploy_id) is None

    def test_shutting_down_a_vm_that_is_gone_succeeds(self, case: HypervisorCase) -> None:
        deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
        case.driver.cancel(deploy_id)
        case.driver.shutdown(deploy_id)
        assert case.driver.domains() == []

    def test_what_does_not_run_can_be_neither_saved_nor_rebooted(self, case: HypervisorCase) -> None:
        for call in (case.driver.reboot, case.driver.reset):
            with pytest.raises(DriverError):
                call("one-7")
        with pytest.raises(DriverError):
            case.driver.save("one-7", case.system_dir / "checkpoint")

    def test_a_rebooted_vm_runs(self, case: HypervisorCase) -> None:
        deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
        case.driver.reset(deploy_id)
        domain = find(case.driver, deploy_id)
        assert domain is not None
        assert domain.state is DomainState.RUNNING

    def test_a_migrated_vm_is_on_the_other_host_only_and_migrating_again_succeeds(
        self, case: HypervisorCase
    ) -> None:
        if case.other is None:
            pytest.skip("there is no other host to migrate to")
        deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
        case.driver.migrate(deploy_id, case.other_name)
        case.driver.migrate(deploy_id, case.other_name)
        assert case.driver.domains() == []
        assert [domain.vm_id for domain in case.other.domains()] == [7]

    def test_a_vm_without_its_disk_is_not_deployed(self, case: HypervisorCase) -> None:
        with pytest.raises(DriverError):
            case.driver.deploy(case.vm(7), case.system_dir / "elsewhere")
        assert case.driver.domains() == []

    def test_the_report_has_a_capacity_and_a_usage_within_it(self, case: HypervisorCase) -> None:
        report = case.driver.report()
        assert 0 <= report.used_cpu <= report.total_cpu
        assert 0 < report.used_memory <= report.total_memory
        assert {"ARCH", "HOSTNAME", "HYPERVISOR", "MODELNAME"} <= report.attributes.keys()


class SaveContract:
    """The memory of a VM is kept in a file."""

    def test_a_saved_vm_is_gone_and_saving_again_succeeds(self, case: HypervisorCase) -> None:
        checkpoint = case.system_dir / "checkpoint"
        deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
        case.driver.save(deploy_id, checkpoint)
        case.driver.save(deploy_id, checkpoint)
        assert find(case.driver, deploy_id) is None
        assert case.exists(checkpoint)

    def test_a_restored_vm_runs_and_restoring_again_succeeds(self, case: HypervisorCase) -> None:
        checkpoint = case.system_dir / "checkpoint"
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        case.driver.save(deploy_id, checkpoint)
        restored = case.driver.restore(vm, deploy_id, checkpoint, case.system_dir)
        assert case.driver.restore(vm, deploy_id, checkpoint, case.system_dir) == restored
        domain = find(case.driver, restored)
        assert domain is not None
        assert domain.state is DomainState.RUNNING
        assert not case.exists(checkpoint)

    def test_a_vm_cannot_be_restored_without_its_checkpoint(self, case: HypervisorCase) -> None:
        with pytest.raises(DriverError):
            case.driver.restore(case.vm(7), "one-7", case.system_dir / "checkpoint", case.system_dir)


class HotplugContract:
    """What can be done to a VM while it runs."""

    def test_a_disk_is_plugged_in_and_out(self, case: HypervisorCase) -> None:
        deploy_id, vm = case.driver.deploy(case.vm(7), case.system_dir), case.plugged(7)
        assert not case.driver.has_disk(vm, deploy_id, 2)
        for _ in range(2):
            case.driver.attach_disk(vm, deploy_id, 2, case.system_dir)
            assert case.driver.has_disk(vm, deploy_id, 2)
        for _ in range(2):
            case.driver.detach_disk(vm, deploy_id, 2)
            assert not case.driver.has_disk(vm, deploy_id, 2)
        assert case.driver.has_disk(vm, deploy_id, 0)

    def test_a_disk_whose_file_is_not_there_is_not_plugged_in(self, case: HypervisorCase) -> None:
        deploy_id, vm = case.driver.deploy(case.vm(7), case.system_dir), case.plugged(7)
        with pytest.raises(DriverError):
            case.driver.attach_disk(vm, deploy_id, 2, case.system_dir / "elsewhere")
        assert not case.driver.has_disk(vm, deploy_id, 2)

    def test_a_nic_is_plugged_in_and_out(self, case: HypervisorCase) -> None:
        deploy_id, vm = case.driver.deploy(case.vm(7), case.system_dir), case.plugged(7)
        for _ in range(2):
            case.driver.attach_nic(vm, deploy_id, 1, case.system_dir)
        for _ in range(2):
            case.driver.detach_nic(vm, deploy_id, 1)
        assert find(case.driver, deploy_id) is not None

    def test_a_disk_is_copied_while_the_vm_runs(self, case: HypervisorCase) -> None:
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        target = case.system_dir / "disk.0.copied"
        for _ in range(2):
            case.driver.disk_copy(vm, deploy_id, 0, target, "raw")
            assert case.exists(target)

    def test_growing_twice_is_growing_once(self, case: HypervisorCase) -> None:
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        for size in (8, 8, 4):
            case.driver.disk_resize(vm, deploy_id, 0, size)
        assert find(case.driver, deploy_id) is not None

    def test_a_context_is_renewed_as_often_as_wanted(self, case: HypervisorCase) -> None:
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        for _ in range(2):
            case.driver.renew_context(vm, deploy_id, case.system_dir)
        assert find(case.driver, deploy_id) is not None

    def test_what_does_not_run_is_left_alone(self, case: HypervisorCase) -> None:
        vm = case.plugged(7)
        refused: list[Callable[[], object]] = [
            lambda: case.driver.attach_disk(vm, "one-7", 2, case.system_dir),
            lambda: case.driver.detach_disk(vm, "one-7", 2),
            lambda: case.driver.attach_nic(vm, "one-7", 1, case.system_dir),
            lambda: case.driver.detach_nic(vm, "one-7", 1),
            lambda: case.driver.disk_resize(vm, "one-7", 0, 8),
            lambda: case.driver.disk_copy(vm, "one-7", 0, case.system_dir / "disk.0.copied", "raw"),
            lambda: case.driver.snapshot_create(vm, "one-7", 0, case.system_dir),
            lambda: case.driver.snapshot_revert(vm, "one-7", "snap-0", case.system_dir),
        ]
        for call in refused:
            with pytest.raises(DriverError):
                call()
        assert not case.exists(case.system_dir / "disk.0.copied")


class SnapshotContract:
    """System snapshots."""

    def test_a_snapshot_is_taken_returned_to_and_deleted(self, case: HypervisorCase) -> None:
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        names = {case.driver.snapshot_create(vm, deploy_id, 0, case.system_dir) for _ in range(2)}
        (name,) = names
        for _ in range(2):
            case.driver.snapshot_revert(vm, deploy_id, name, case.system_dir)
        domain = find(case.driver, deploy_id)
        assert domain is not None
        assert domain.state is DomainState.RUNNING
        for _ in range(2):
            case.driver.snapshot_delete(vm, deploy_id, name, case.system_dir)
        with pytest.raises(DriverError):
            case.driver.snapshot_revert(vm, deploy_id, name, case.system_dir)

    def test_snapshots_have_names_of_their_own(self, case: HypervisorCase) -> None:
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        first = case.driver.snapshot_create(vm, deploy_id, 0, case.system_dir)
        assert case.driver.snapshot_create(vm, deploy_id, 1, case.system_dir) != first

    def test_snapshots_that_a_vm_keeps_outlive_its_domain(self, case: HypervisorCase) -> None:
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        name = case.driver.snapshot_create(vm, deploy_id, 0, case.system_dir)
        vm.template.add("SNAPSHOT", Vector({"SNAPSHOT_ID": "0", "HYPERVISOR_ID": name}))
        case.driver.cancel(deploy_id)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        case.driver.snapshot_revert(vm, deploy_id, name, case.system_dir)
        assert find(case.driver, deploy_id) is not None

    def test_a_snapshot_outlives_the_one_before_it(self, case: HypervisorCase) -> None:
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        for number in range(2):
            name = case.driver.snapshot_create(vm, deploy_id, number, case.system_dir)
        case.driver.snapshot_delete(vm, deploy_id, "snap-0", case.system_dir)
        vm.template.add("SNAPSHOT", Vector({"SNAPSHOT_ID": "1", "HYPERVISOR_ID": name}))
        case.driver.cancel(deploy_id)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        case.driver.snapshot_revert(vm, deploy_id, name, case.system_dir)
        assert find(case.driver, deploy_id) is not None

    def test_snapshots_that_a_vm_does_not_keep_end_with_its_domain(self, case: HypervisorCase) -> None:
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        name = case.driver.snapshot_create(vm, deploy_id, 0, case.system_dir)
        case.driver.cancel(deploy_id)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        with pytest.raises(DriverError):
            case.driver.snapshot_revert(vm, deploy_id, name, case.system_dir)

    def test_a_snapshot_of_a_vm_that_is_off_can_be_deleted(self, case: HypervisorCase) -> None:
        vm = case.vm(7)
        deploy_id = case.driver.deploy(vm, case.system_dir)
        name = case.driver.snapshot_create(vm, deploy_id, 0, case.system_dir)
        case.driver.cancel(deploy_id)
        for _ in range(2):
            case.driver.snapshot_delete(vm, deploy_id, name, case.system_dir)
        vm.template.add("SNAPSHOT", Vector({"SNAPSHOT_ID": "0", "HYPERVISOR_ID": name}))
        deploy_id = case.driver.deploy(vm, case.system_dir)
        with pytest.raises(DriverError):
            case.driver.snapshot_revert(vm, deploy_id, name, case.system_dir)
