"""What else is done to containers: the rest of the contract, and what is particular to images and to LXD."""

import json
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from containers import LxdCase, OwnLxd, clean_case, in_image, make_images, running_lxd
from tests.drivers.contract_hypervisor import HotplugContract, SnapshotContract, find
from tests.real.machine import eventually

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Domain
from merope.drivers.hypervisor.lxd import LxdHypervisor
from merope.drivers.network.ip_link import links
from merope.model.template import Vector

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("lxd")]
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


@pytest.mark.runs(
    LXD, "has_disk", "attach_disk", "detach_disk", "attach_nic", "detach_nic", "disk_copy",
    "renew_context",
)  # fmt: skip
class TestLxdHotplug(HotplugContract):
    pass


@pytest.mark.runs(LXD, "snapshot_create", "snapshot_revert", "snapshot_delete")
class TestLxdSnapshots(SnapshotContract):
    pass


def test_a_privileged_container_has_the_hosts_ids(case: LxdCase) -> None:
    vm = case.vm(text="LXD_SECURITY_PRIVILEGED = true")
    deploy_id = case.driver.deploy(vm, case.system_dir)
    assert case.lxd.shell(deploy_id, "cat /proc/self/uid_map").split()[1] == "0"


def test_a_qcow2_image_is_a_root_file_system_too(case: LxdCase) -> None:
    disk = case.system_dir / "disk.0"
    raw = disk.rename(disk.with_name("raw"))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True)
    vm = case.vm()
    vm.template.vectors("DISK")[0]["DRIVER"] = "qcow2"
    deploy_id = case.driver.deploy(vm, case.system_dir)
    case.lxd.shell(deploy_id, "echo kept > /root/note")
    case.driver.cancel(deploy_id)
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
    assert "kept" in in_image(raw, "cat /root/note")


def test_an_image_with_a_partition_table_is_a_root_file_system_too(case: LxdCase) -> None:
    disk = case.system_dir / "disk.0"
    content = disk.read_bytes()
    with disk.open("wb") as stream:
        stream.truncate(len(content) + (2 << 20))
    entry = struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, len(content) // 512)
    with disk.open("r+b") as stream:
        stream.seek(0x1BE)
        stream.write(entry + bytes(48) + b"\x55\xaa")
        stream.seek(1 << 20)
        stream.write(content)
    deploy_id = case.driver.deploy(case.vm(), case.system_dir)
    assert case.lxd.shell(deploy_id, "echo runs") == "runs"


def test_disks_of_the_template_are_mounted_where_it_says(case: LxdCase) -> None:
    vm = case.vm(text='DISK = [ DISK_ID = 2, TYPE = FILE, DRIVER = raw, TARGET = "/srv/data" ]')
    deploy_id = case.driver.deploy(vm, case.system_dir)
    assert case.lxd.shell(deploy_id, "echo kept > /srv/data/note; cat /srv/data/note") == "kept"


@pytest.mark.runs(LXD, "disk_copy")
def test_a_copy_of_a_disk_in_use_is_whole(case: LxdCase) -> None:
    vm = case.vm()
    deploy_id = case.driver.deploy(vm, case.system_dir)
    case.lxd.shell(deploy_id, "echo kept > /root/note")
    target = case.system_dir / "disk.0.copied"
    case.driver.disk_copy(vm, deploy_id, 0, target, "raw")
    assert "kept" in in_image(target, "cat /root/note")
    check = subprocess.run(["e2fsck", "-fn", str(target)], capture_output=True)
    assert check.returncode == 0, check.stdout


@pytest.mark.runs(LXD, "reboot")
def test_a_container_that_is_asked_to_reboot_runs_on_its_disk(case: LxdCase) -> None:
    deploy_id = case.driver.deploy(case.vm(), case.system_dir)
    case.lxd.shell(deploy_id, "echo kept > /root/note")
    case.driver.reboot(deploy_id)
    assert case.lxd.shell(deploy_id, "cat /root/note") == "kept"


def test_a_container_that_is_being_made_is_nobodys_to_remove(case: LxdCase) -> None:
    """As another worker of the same host sees it, between its creation and its start."""
    vm = case.vm()
    case.real._make(vm, "one-7", case.system_dir)
    assert case.lxd.driver(case.location.parent, case.location).domains() == []
    assert json.loads(case.lxd.client("list", "--format", "json"))
    assert case.driver.deploy(vm, case.system_dir) == "one-7"


def test_the_container_of_another_cloud_is_not_taken_over(case: LxdCase) -> None:
    case.driver.deploy(case.vm(), case.system_dir)
    stranger = case.vm()
    stranger.stime = 10
    with pytest.raises(DriverError, match="another cloud's"):
        case.driver.deploy(stranger, case.system_dir)


