"""MicroVMs, against stand-ins for Firecracker and its jailer.

They hold every request to the published description, and boot real guests by QEMU.
"""

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from microvms import UID, MicrovmCase, clean_case, why_not
from tests.drivers.contract_hypervisor import HypervisorContract, find

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import DomainState
from merope.drivers.network.ip_link import links
from merope_agent import firecracker as probe

pytestmark = [
    pytest.mark.xdist_group("firecracker"),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "never"),
]
FC = "hypervisor/firecracker"


@pytest.fixture
def case() -> Iterator[MicrovmCase]:
    with clean_case(Path(tempfile.mkdtemp(prefix="mrp-"))) as made:
        yield made


@pytest.mark.runs(FC, "deploy", "cancel", "reset", "domains", "report", where="stand-in")
class TestFirecracker(HypervisorContract):
    pass


def test_the_agent_sees_the_microvm(case: MicrovmCase) -> None:
    case.driver.deploy(case.vm(), case.system_dir)
    (found,) = probe.read(str(case.settings.jails))
    assert (found.vm, found.state) == (7, "RUNNING")
    assert found.memory > 0
    case.driver.cancel("one-7")
    assert probe.read(str(case.settings.jails)) == []


@pytest.mark.runs(FC, "disk_copy", "has_disk", where="stand-in")
def test_a_disk_is_copied_while_the_guest_is_paused_and_then_it_goes_on(case: MicrovmCase) -> None:
    vm = case.vm()
    (case.system_dir / "disk.0").write_bytes(b"kept" + bytes(1 << 20))
    deploy_id = case.driver.deploy(vm, case.system_dir)
    assert case.driver.has_disk(vm, deploy_id, 0)
    target = case.system_dir / "disk.0.copied"
    case.driver.disk_copy(vm, deploy_id, 0, target, "raw")
    assert target.read_bytes()[:4] == b"kept"
    domain = find(case.driver, deploy_id)
    assert domain is not None
    assert domain.state is DomainState.RUNNING


@pytest.mark.runs(FC, "deploy", "cancel", where="stand-in")
def test_a_nic_has_a_tap_on_its_bridge_for_as_long_as_it_runs(case: MicrovmCase) -> None:
    case.driver.deploy(case.with_nic(), case.system_dir)
    assert links()[case.tap].master == case.bridge
    case.driver.cancel("one-7")
    assert case.tap not in links()


def test_files_are_those_of_whom_it_runs_as_and_not_copied(case: MicrovmCase) -> None:
    case.driver.deploy(case.vm(), case.system_dir)
    jail = case.settings.jails / "firecracker" / "one-7" / "root"
    assert (jail / "disk.0").stat().st_ino == (case.system_dir / "disk.0").stat().st_ino
    assert (jail / "disk.0").stat().st_uid == UID


def test_the_metadata_service_is_told_of_the_context_and_of_its_changes() -> None:
    with clean_case(Path(tempfile.mkdtemp(prefix="mrp-")), mmds=True) as case:
        vm = case.with_nic('CONTEXT = [ NAME = "one" ]')
        deploy_id = case.driver.deploy(vm, case.system_dir)
        api = case.real._api(deploy_id)
        assert api.get("/mmds")["latest"]["context"]["NAME"] == "one"
        context = vm.template.vector("CONTEXT")
        assert context is not None
        context["NAME"] = "two"
        case.driver.renew_context(vm, deploy_id, case.system_dir)
        assert api.get("/mmds")["latest"]["context"]["NAME"] == "two"


def test_vsock_metrics_and_rates_are_as_the_template_has_them(case: MicrovmCase) -> None:
    vm = case.with_nic("VSOCK = YES")
    vm.template.vectors("DISK")[0]["TOTAL_BYTES_SEC"] = "1048576"
    vm.template.vectors("NIC")[0]["INBOUND_AVG_BW"] = "100"
    case.driver.deploy(vm, case.system_dir)
    api = case.real._api("one-7")
    told = api.get("/vm/config")
    bucket = {"size": 1048576, "refill_time": 1000}
    assert told["drives"][0]["rate_limiter"] == {"bandwidth": bucket}
    rate = {"bandwidth": {"size": 102400, "refill_time": 1000}}
    assert told["network-interfaces"][0]["rx_rate_limiter"] == rate
    api.act("FlushMetrics")
    jail = case.settings.jails / "firecracker" / "one-7" / "root"
    assert json.loads((jail / "metrics").read_text())
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(jail / "vsock"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('CPU_MODEL = [ MODEL = "Skylake" ]', "Firecracker has the CPU templates C3"),
        ("VCPU = 33", "between 1 and 32"),
        ('RAW = [ TYPE = firecracker, DATA = "{" ]', "RAW/DATA must be JSON"),
        (
            'RAW = [ TYPE = firecracker, DATA = "{\\"machine-config\\": {\\"huge\\": 1}}" ]',
            "refuses PUT /machine-config: .*unknown field `huge`",
        ),
    ],
)
def test_what_firecracker_cannot_do_is_said_and_nothing_is_left(
    case: MicrovmCase, text: str, message: str
) -> None:
    with pytest.raises(DriverError, match=message):
        case.driver.deploy(case.vm(text=text), case.system_dir)
    assert case.driver.domains() == []


def test_an_image_in_qcow2_is_refused(case: MicrovmCase) -> None:
    vm = case.vm()
    vm.template.vectors("DISK")[0]["DRIVER"] = "qcow2"
    with pytest.raises(DriverError, match="disk 0 is qcow2: Firecracker reads raw images only"):
        case.driver.deploy(vm, case.system_dir)


def test_a_kernel_that_is_none_is_refused_in_firecrackers_words(case: MicrovmCase) -> None:
    (case.system_dir / "kernel").unlink()
    (case.system_dir / "kernel").write_bytes(b"MZ")
    with pytest.raises(DriverError, match="PUT /boot-source: Cannot load kernel"):
        case.driver.deploy(case.vm(), case.system_dir)


def test_a_jailer_that_fails_is_told_with_what_it_said(case: MicrovmCase) -> None:
    case.settings.jailer.write_text("#!/bin/sh\necho no room in jail\nexit 1\n")
    with pytest.raises(DriverError, match=r"Firecracker does not start.*no room in jail"):
        case.driver.deploy(case.vm(), case.system_dir)


def test_the_microvm_of_another_cloud_is_not_taken_over(case: MicrovmCase) -> None:
    case.driver.deploy(case.vm(), case.system_dir)
    stranger = case.vm()
    stranger.stime = 10
    with pytest.raises(DriverError, match="another cloud's"):
        case.driver.deploy(stranger, case.system_dir)


@pytest.mark.skipif(shutil.which("Xvnc") is None, reason="Xvnc is not installed")
def test_vnc_shows_the_console(case: MicrovmCase) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    case.driver.deploy(case.vm(text=f"GRAPHICS = [ TYPE = VNC, PORT = {port} ]"), case.system_dir)
    with socket.create_connection(("127.0.0.1", port), 10) as viewer:
        assert viewer.recv(12) == b"RFB 003.008\n"
