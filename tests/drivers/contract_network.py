"""What every network driver promises. A test class of an implementation inherits this one and gives it
a fixture `case`."""

from typing import Protocol

from merope.drivers.network.base import NetworkDriver
from merope.model.template import Vector
from merope.model.vm import VM


class NetworkCase(Protocol):
    """May have `plug(vm, nic_id)`, what comes between pre and post of one NIC, where that needs it."""

    driver: NetworkDriver

    def vm(self, vm_id: int) -> VM:
        """A VM with a NIC of this driver."""
        ...

    def start(self, vm: VM) -> str:
        """What comes between pre and post: the VM's domain; answers its deploy id."""
        ...

    def state(self) -> object:
        """What the driver has made on the host."""
        ...


class NetworkContract:
    def test_preparing_twice_is_preparing_once(self, case: NetworkCase) -> None:
        case.driver.pre(case.vm(7))
        once = case.state()
        case.driver.pre(case.vm(7))
        assert case.state() == once

    def test_finishing_twice_is_finishing_once(self, case: NetworkCase) -> None:
        vm = case.vm(7)
        case.driver.pre(vm)
        deploy_id = case.start(vm)
        case.driver.post(vm, deploy_id)
        once = case.state()
        case.driver.post(vm, deploy_id)
        assert case.state() == once

    def test_cleaning_twice_leaves_what_was_there_before(self, case: NetworkCase) -> None:
        before = case.state()
        case.driver.pre(case.vm(7))
        case.driver.clean(case.vm(7))
        case.driver.clean(case.vm(7))
        assert case.state() == before

    def test_cleaning_one_vm_leaves_the_nics_of_another(self, case: NetworkCase) -> None:
        case.driver.pre(case.vm(8))
        with_one = case.state()
        case.driver.pre(case.vm(7))
        case.driver.clean(case.vm(7))
        assert case.state() == with_one

    def test_a_vm_without_nics_needs_nothing(self, case: NetworkCase) -> None:
        before = case.state()
        vm = case.vm(7)
        vm.template.remove("NIC")
        case.driver.pre(vm)
        assert case.state() == before

    def test_plugging_one_nic_leaves_the_others_as_they_are(self, case: NetworkCase) -> None:
        vm = case.vm(7)
        deploy_id = _plug(case, vm)
        other = _second_nic(vm)
        case.driver.pre(vm, other)
        plug = getattr(case, "plug", None)
        if plug is not None:
            plug(vm, other)
        case.driver.post(vm, deploy_id, other)
        for _ in range(2):
            case.driver.pre(vm, other)
            case.driver.post(vm, deploy_id, other)
        before = case.state()
        for _ in range(2):
            case.driver.clean(vm, other)
        case.driver.pre(vm, other)
        case.driver.post(vm, deploy_id, other)
        assert case.state() == before

    def test_unplugging_one_nic_takes_nothing_from_the_others(self, case: NetworkCase) -> None:
        vm = case.vm(7)
        _plug(case, vm)
        with_one = case.state()
        other = _second_nic(vm)
        case.driver.pre(vm, other)
        for _ in range(2):
            case.driver.clean(vm, other)
        assert case.state() == with_one

    def test_rules_are_put_in_force_as_often_as_wanted(self, case: NetworkCase) -> None:
        vm = case.vm(7)
        deploy_id = _plug(case, vm)
        before = case.state()
        for _ in range(2):
            case.driver.update(vm, deploy_id, 0)
        assert case.state() == before


def _plug(case: NetworkCase, vm: VM) -> str:
    case.driver.pre(vm)
    deploy_id = case.start(vm)
    case.driver.post(vm, deploy_id)
    return deploy_id


def _second_nic(vm: VM) -> int:
    """A NIC 1 on the network of the first; answers its id."""
    (first,) = vm.template.vectors("NIC")
    vm.template.add("NIC", Vector({**first, "NIC_ID": "1", "TARGET": f"one-{vm.id}-1"}))
    return 1
