"""Guests of microVMs that boot and end, against stand-ins for Firecracker and its jailer.

They hold every request to the published description, and boot real guests by QEMU.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from microvms import MicrovmCase, clean_case, why_not
from tests.drivers.contract_hypervisor import find

from merope.drivers.context import Context, build
from merope.drivers.paths import Allowed

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("firecracker"),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "never"),
]
FC = "hypervisor/firecracker"


@pytest.fixture
def case() -> Iterator[MicrovmCase]:
    with clean_case(Path(tempfile.mkdtemp(prefix="mrp-"))) as made:
        yield made


def eventually(what: str, found: object, limit: float = 90.0) -> None:
    assert callable(found)
    deadline = time.monotonic() + limit
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.runs(FC, "deploy", "shutdown", "reboot", where="stand-in")
def test_a_guest_boots_reads_its_context_reboots_and_ends_when_asked(case: MicrovmCase) -> None:
    vm = case.vm(text='CONTEXT = [ DISK_ID = 1, TARGET = "vdb" ]')
    context = Context({"SET_HOSTNAME": "micro"})
    build(case.system_dir / "disk.1", context, Allowed((), ()))
    deploy_id = case.driver.deploy(vm, case.system_dir)
    eventually("the guest is up", lambda: "merope-guest: ready" in case.console())
    assert "context read from /dev/vdb" in case.console()
    case.driver.reboot(deploy_id)
    eventually("the guest is up again", lambda: "merope-guest: ready" in case.console())
    case.driver.shutdown(deploy_id)
    assert find(case.driver, deploy_id) is None


@pytest.mark.runs(FC, "domains", where="stand-in")
def test_a_guest_that_ended_by_itself_leaves_nothing(case: MicrovmCase) -> None:
    case.driver.deploy(case.vm(), case.system_dir)
    eventually("the guest is up", lambda: "merope-guest: ready" in case.console())
    api = case.real._api("one-7")
    api.act("SendCtrlAltDel")
    eventually("the guest has ended", lambda: api.process() is None)
    assert case.driver.domains() == []
    assert not case.settings.state.joinpath("one-7").exists()
