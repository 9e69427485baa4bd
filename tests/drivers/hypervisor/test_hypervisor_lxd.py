"""Containers for real: the distribution's LXD, started for these tests, with images of busybox."""

import json
import shutil
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import LxdCase, OwnLxd, clean_case, in_image, make_images, running_lxd
from tests.drivers.contract_hypervisor import HypervisorContract, find

from merope.drivers.context import Context, build
from merope.drivers.hypervisor.base import DomainState
from merope.drivers.hypervisor.lxd_links import remove_left
from merope.drivers.hypervisor.mounted_disks import mounts
from merope.drivers.network.ip_link import links, run_ip
from merope.drivers.paths import Allowed
from merope_agent import lxd as lxd_probe

pytestmark = [pytest.mark.xdist_group("lxd")]
LXD = "hypervisor/lxd"


@pytest.fixture(scope="module")
def lxd() -> Iterator[OwnLxd]:
    with running_lxd() as made:
        yield made


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def case(lxd: OwnLxd, images: Path) -> Iterator[LxdCase]:
    with clean_case(lxd, images) as made:
        yield made


@pytest.mark.runs(LXD, "deploy", "shutdown", "cancel", "reset", "domains", "report")
class TestLxdHypervisor(HypervisorContract):
    pass


@pytest.mark.runs(LXD, "deploy")
def test_a_stock_client_sees_the_container_and_its_limits(case: LxdCase) -> None:
    case.driver.deploy(case.vm(text="VCPU = 2"), case.system_dir)
    (found,) = json.loads(case.lxd.client("list", "--format", "json"))
    assert (found["name"], found["status"]) == ("one-7", "Running")
    wanted = {"limits.memory": "64MiB", "limits.cpu": "2", "limits.cpu.allowance": "50%"}
    assert wanted.items() <= found["config"].items()


def test_the_agent_sees_the_container(case: LxdCase) -> None:
    case.driver.deploy(case.vm(), case.system_dir)
    (found,) = lxd_probe.read(str(case.lxd.directory / "unix.socket"))
    assert (found.vm, found.state, found.max_memory) == (7, "RUNNING", 64 * 1024)


@pytest.mark.runs(LXD, "deploy", "shutdown")
def test_what_a_container_writes_is_in_its_image_with_its_own_owners(case: LxdCase) -> None:
    vm = case.vm()
    deploy_id = case.driver.deploy(vm, case.system_dir)
    assert case.lxd.shell(deploy_id, "echo kept > /root/note; cat /proc/self/uid_map").split()[1] != "0"
    case.driver.shutdown(deploy_id)
    found = in_image(case.system_dir / "disk.0", "cat /root/note", "stat /root/note")
    assert "kept" in found
    assert "User:     0" in found
    case.driver.deploy(vm, case.system_dir)
    assert case.lxd.shell(deploy_id, "cat /root/note") == "kept"


@pytest.mark.runs(LXD, "attach_disk", "detach_disk")
def test_a_disk_that_is_plugged_in_can_be_written_and_is_kept(case: LxdCase) -> None:
    vm = case.plugged(7)
    deploy_id = case.driver.deploy(case.vm(), case.system_dir)
    case.driver.attach_disk(vm, deploy_id, 2, case.system_dir)
    case.lxd.shell(deploy_id, "echo kept > /media/2/note")
    case.driver.detach_disk(vm, deploy_id, 2)
    found = in_image(case.system_dir / "disk.2", "cat /note", "stat /note")
    assert "kept" in found
    assert "User:     0" in found


@pytest.mark.runs(LXD, "attach_nic", "detach_nic")
def test_a_nic_is_on_its_bridge_with_its_mac(case: LxdCase) -> None:
    vm = case.plugged(7)
    deploy_id = case.driver.deploy(case.vm(), case.system_dir)
    case.driver.attach_nic(vm, deploy_id, 1, case.system_dir)
    assert links()[case.tap].master == case.bridge
    assert "02:00:00:00:07:01" in case.lxd.shell(deploy_id, "ip link show dev eth1")
    case.driver.detach_nic(vm, deploy_id, 1)
    assert case.tap not in links()


