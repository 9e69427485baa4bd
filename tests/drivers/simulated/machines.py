"""VMs and hosts of a simulated world."""

from dataclasses import dataclass, field
from pathlib import Path

from merope.drivers.context import Context
from merope.drivers.simulated.hypervisor import SimulatedHypervisor
from merope.drivers.simulated.network import SimulatedNetwork
from merope.drivers.simulated.transfer import SimulatedTransfer
from merope.drivers.simulated.world import World
from merope.drivers.transfer.base import Place
from merope.model.template import Template
from merope.model.vm import VM

LOCATION = Path("/var/lib/one/datastores")
TEMPLATE = """
NAME = web
MEMORY = 256
VCPU = 2
DISK = [ DISK_ID = 0, SOURCE = "dummy_path" ]
NIC = [ NIC_ID = 0, VN_MAD = dummy ]
CONTEXT = [ DISK_ID = 1, NETWORK = "YES" ]
"""


def machine(vm_id: int, name: str = "web") -> VM:
    return VM(vm_id, 0, 0, "oneadmin", "oneadmin", name, template=Template.parse(TEMPLATE))


@dataclass
class Cloud:
    """Two hosts of a world, n1 and n2, and its drivers."""

    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.n1, self.n2 = SimulatedHypervisor(self.world, "n1"), SimulatedHypervisor(self.world, "n2")
        self.transfer = SimulatedTransfer(self.world, LOCATION)
        self.network = SimulatedNetwork(self.world, "n1")

    @staticmethod
    def directory(vm_id: int) -> Path:
        return LOCATION / "0" / str(vm_id)

    def place(self, vm_id: int, name: str, host: str = "n1") -> Place:
        return Place(host, self.directory(vm_id) / name)

    def prepare(self, vm_id: int, host: str = "n1") -> None:
        """The disks of a VM."""
        self.transfer.clone(Path("dummy_path"), self.place(vm_id, "disk.0", host), 64, "raw")
        self.transfer.make_context(Context({}), self.place(vm_id, "disk.1", host))

    def deploy(self, vm_id: int, name: str = "web") -> str:
        self.prepare(vm_id)
        return self.n1.deploy(machine(vm_id, name), self.directory(vm_id))
