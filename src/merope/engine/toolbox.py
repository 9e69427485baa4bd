"""Where plans get their drivers: the simulated world's, or those of the machine that they run on."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from merope.drivers import executable, registry
from merope.drivers.carrier import Carrier
from merope.drivers.datastore.base import DatastoreDriver
from merope.drivers.errors import DriverError
from merope.drivers.fence import Fence
from merope.drivers.fencing.base import FencingDriver
from merope.drivers.fencing.executable import ExecutableFencing
from merope.drivers.files import Progress
from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.ipam.base import AddressManager
from merope.drivers.ipam.executable import ExecutableManager
from merope.drivers.market.base import MarketDriver
from merope.drivers.market.executable import ExecutableMarket
from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.site import Site
from merope.drivers.replicas import Replicas
from merope.drivers.simulated.addresses import SimulatedManager
from merope.drivers.simulated.datastore import SimulatedDatastore
from merope.drivers.simulated.fencing import SimulatedFencing
from merope.drivers.simulated.hypervisor import SimulatedHypervisor
from merope.drivers.simulated.market import SimulatedMarket
from merope.drivers.simulated.network import SimulatedNetwork
from merope.drivers.simulated.storage import SimulatedFile
from merope.drivers.simulated.transfer import SimulatedTransfer
from merope.drivers.simulated.world import World, disk_ids, snapshot_names
from merope.drivers.ssh import Ssh, SshSettings
from merope.drivers.transfer.base import Transfer
from merope.engine import third_parties
from merope.engine.places import Layout
from merope.model.phase import Phase
from merope.model.state import State
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

_BEFORE_AND_AFTER = ("PROLOG", "EPILOG", "BOOT", "CLEANUP", "LCM_INIT")
_AT_REST = ("_POWEROFF", "_SUSPENDED", "_UNDEPLOYED")
_WITH_DOMAIN = frozenset(
    phase
    for phase in Phase
    if phase.active
    and not phase.name.startswith(_BEFORE_AND_AFTER)
    and not (phase.name.startswith(("HOTPLUG_", "DISK_")) and phase.name.endswith(_AT_REST))
)


class SimulatedDrivers:
    """Every driver, whatever its name, acts on one simulated world."""

    def __init__(self, world: World, layout: Layout, *, distinct_sources: bool = False) -> None:
        self.world = world
        self.layout = layout
        self.far: frozenset[str] = frozenset()
        self._transfer = SimulatedTransfer(world, layout.root)
        self._datastore = SimulatedDatastore(world, distinct_sources=distinct_sources)
        self.market_place = SimulatedMarket()
        self.addresses = SimulatedManager()

    def hypervisor(self, name: str, host: str, vm: VM | None = None) -> Hypervisor:  # noqa: ARG002 - all mean the same
        return SimulatedHypervisor(self.world, host)

    def transfer(self, name: str, system: str = "") -> Transfer:  # noqa: ARG002 - as above
        return self._transfer

    def datastore(self, name: str) -> DatastoreDriver:  # noqa: ARG002 - as above
        return self._datastore

    def network(self, name: str, host: str) -> NetworkDriver:  # noqa: ARG002 - as above
        return SimulatedNetwork(self.world, host)

    def ipam(self, name: str, request: int) -> AddressManager:  # noqa: ARG002 - as above
        return self.addresses

    def market(self, name: str) -> MarketDriver:  # noqa: ARG002 - as above
        return self.market_place

    def fencing(self, name: str) -> FencingDriver:  # noqa: ARG002 - as above
        return SimulatedFencing(self.world)

    @contextmanager
    def hold(self, vm_id: int, epoch: int) -> Iterator[None]:
        self.world.fence(vm_id, epoch)
        yield

    @property
    def carrier(self) -> Carrier:
        raise DriverError("in a simulated world every driver reaches every machine")

    @property
    def replicas(self) -> Replicas:
        raise DriverError("in a simulated world images are on every machine")

    def populate(self, state: State) -> None:
        """Makes the world what the stored cloud says it is: a sandbox's world is gone when it stops."""
        pool = state.pools["vm_pool"]
        for oid in list(pool.entries):
            vm = pool.parsed(oid)
            if isinstance(vm, VM) and vm.history is not None:
                self._place(vm)
        networks = state.pools["network_pool"]
        for oid in list(networks.entries):
            network = networks.parsed(oid)
            assert isinstance(network, VirtualNetwork)
            for ranged in network.ar_pool:
                if ranged.attributes.get("IPAM_MAD"):
                    self.addresses.remember(ranged)

    def _place(self, vm: VM) -> None:
        record = vm.history
        assert record is not None
        directory = self.layout.system_dir(record.ds_id, vm.id)
        storage = self.world.storage
        owner = self.world.owner(record.hostname)
        names = [f"disk.{number}" for number in disk_ids(vm.template)]
        for name in [*names, "checkpoint"]:
            storage.put(owner, directory / name, SimulatedFile(1, "raw", storage.new_content()))
        for kept in vm.snapshots:
            for snapshot in kept.vectors("SNAPSHOT"):
                path = directory / f"disk.{kept.get('DISK_ID')}.snap.{snapshot['ID']}"
                storage.put(owner, path, SimulatedFile(1, "raw", storage.new_content()))
        self.world.snapshots[vm.id] = {name: {} for name in snapshot_names(vm.template)}
        if vm.phase in _WITH_DOMAIN:
            self.world.start(self.world.host(record.hostname), vm, directory, vm.deploy_id)