def test_figures_are_what_the_container_uses(case: LxdCase) -> None:
    deploy_id = case.driver.deploy(case.plugged(7), case.system_dir)
    domain = find(case.driver, deploy_id)
    assert isinstance(domain, Domain)
    assert (domain.memory_kb, domain.vcpus) == (64 * 1024, 1)
    assert int(domain.metrics["MEMORY"]) > 0
    assert {"CPU", "NETRX", "NETTX"} <= domain.metrics.keys()


@pytest.mark.parametrize(
    "call",
    [
        lambda case: case.driver.save("one-7", case.system_dir / "checkpoint"),
        lambda case: case.driver.restore(case.vm(), "one-7", case.system_dir / "checkpoint", case.system_dir),
        lambda case: case.driver.migrate("one-7", "node2"),
        lambda case: case.driver.disk_continue(case.vm(), "one-7", 0, case.system_dir / "overlay"),
    ],
    ids=["save", "restore", "migrate", "disk_continue"],
)
def test_what_containers_cannot_do_is_said(case: LxdCase, call: object) -> None:
    assert callable(call)
    case.driver.deploy(case.vm(), case.system_dir)
    with pytest.raises(DriverError, match=r"container"):
        call(case)
    assert find(case.driver, "one-7") is not None


def test_an_image_without_a_system_is_refused_and_nothing_is_left(case: LxdCase) -> None:
    case.add("empty", 0)
    with pytest.raises(DriverError, match="disk 0 holds no root file system"):
        case.driver.deploy(case.vm(), case.system_dir)


def test_a_container_that_does_not_start_says_why(case: LxdCase) -> None:
    vm = case.vm(text='RAW = [ TYPE = lxd, DATA = "lxc.init.cmd = /nowhere" ]')
    with pytest.raises(DriverError, match="the container one-7 does not start"):
        case.driver.deploy(vm, case.system_dir)


@pytest.mark.runs(LXD, "shutdown")
def test_a_container_that_does_not_stop_is_told_and_runs_on(case: LxdCase) -> None:
    deploy_id = case.driver.deploy(case.vm(), case.system_dir)
    deaf = "printf '#!/bin/sh\\ntrap \"\" PWR TERM INT\\nwhile :; do sleep 1; done\\n' > /sbin/init"
    case.lxd.shell(deploy_id, deaf)
    case.driver.reset(deploy_id)
    impatient = LxdHypervisor(replace(case.real.settings, shutdown_timeout=2.0))
    with pytest.raises(DriverError, match="one-7 did not stop within 2 s"):
        impatient.shutdown(deploy_id)
    assert case.lxd.shell(deploy_id, "echo runs") == "runs"
    forcing = LxdHypervisor(replace(case.real.settings, shutdown_timeout=2.0, force_destroy=True))
    forcing.shutdown(deploy_id)
    assert find(case.driver, deploy_id) is None


def test_a_start_that_fails_leaves_no_interface_on_the_host(case: LxdCase) -> None:
    """LXD makes the pair before the container's own hooks have run, and keeps it when one of them fails."""
    vm = case.plugged(7)
    vm.template.add("RAW", Vector({"TYPE": "lxd", "DATA": "lxc.hook.pre-start = /bin/false"}))
    with pytest.raises(DriverError, match="the container one-7 does not start"):
        case.driver.deploy(vm, case.system_dir)
    assert case.tap not in links()


@pytest.mark.runs(LXD, "domains", "deploy")
def test_what_ended_while_lxd_was_down_is_put_away_with_its_interface(case: LxdCase) -> None:
    """LXC gives the NIC back to the host then, and it is LXD that would take the pair away."""
    vm = case.plugged(7)
    deploy_id = case.driver.deploy(vm, case.system_dir)
    pid = json.loads(case.lxd.client("query", f"/1.0/instances/{deploy_id}/state"))["pid"]
    case.lxd.crash()
    os.kill(pid, signal.SIGKILL)
    eventually("the container has ended", lambda: not Path(f"/proc/{pid}").exists())
    case.lxd.start()
    assert find(case.driver, deploy_id) is None
    assert case.tap not in links()
    case.driver.deploy(vm, case.system_dir)
    assert links()[case.tap].master == case.bridge


@pytest.mark.runs(LXD, "shutdown", "cancel")
@pytest.mark.parametrize("end", ["shutdown", "cancel"])
def test_a_container_that_is_being_restarted_is_ended_and_does_not_come_back(case: LxdCase, end: str) -> None:
    deploy_id = case.driver.deploy(case.vm(), case.system_dir)
    asked = json.dumps({"action": "restart", "timeout": 30})
    case.lxd.client("query", "-X", "PUT", "-d", asked, f"/1.0/instances/{deploy_id}/state")
    getattr(case.driver, end)(deploy_id)
    assert find(case.driver, deploy_id) is None
    assert json.loads(case.lxd.client("list", "--format", "json")) == []
