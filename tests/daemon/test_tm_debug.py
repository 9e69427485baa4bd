"""`one tm-debug` where there is nothing to go through; steps are in tests/engine, hosts in tests/e2e."""

from pathlib import Path, PurePosixPath

import pytest

from merope.daemon.hosts_command import CommandFailed
from merope.daemon.tm_debug import _ENDINGS, Transfers, main
from merope.drivers.ssh import SshSettings
from merope.engine.plans import PLANS
from merope.engine.remote import Remote
from merope.engine.workers import WorkerPool
from merope.model.phase import Phase
from merope.model.template import Template
from merope.model.vm import VM


def test_without_a_cloud_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["7", "--home", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "one: there is no cloud here that was started\n"


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.PROLOG, Phase.BOOT_FAILURE, Phase.DONE])
def test_a_vm_whose_transfer_has_not_failed_is_left_to_the_core(phase: Phase, tmp_path: Path) -> None:
    vm = VM(7, 0, 0, "oneadmin", "oneadmin", "web", template=Template())
    vm.state, vm.lcm_state = phase.value
    with pytest.raises(CommandFailed, match=f"VM 7 is {phase.name}: only a transfer that has failed"):
        Transfers(
            vm, WorkerPool(tmp_path, tmp_path), Remote(tmp_path, tmp_path, PurePosixPath("/x"), SshSettings())
        )


def test_every_failed_transfer_has_a_plan() -> None:
    assert set(_ENDINGS.values()) <= set(PLANS)
    failed = {
        phase for phase in Phase if phase.name.startswith(("PROLOG", "EPILOG")) and "FAILURE" in phase.name
    }
    assert set(_ENDINGS) == failed
