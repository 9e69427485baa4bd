"""A host lets one operation of a VM run at a time, and none that is older than what it has seen."""

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.drivers.errors import DriverError
from merope.drivers.fence import Fence, StaleOperationError


@pytest.fixture
def fence(tmp_path: Path) -> Fence:
    return Fence(tmp_path / "host" / "epochs")


def test_an_older_operation_is_refused_for_ever(fence: Fence, tmp_path: Path) -> None:
    with fence.hold(7, 12):
        pass
    again = Fence(tmp_path / "host" / "epochs")
    with pytest.raises(StaleOperationError, match="operation 11 of VM 7 is older than 12"), again.hold(7, 11):
        pytest.fail("the older operation began")


def test_the_same_operation_may_be_done_again(fence: Fence) -> None:
    begun = 0
    for _ in range(2):
        with fence.hold(7, 12):
            begun += 1
    assert begun == 2


def test_while_an_operation_runs_another_of_the_vm_waits_outside(fence: Fence) -> None:
    with fence.hold(7, 12):
        with pytest.raises(DriverError, match="another operation of VM 7") as caught, fence.hold(7, 13):
            pytest.fail("two operations ran at once")
        assert caught.value.retry_safe


def test_operations_of_other_vms_are_not_held_up(fence: Fence) -> None:
    begun = False
    with fence.hold(7, 12), fence.hold(8, 1), fence.hold(6, 1):
        begun = True
    assert begun


def test_an_operation_whose_process_was_killed_holds_nothing(fence: Fence) -> None:
    pid = os.fork()
    if pid == 0:
        fence.hold(7, 12).__enter__()
        os.kill(os.getpid(), 9)
    assert os.waitpid(pid, 0)[1] == 9
    with pytest.raises(StaleOperationError), fence.hold(7, 11):
        pytest.fail("the older operation began")
    begun = False
    with fence.hold(7, 13):
        begun = True
    assert begun


def test_the_lock_is_not_inherited_by_commands(fence: Fence) -> None:
    with fence.hold(7, 12):
        (descriptor,) = [name for name in os.listdir("/proc/self/fd") if _target(name).endswith("epochs")]
        assert not os.get_inheritable(int(descriptor))


def _target(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        return ""


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), max_size=30))
def test_what_begins_never_goes_back(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[int, int]]
) -> None:
    fence = Fence(tmp_path_factory.mktemp("fence") / "epochs")
    newest: dict[int, int] = {}
    for vm_id, epoch in operations:
        if epoch < newest.get(vm_id, 0):
            with pytest.raises(StaleOperationError), fence.hold(vm_id, epoch):
                pytest.fail("an older operation began")
        else:
            with fence.hold(vm_id, epoch):
                newest[vm_id] = epoch


def test_a_refusal_survives_the_way_from_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(StaleOperationError("operation 1 of VM 7 is older")))
    assert (str(error), error.retry_safe) == ("operation 1 of VM 7 is older", False)
    assert pickle.loads(pickle.dumps(DriverError("later", retry_safe=True))).retry_safe