class LocalDrivers:
    """The drivers of the machine that this process runs on.

    `home` is the cloud's directory there, `host` what the cloud calls a machine that is not the front-end.
    """

    def __init__(
        self,
        home: Path,
        layout: Layout,
        *,
        progress: Progress | None = None,
        host: str = "",
    ) -> None:
        self._host = host
        self.far: frozenset[str] = frozenset()
        self._ssh = SshSettings()
        self.layout = layout
        self._progress = progress
        self._home = home
        self._fence = Fence(home / "run" / "epochs")
        self._hypervisors: dict[str, Hypervisor] = {}

    def reach(self, far: Iterable[str], ssh: Mapping[str, Any]) -> None:
        """Which hosts of the next job are other machines, and how they are reached from the front-end."""
        self.far = frozenset(far)
        self._ssh = SshSettings(**ssh)

    @property
    def carrier(self) -> Carrier:
        return Carrier(Ssh(self._home, self._ssh))

    @property
    def replicas(self) -> Replicas:
        return Replicas(self.carrier, self.layout.root, self._home / "run" / "replicas")

    def hypervisor(self, name: str, host: str, vm: VM | None = None) -> Hypervisor:
        """A driver of ours, else the executables that an administrator has put in their place."""
        directory = self._of_third_party(registry.Kind.HYPERVISOR, "vmm", name)
        if directory is not None:
            return third_parties.hypervisor(directory, self._home, self.layout.root, host, vm)
        if name not in self._hypervisors:
            made = registry.hypervisor(_real(name, "VM_MAD"))
            of_cloud = getattr(made, "of_cloud", None)
            self._hypervisors[name] = (
                of_cloud(self._home, self.layout.root) if of_cloud is not None else made()
            )
        return self._hypervisors[name]

    def transfer(self, name: str, system: str = "") -> Transfer:
        """`system` is the TM_MAD of the system datastore, where that is not the one of the disk's image."""
        directory = self._of_third_party(registry.Kind.TRANSFER, "tm", name)
        if directory is not None:
            if self._host:
                raise DriverError(
                    f"the transfer driver {name} of a third party runs on the front-end, and the VM is to be "
                    f"on {self._host}: use it where the front-end is the host, or write it in Python"
                )
            return third_parties.transfer(directory, self.layout.root, system)
        made = registry.transfer(_real(name, "TM_MAD"))
        return made(self.layout.root, local_names=(self._host,)) if self._host else made(self.layout.root)

    def datastore(self, name: str) -> DatastoreDriver:
        if name == "-":
            name = "fs"
        directory = self._of_third_party(registry.Kind.DATASTORE, "datastore", name)
        if directory is not None:
            return third_parties.datastore(directory)
        made = registry.datastore(_real(name, "DS_MAD"))
        if name in registry.BRIDGED_DATASTORES:
            ssh = Ssh(self._home, self._ssh)
            return made(protected=(self._home,), progress=self._progress, ssh=ssh)
        return made(protected=(self._home,), progress=self._progress)

    def network(self, name: str, host: str) -> NetworkDriver:  # noqa: ARG002 - as above
        directory = self._of_third_party(registry.Kind.NETWORK, "vnm", name)
        if directory is not None:
            return third_parties.network(directory)
        made = registry.network(name)
        of_site = getattr(made, "of_site", None)
        return made() if of_site is None else of_site(Site.of_cloud(self._home, self.layout.root))

    def ipam(self, name: str, request: int) -> AddressManager:
        """A driver of ours, else the executables that an administrator has put in their place."""
        directory = self._home / "remotes" / "ipam" / name
        if name not in registry.names(registry.Kind.IPAM) and directory.is_dir():
            return ExecutableManager(directory, request)
        return registry.ipam(_real(name, "IPAM_MAD"))(self._home / "ipam" / name)

    def market(self, name: str) -> MarketDriver:
        """A driver of ours, else the executables that an administrator has put in their place."""
        directory = self._home / "remotes" / "market" / name
        if name not in registry.names(registry.Kind.MARKET) and directory.is_dir():
            return ExecutableMarket(directory)
        made = registry.market(_real(name, "MARKET_MAD"))
        return made(protected=(self._home,))

    def fencing(self, name: str) -> FencingDriver:
        """A driver of ours, else the executable that an administrator has put in its place."""
        path = self._home / "remotes" / "fencing" / name
        if name not in registry.names(registry.Kind.FENCING) and _is_plain(name) and path.is_file():
            return ExecutableFencing(path)
        return registry.fencing(_real(name, "DRIVER of FENCING"))()

    def _of_third_party(self, kind: registry.Kind, directory: str, name: str) -> Path | None:
        """The executables of a driver that is none of ours."""
        return None if name in registry.names(kind) else executable.find(self._home, directory, name)

    def hold(self, vm_id: int, epoch: int) -> AbstractContextManager[None]:
        return self._fence.hold(vm_id, epoch)


def _is_plain(name: str) -> bool:
    """Whether a name is one of a file, and not a way to somewhere else."""
    return name not in ("", ".", "..") and "/" not in name


def _real(name: str, attribute: str) -> str:
    if name == "dummy":
        raise DriverError(
            f"{attribute} dummy: simulated drivers are for a sandbox (one start --drivers dummy)"
        )
    return name
