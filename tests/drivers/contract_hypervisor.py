"""What every hypervisor driver promises. A test class of an implementation inherits this one and gives it
a fixture `case`."""

from pathlib import Path
from typing import Protocol

import pytest

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Domain, DomainState, Hypervisor
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
