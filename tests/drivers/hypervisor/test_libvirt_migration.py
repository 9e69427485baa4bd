"""Live migrations that take too long, and those that cannot be."""

import threading

import pytest

from merope.drivers.hypervisor import libvirt_migration
from merope.drivers.hypervisor.libvirt_api import Code, Migrate
from merope.drivers.hypervisor.libvirt_migration import Watch, flags_of
from merope.drivers.hypervisor.libvirt_session import LibvirtError

GB = 1 << 30


class MovingDomain:
    """A domain whose migration goes on until somebody ends it."""

    def __init__(self) -> None:
        self.aborted = threading.Event()

    def jobInfo(self) -> list[int]:  # noqa: N802 - libvirt's names
        return [2, 1000, 0, 4 * GB, GB, 3 * GB]

    def abortJob(self) -> int:  # noqa: N802 - as above
        self.aborted.set()
        return 0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_migration, "_LOOK", 0.001)


def test_a_migration_that_takes_too_long_is_ended_and_told_how_far_it_came() -> None:
    domain = MovingDomain()
    watch = Watch(domain, "one-7", 0.01)
    with watch.watching():
        assert domain.aborted.wait(30)
    told = str(watch.explained(LibvirtError("operation aborted", Code.OPERATION_ABORTED), "node2"))
    assert "one-7 did not move to node2 within 0 s (1024 MB sent, 3072 of 4096 MB left) and stays" in told


def test_a_migration_without_a_limit_is_left_alone() -> None:
    domain = MovingDomain()
    with Watch(domain, "one-7", 0.0).watching():
        assert not domain.aborted.wait(0.05)


@pytest.mark.parametrize(
    "error",
    [
        LibvirtError("the CPU is incompatible with host CPU: lacks avx512f", Code.CPU_INCOMPATIBLE),
        LibvirtError("guest CPU doesn't match specification: missing features: svm", Code.CONFIG_UNSUPPORTED),
    ],
)
def test_a_processor_that_will_not_do_is_explained(error: LibvirtError) -> None:
    told = str(Watch(MovingDomain(), "one-7", 0.0).explained(error, "node2"))
    assert told.startswith(
        "one-7 cannot move live to node2, whose processor lacks what the guest was started with"
    )
    assert str(error) in told
    assert "CPU_MODEL" in told


def test_other_errors_are_libvirts_own() -> None:
    error = LibvirtError("no route to host", Code.OPERATION_FAILED, lost=True)
    assert Watch(MovingDomain(), "one-7", 0.0).explained(error, "node2") is error


def test_options_of_virsh_are_flags() -> None:
    assert flags_of("--unsafe --auto-converge --verbose") == Migrate.UNSAFE | Migrate.AUTO_CONVERGE
    assert flags_of("") == 0