@pytest.mark.runs(LXD, "renew_context")
def test_the_context_is_a_directory_whose_files_are_renewed(case: LxdCase) -> None:
    vm = case.vm(text='CONTEXT = [ DISK_ID = 3, NETWORK = "YES" ]')
    image = case.system_dir / "disk.3"
    allowed = Allowed((), ())
    build(image, Context({"NAME": "one"}, token="secret"), allowed)
    deploy_id = case.driver.deploy(vm, case.system_dir)
    assert "NAME='one'" in case.lxd.shell(deploy_id, "cat /context/context.sh")
    assert case.lxd.shell(deploy_id, "cat /context/token.txt") == "secret"
    build(image, Context({"NAME": "two"}), allowed)
    case.driver.renew_context(vm, deploy_id, case.system_dir)
    assert "NAME='two'" in case.lxd.shell(deploy_id, "cat /context/context.sh")
    assert case.lxd.shell(deploy_id, "ls /context") == "context.sh"


@pytest.mark.runs(LXD, "snapshot_revert")
def test_a_container_returns_to_what_its_disks_were(case: LxdCase) -> None:
    vm = case.vm()
    deploy_id = case.driver.deploy(vm, case.system_dir)
    case.lxd.shell(deploy_id, "echo before > /root/note")
    name = case.driver.snapshot_create(vm, deploy_id, 0, case.system_dir)
    case.lxd.shell(deploy_id, "echo after > /root/note")
    case.driver.snapshot_revert(vm, deploy_id, name, case.system_dir)
    assert case.lxd.shell(deploy_id, "cat /root/note") == "before"


@pytest.mark.runs(LXD, "domains")
def test_a_container_that_ended_by_itself_leaves_its_disks_alone(case: LxdCase) -> None:
    deploy_id = case.driver.deploy(case.vm(), case.system_dir)
    case.lxd.client("stop", deploy_id)
    assert case.driver.domains() == []
    assert not [each for each in mounts() if each.target.is_relative_to(case.location.parent)]
    assert json.loads(case.lxd.client("list", "--format", "json")) == []


@pytest.mark.runs(LXD, "domains", "cancel")
def test_wild_containers_are_told_and_kept_when_their_vm_ends(case: LxdCase) -> None:
    case.lxd.client("query", "-X", "POST", "--wait", "/1.0/instances", "-d", _EMPTY)
    (domain,) = case.driver.domains()
    assert (domain.deploy_id, domain.vm_id, domain.state) == ("web", None, DomainState.POWEROFF)
    case.driver.cancel("web")
    assert find(case.driver, "web") is not None


@pytest.mark.skipif(shutil.which("Xvnc") is None, reason="Xvnc is not installed")
@pytest.mark.skipif(shutil.which("vncpasswd") is None, reason="vncpasswd is not installed")
@pytest.mark.parametrize(("password", "security"), [("", 1), ("geheim", 2)])
def test_vnc_shows_a_terminal(case: LxdCase, password: str, security: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    vm = case.vm(text=f'GRAPHICS = [ TYPE = VNC, PORT = {port}, PASSWD = "{password}" ]')
    case.driver.deploy(vm, case.system_dir)
    with socket.create_connection(("127.0.0.1", port), 10) as viewer:
        assert viewer.recv(12) == b"RFB 003.008\n"
        viewer.sendall(b"RFB 003.008\n")
        (count,) = struct.unpack("B", viewer.recv(1))
        assert security in viewer.recv(count)
    case.driver.cancel("one-7")
    assert not Path(f"/tmp/.X11-unix/X{port}").exists()


_ROOT = {"type": "disk", "path": "/", "pool": "default"}
_EMPTY = json.dumps(
    {"name": "web", "type": "container", "source": {"type": "none"}, "devices": {"root": _ROOT}}
)


def test_an_interface_that_a_killed_start_left_does_not_hinder_the_next(case: LxdCase) -> None:
    run_ip(["link", "add", case.tap, "type", "veth", "peer", "name", f"{case.tap}p"])
    assert case.driver.deploy(case.plugged(7), case.system_dir) == "one-7"
    assert links()[case.tap].master == case.bridge
    assert f"{case.tap}p" not in links()


def test_the_interface_of_a_container_in_use_is_not_taken_for_one_that_was_left(case: LxdCase) -> None:
    case.driver.deploy(case.plugged(7), case.system_dir)
    remove_left([case.tap])
    assert case.tap in links()
