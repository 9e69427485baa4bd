"""The first cloud, whole: what `make cloud` makes survives what users and accidents do to it.

One cloud serves all tests of this file, in their order; each leaves its machine running.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.real.machine import Guest, choosing_a_range, eventually

from merope.client import Client, ClientError
from merope.daemon import control
from merope.daemon.demo_network import DemoBridge
from merope.daemon.demo_objects import Machine
from merope.daemon.layout import Layout
from merope.daemon.libvirtd import OwnLibvirtd
from merope.daemon.start import last_options
from merope.drivers.hypervisor.base import Domain
from merope.drivers.hypervisor.libvirt import LibvirtHypervisor
from merope.drivers.hypervisor.libvirt_settings import KvmSettings
from merope.drivers.network.ip_link import links
from merope.model.states import LcmState, VmState

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]

_PORT = 20000 + os.getpid() % 10000
_RUNNING = (VmState.ACTIVE, LcmState.RUNNING)


class FirstCloud:
    """A cloud made by the command that `make cloud` runs."""

    def __init__(self, home: Path) -> None:
        self.layout = Layout.at(home)

    def demo(self, what: str) -> str:
        argv = [sys.executable, "-m", "merope.daemon.demo", what, "--home", str(self.layout.home)]
        argv += ["--port", str(_PORT)] if what == "up" else []
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    @property
    def client(self) -> Client:
        options = last_options(self.layout)
        assert options is not None
        return Client(options.endpoint, self.layout.login(), timeout=20.0)

    def look(self) -> Machine:
        with self.client as client:
            (document,) = client.pool("vm")
            return Machine.of(client.info("vm", int(document.findtext("ID", "-1"))))

    @property
    def guest(self) -> Guest:
        return Guest(self.look().address)

    def act(self, action: str) -> None:
        with self.client as client:
            client.call("one.vm.action", action, self.look().id)

    def wait_for(self, *wanted: tuple[VmState, LcmState] | VmState) -> None:
        def there() -> bool:
            try:
                machine = self.look()
            except ClientError:  # the core is on its way up again
                return False
            assert "FAILURE" not in machine.phase, f"{machine.phase}: {machine.error}"
            return machine.state in wanted or (machine.state, machine.lcm_state) in wanted

        eventually(f"the VM is in {wanted}", there)

    def kill_the_core(self) -> None:
        rows = control.ask(self.layout, "status")["services"]
        (pid,) = [row["pid"] for row in rows if row["name"] == "core"]
        os.kill(pid, signal.SIGKILL)

    def domains(self) -> list[Domain]:
        driver = LibvirtHypervisor(KvmSettings(uri=OwnLibvirtd(self.layout.home).uri))
        try:
            return driver.domains()
        finally:
            driver.close()


@pytest.fixture(scope="module")
def cloud(image: Path) -> Iterator[FirstCloud]:
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    home.chmod(0o700)
    made = FirstCloud(home)
    try:
        with choosing_a_range():
            made.demo("up")
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
    cloud.wait_for(_RUNNING)
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
    cloud.wait_for(_RUNNING)
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
    eventually("another boot id", lambda: guest.serves() and guest.boot_id() != boot)
    cloud.wait_for(_RUNNING)


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
    cloud.wait_for(_RUNNING)


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
