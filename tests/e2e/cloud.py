"""A real cloud whose hosts are those of a bed: its core here, its workers on the hosts over SSH."""

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from tests.real.machine import Guest, eventually
from tests.testbed.bed import Bed
from tests.testbed.host import BedHost

from merope.client import Client, ClientError, ConnectionFailed
from merope.daemon import control, start
from merope.daemon.demo_objects import Machine
from merope.daemon.layout import Layout
from merope.daemon.start import Wanted, last_options
from merope.drivers.hypervisor.base import Domain
from merope.drivers.hypervisor.libvirt import LibvirtHypervisor
from merope.drivers.hypervisor.libvirt_settings import KVMRC, KvmSettings, write_kvmrc
from merope.model.states import HostState, ImageState, LcmState, VmState

RUNNING = (VmState.ACTIVE, LcmState.RUNNING)


@dataclass
class BedCloud:
    """The cloud under `home`. `location` is its DATASTORE_LOCATION, `driver` the format of its image."""

    bed: Bed
    home: Path
    location: Path
    port: int = 22000 + os.getpid() % 4000
    hosts: dict[str, int] = field(default_factory=dict)
    driver: str = "qcow2"
    image: int = -1
    network: int = -1
    system: int = -1
    store: int = -1

    @property
    def layout(self) -> Layout:
        return Layout.at(self.home)

    def start(self) -> None:
        """The core with its settings, which brings nothing to a host before it is asked to."""
        self.location.mkdir(exist_ok=True)
        (self.home / "oned.conf").write_text(
            f'DATASTORE_LOCATION = "{self.location}"\nSSH = [ CONNECT_TIMEOUT = 3, ALIVE_INTERVAL = 1 ]\n'
        )
        if not (self.home / "monitord.conf").exists():
            (self.home / "monitord.conf").write_text(
                "PROBES_PERIOD = [ BEACON_HOST = 2, MONITOR_VM = 5 ]\n"
                "MONITORING_INTERVAL_HOST = 8\nMANAGER_TIMER = 2\n"
            )
        # Brought to the hosts: none of them need find out whether KVM works.
        write_kvmrc(self.home / KVMRC, {"ACCELERATION": "qemu", "SHUTDOWN_TIMEOUT": "60"})
        self.bed.introduce(self.home)
        start.start(self.layout, Wanted(port=self.port))

    def stop(self) -> None:
        start.stop(self.layout)

    def prepare(self, image: Path, transfer: str = "qcow2") -> None:
        """Datastores, the guest's image and a network that all hosts are on."""
        self.system = self.ask("one.datastore.allocate", f"NAME=disks\nTYPE=SYSTEM_DS\nTM_MAD={transfer}", -1)
        self.store = self.ask("one.datastore.allocate", f"NAME=images\nDS_MAD=fs\nTM_MAD={transfer}", -1)
        with tempfile.TemporaryDirectory(prefix="merope-", dir="/var/tmp") as offered:
            copy = shutil.copy(image, offered)
            text = f'NAME=guest\nTYPE=OS\nPATH="{copy}"\nDRIVER={self.driver}\nDEV_PREFIX=vd'
            self.image = self.ask("one.image.allocate", text, self.store)
            self.wait_for_image(self.image)
        self.prepare_network()

    def prepare_network(self) -> None:
        network = self.bed.network
        self.network = self.ask(
            "one.vn.allocate",
            f"NAME=bed\nVN_MAD=bridge\nBRIDGE=br0\nNETWORK_ADDRESS={network[0]}\nNETWORK_MASK={network.netmask}\n"
            f"GATEWAY={self.bed.gateway}\nAR=[TYPE=IP4,IP={network[100]},SIZE=100]",
            -1,
        )

    def wait_for_image(self, oid: int) -> Element:
        def there() -> bool:
            document = self.document("image", oid)
            state = ImageState(int(document.findtext("STATE", "-1")))
            assert state is not ImageState.ERROR, document.findtext("TEMPLATE/ERROR", "")
            return state is ImageState.READY

        eventually(f"image {oid} is there", there)
        return self.document("image", oid)

    # Hosts.

    def add(self, host: BedHost, kind: str = "kvm") -> int:
        self.hosts[host.name] = self.ask("one.host.allocate", host.name, kind, kind, -1)
        return self.hosts[host.name]

    def host_state(self, name: str) -> HostState:
        return HostState(int(self.document("host", self.hosts[name]).findtext("STATE", "-1")))

    def wait_for_host(
        self, name: str, wanted: HostState = HostState.MONITORED, limit: float = 60.0
    ) -> Element:
        eventually(f"{name} is {wanted.name}", lambda: self.host_state(name) is wanted, limit)
        return self.document("host", self.hosts[name])

    def domains(self, name: str) -> list[Domain]:
        """What runs on a host, seen past SSH."""
        driver = LibvirtHypervisor(KvmSettings(uri=self.bed.host(name).libvirt_uri))
        try:
            return driver.domains()
        finally:
            driver.close()

    def runs_on(self, vm: int) -> list[str]:
        """The hosts that really run it, of those that are on."""
        return [
            host.name
            for host in self.bed.hosts
            if host.is_on and any(domain.vm_id == vm for domain in self.domains(host.name))
        ]

    # Requests.

    @property
    def client(self) -> Client:
        options = last_options(self.layout)
        assert options is not None
        return Client(options.endpoint, self.layout.login(), timeout=20.0)

    def ask(self, method: str, *arguments: str | int | bool) -> int:
        with self.client as client:
            return client.number(method, *arguments)

    def document(self, kind: str, oid: int) -> Element:
        """An object's document, also from a core that is on its way up again."""
        found: list[Element] = []

        def told() -> bool:
            with suppress(ConnectionFailed), self.client as client:
                found.append(client.info(kind, oid))
            return bool(found)

        eventually(f"{kind} {oid} is told of", told)
        return found[-1]

    def kill_the_core(self) -> None:
        rows = control.ask(self.layout, "status")["services"]
        (pid,) = [row["pid"] for row in rows if row["name"] == "core"]
        os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class BedVm:
    """A VM of the cloud; `id` in it."""

    cloud: BedCloud
    id: int

    @classmethod
    def make(cls, cloud: BedCloud, host: str = "", context: str = "", network: int = -1) -> "BedVm":
        """On `host`, else where the scheduler puts it; `context` is more of CONTEXT; on the bed's network."""
        joined = cloud.network if network < 0 else network
        wanted = f'SCHED_REQUIREMENTS="NAME=\\"{host}\\""\n' if host else ""
        template = (
            f"CPU=0.1\nMEMORY=128\nDISK=[IMAGE_ID={cloud.image}]\n"
            f"NIC=[NETWORK_ID={joined},MODEL=virtio]\nCONTEXT=[NETWORK=YES{context}]\n"
            f'SCHED_DS_REQUIREMENTS="ID={cloud.system}"\n{wanted}'
        )
        return cls(cloud, cloud.ask("one.vm.allocate", template, False))

    def look(self) -> Machine:
        return Machine.of(self.cloud.document("vm", self.id))

    @property
    def guest(self) -> Guest:
        return Guest(self.look().address)

    @property
    def host(self) -> str:
        """Where its newest record has it."""
        records = self.cloud.document("vm", self.id).findall("HISTORY_RECORDS/HISTORY/HOSTNAME")
        return (records[-1].text or "") if records else ""

    def act(self, action: str) -> None:
        self.cloud.ask("one.vm.action", action, self.id)

    def migrate(self, host: str, *, live: bool = False, kind: int = 0) -> None:
        self.cloud.ask("one.vm.migrate", self.id, self.cloud.hosts[host], live, False, -1, kind)

    def wait_for(self, *wanted: tuple[VmState, LcmState] | VmState, limit: float = 90.0) -> Machine:
        found: list[Machine] = []

        def there() -> bool:
            machine = self.look()
            found.append(machine)
            assert "FAILURE" not in machine.phase, f"{machine.phase}: {machine.error}"
            return machine.state in wanted or (machine.state, machine.lcm_state) in wanted

        try:
            eventually(f"VM {self.id} is in {wanted}", there, limit)
        except AssertionError as error:
            last = self.look()
            raise AssertionError(f"{error}: {last.phase} {last.error} {last.waits_for}") from error
        return found[-1]

    def run(self) -> "BedVm":
        """Until it serves its page."""
        self.wait_for(RUNNING)
        self.guest.wait()
        return self

    def remove(self) -> None:
        with suppress(ClientError):
            self.act("terminate-hard")
        self.wait_for(VmState.DONE)
