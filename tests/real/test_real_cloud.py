"""The first cloud, whole: what `make cloud` makes survives what users and accidents do to it.

One cloud serves all tests of this file, in their order; each leaves its machine running.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.real.cloud import RUNNING, FirstCloud
from tests.real.machine import choosing_a_range, eventually

from merope.client import ClientError
from merope.daemon import control
from merope.daemon.demo_network import DemoBridge
from merope.daemon.libvirtd import OwnLibvirtd
from merope.drivers.network.ip_link import links
from merope.model.states import VmState

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]


@pytest.fixture(scope="module")
def cloud(image: Path) -> Iterator[FirstCloud]:
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    home.chmod(0o700)
    made = FirstCloud(home)
    try:
        with choosing_a_range():
            made.make()
        yield made
    finally:
        made.demo("down")
        shutil.rmtree(home)


def test_the_guest_serves_the_page_of_its_context_on_its_own_address(cloud: FirstCloud) -> None:
    page = cloud.guest.get()
    assert "this is demo" in page
    assert cloud.guest.address in page
    assert cloud.guest.info()["hostname"] == "demo"


def test_a_second_run_uses_what_is_there(cloud: FirstCloud) -> None:
    boot = cloud.guest.boot_id()
    started = time.monotonic()
    assert "http://" in cloud.demo("up")
    assert time.monotonic() - started < 15
    assert cloud.guest.boot_id() == boot


@pytest.mark.parametrize("accident", [False, True], ids=["undisturbed", "core killed"])
def test_power_off_and_resume_keep_the_disk(cloud: FirstCloud, accident: bool) -> None:
    guest = cloud.guest
    guest.wait()
    guest.get(f"/cgi-bin/note?write=kept-{accident}")
    cloud.act("poweroff")
    if accident:
        cloud.kill_the_core()
    cloud.wait_for(VmState.POWEROFF)
    assert cloud.domains() == []
    cloud.act("resume")
    if accident:
        cloud.kill_the_core()
    cloud.wait_for(RUNNING)
    guest.wait()
    assert guest.get("/cgi-bin/note") == f"kept-{accident}\n"


@pytest.mark.parametrize("accident", [False, True], ids=["undisturbed", "core killed"])
def test_suspend_and_resume_keep_the_memory(cloud: FirstCloud, accident: bool) -> None:
    guest = cloud.guest
    guest.wait()
    boot, hits = guest.boot_id(), guest.hits()
    cloud.act("suspend")
    if accident:
        cloud.kill_the_core()
    cloud.wait_for(VmState.SUSPENDED)
    assert cloud.domains() == []
    cloud.act("resume")
    if accident:
        cloud.kill_the_core()
    cloud.wait_for(RUNNING)
    guest.wait()
    assert guest.boot_id() == boot
    assert guest.hits() == hits + 1


@pytest.mark.parametrize("accident", [False, True], ids=["undisturbed", "core killed"])
def test_a_reboot_boots_anew(cloud: FirstCloud, accident: bool) -> None:
    guest = cloud.guest
    guest.wait()
    boot = guest.boot_id()
    cloud.act("reboot")
    if accident:
        cloud.kill_the_core()
    eventually("another boot id", lambda: guest.has_rebooted(boot))
    cloud.wait_for(RUNNING)


@pytest.mark.parametrize("accident", [False, True], ids=["undisturbed", "core killed"])
def test_terminate_removes_everything_of_the_vm(cloud: FirstCloud, accident: bool) -> None:
    directory = cloud.layout.datastores / "0" / str(cloud.look().id)
    assert (directory / "disk.0").exists()
    cloud.act("terminate-hard")
    if accident:
        cloud.kill_the_core()

    def gone() -> bool:
        try:
            with cloud.client as client:
                return not client.pool("vm")
        except ClientError:
            return False

    eventually("there is no VM", gone)
    assert cloud.domains() == []
    assert not directory.exists()
    cloud.demo("up")
    cloud.wait_for(RUNNING)


def test_down_leaves_nothing_behind(cloud: FirstCloud) -> None:
    home = cloud.layout.home
    said = cloud.demo("down")
    assert "the bridge" in said
    assert DemoBridge(home).name not in links()
    assert control.supervisor_pid(cloud.layout) is None
    assert OwnLibvirtd(home).process() is None
    assert str(home) not in Path("/proc/self/mounts").read_text()
    assert processes_with(str(home)) == []
    cloud.demo("down")


def processes_with(text: str) -> list[str]:
    """Command lines of other processes that name something in the cloud's home."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in words and int(directory.name) != os.getpid():
            found.append(words)
    return found
