"""A cloud of real guests, made by the command that `make cloud` runs, and handled through its API."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import Element

from tests.real.machine import Guest, eventually

from merope.client import Client, ClientError, ConnectionFailed
from merope.daemon import control
from merope.daemon.demo_objects import Machine
from merope.daemon.layout import Layout
from merope.daemon.libvirtd import OwnLibvirtd
from merope.daemon.start import last_options
from merope.drivers.hypervisor.base import Domain
from merope.drivers.hypervisor.libvirt import LibvirtHypervisor
from merope.drivers.hypervisor.libvirt_settings import KvmSettings
from merope.model.change import Change, Put, Row
from merope.model.states import LcmState, VmState
from merope.store.sqlite import SqliteStore

#: Below those of the clouds on a bed (tests/e2e), which the same process may have beside this one.
_PORT = 18000 + os.getpid() % 4000
RUNNING = (VmState.ACTIVE, LcmState.RUNNING)


def number_vms_apart(layout: Layout) -> None:
    """In a home that is new, ids of VMs do not begin at 0.

    Taps and consoles have names and ports of the host by them, and whoever runs the tests may have a cloud of
    their own on this machine (`make cloud`).
    """
    with layout.claimed():
        layout.create(sandbox=False)
    store = SqliteStore(layout.database)
    row: Row = {"tablename": "vm_pool", "last_oid": 1000 + os.getpid() % 4000}
    store.commit([Change(1, 0, (Put("pool_control", "vm_pool", row),))])
    store.close()


class FirstCloud:
    """The cloud under `home`, and the VM called `name` in it."""

    def __init__(self, home: Path, name: str = "demo") -> None:
        self.layout = Layout.at(home)
        self.name = name

    def make(self) -> None:
        number_vms_apart(self.layout)
        self.demo("up")

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
            (document,) = [each for each in client.pool("vm") if each.findtext("NAME") == self.name]
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

    def document(self, kind: str, oid: int) -> Element:
        """An object's document, also from a core that is on its way up again."""
        found: list[Element] = []

        def told() -> bool:
            try:
                with self.client as client:
                    found.append(client.info(kind, oid))
            except ConnectionFailed:
                return False
            return True

        eventually(f"{kind} {oid} is told of", told)
        return found[-1]

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
