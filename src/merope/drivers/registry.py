"""Which driver a name in a document (VM_MAD, TM_MAD, DS_MAD, VN_MAD, IPAM_MAD, AUTH_DRIVER, FENCING) means.

Drivers are loaded when they are first asked for: one whose library is not installed hinders nobody else.
Third parties add theirs as entry points of the group `merope.drivers.<kind>`, which may not take a name
that is in the tables here. What a driver is constructed with is said in docs/adding-a-driver.md.
"""

from collections.abc import Callable
from enum import Enum
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from merope.drivers.auth.base import AuthDriver
from merope.drivers.datastore.base import DatastoreDriver
from merope.drivers.errors import DriverError
from merope.drivers.fencing.base import FencingDriver
from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.ipam.base import AddressManager
from merope.drivers.market.base import MarketDriver
from merope.drivers.network.base import NetworkDriver
from merope.drivers.transfer.base import Transfer


class Kind(Enum):
    """A kind of driver; the value is the end of its entry-point group."""

    HYPERVISOR = "hypervisor"
    TRANSFER = "transfer"
    DATASTORE = "datastore"
    NETWORK = "network"
    MARKET = "market"
    AUTH = "auth"
    IPAM = "ipam"
    FENCING = "fencing"


BUILT_IN: dict[Kind, dict[str, str]] = {
    Kind.HYPERVISOR: {
        "kvm": "merope.drivers.hypervisor.libvirt:LibvirtHypervisor",
        "qemu": "merope.drivers.hypervisor.libvirt:LibvirtHypervisor",
        "lxd": "merope.drivers.hypervisor.lxd:LxdHypervisor",
        "firecracker": "merope.drivers.hypervisor.firecracker:FirecrackerHypervisor",
        "dummy": "merope.drivers.simulated.hypervisor:SimulatedHypervisor",
    },
    Kind.TRANSFER: {
        "shared": "merope.drivers.transfer.shared:SharedTransfer",
        "qcow2": "merope.drivers.transfer.qcow2:Qcow2Transfer",
        "ssh": "merope.drivers.transfer.ssh:SshTransfer",
        "ceph": "merope.drivers.transfer.ceph:CephTransfer",
        "dev": "merope.drivers.transfer.dev:DevTransfer",
        "fs_lvm": "merope.drivers.transfer.fs_lvm:FsLvmTransfer",
        "iscsi_libvirt": "merope.drivers.transfer.iscsi:IscsiTransfer",
        "dummy": "merope.drivers.simulated.transfer:SimulatedTransfer",
    },
    Kind.DATASTORE: {
        "fs": "merope.drivers.datastore.fs:FsDatastore",
        "ceph": "merope.drivers.datastore.ceph:CephDatastore",
        "dev": "merope.drivers.datastore.dev:DevDatastore",
        "iscsi_libvirt": "merope.drivers.datastore.iscsi:IscsiDatastore",
        "dummy": "merope.drivers.simulated.datastore:SimulatedDatastore",
    },
    Kind.MARKET: {
        "http": "merope.drivers.market.http:HttpMarket",
        "dummy": "merope.drivers.simulated.market:SimulatedMarket",
    },
    Kind.IPAM: {
        "ledger": "merope.drivers.ipam.ledger:LedgerManager",
        "dummy": "merope.drivers.simulated.addresses:SimulatedManager",
    },
    Kind.FENCING: {
        "command": "merope.drivers.fencing.command:CommandFencing",
        "ipmi": "merope.drivers.fencing.ipmi:IpmiFencing",
        "redfish": "merope.drivers.fencing.redfish:RedfishFencing",
        "dummy": "merope.drivers.simulated.fencing:SimulatedFencing",
    },
    Kind.NETWORK: {
        "802.1Q": "merope.drivers.network.bridged:VlanNetwork",
        "alias_sdnat": "merope.drivers.network.alias_sdnat:AliasNat",
        "bridge": "merope.drivers.network.bridged:BridgeNetwork",
        "ebtables": "merope.drivers.network.bridged:EbtablesNetwork",
        "fw": "merope.drivers.network.bridged:FirewallNetwork",
        "ovswitch": "merope.drivers.network.openvswitch:OpenvSwitchNetwork",
        "ovswitch_vxlan": "merope.drivers.network.openvswitch:OpenvSwitchVxlanNetwork",
        "vxlan": "merope.drivers.network.bridged:VxlanNetwork",
        "dummy": "merope.drivers.network.dummy:DummyNetwork",
    },
    Kind.AUTH: {
        "ldap": "merope.drivers.auth.ldap:LdapDriver",
        "plain": "merope.drivers.auth.plain:PlainDriver",
        "server_cipher": "merope.drivers.auth.server_cipher:ServerCipherDriver",
        "server_x509": "merope.drivers.auth.server_x509:ServerX509Driver",
        "ssh": "merope.drivers.auth.ssh:SshDriver",
        "x509": "merope.drivers.auth.x509:X509Driver",
    },
}

SHARED_TRANSFERS = frozenset({"shared", "qcow2"})
"""Transfer drivers of storage that every host has at the same path."""
FILE_TRANSFERS = SHARED_TRANSFERS | {"ssh", "dummy"}
"""Transfer drivers whose disks are files in the VM's directory, and go with it."""
POOLED_DATASTORES = frozenset({"ceph"})
"""Drivers of storages that have system datastores too, whose room is the storage's."""
BRIDGED_DATASTORES = frozenset({"ceph", "dev", "iscsi_libvirt"})
"""Datastore drivers that may have hosts do their work (BRIDGE_LIST), which they reach by SSH."""
STORAGE_TRANSFERS = frozenset({"ceph", "dev", "fs_lvm", "iscsi_libvirt"})
"""Transfer drivers whose disks are on a storage that hosts reach by themselves; only the VM's directory is
its host's own. They are made for one disk each (`for_disk`)."""


def hypervisor(name: str) -> Callable[..., Hypervisor]:
    """The class of the hypervisor driver called `name`. Raises DriverError when there is none."""
    return cast("Callable[..., Hypervisor]", driver(Kind.HYPERVISOR, name))


def transfer(name: str) -> Callable[..., Transfer]:
    """The class of the transfer driver called `name`. Raises DriverError when there is none."""
    return cast("Callable[..., Transfer]", driver(Kind.TRANSFER, name))


def datastore(name: str) -> Callable[..., DatastoreDriver]:
    """The class of the datastore driver called `name`. Raises DriverError when there is none."""
    return cast("Callable[..., DatastoreDriver]", driver(Kind.DATASTORE, name))


def network(name: str) -> Callable[..., NetworkDriver]:
    """The class of the network driver called `name`. Raises DriverError when there is none."""
    return cast("Callable[..., NetworkDriver]", driver(Kind.NETWORK, name))


def auth(name: str) -> Callable[..., AuthDriver]:
    """The class of the authentication driver called `name`. Raises DriverError when there is none."""
    return cast("Callable[..., AuthDriver]", driver(Kind.AUTH, name))


def market(name: str) -> Callable[..., MarketDriver]:
    """The class of the marketplace driver called `name`. Raises DriverError when there is none."""
    return cast("Callable[..., MarketDriver]", driver(Kind.MARKET, name))


def ipam(name: str) -> Callable[..., AddressManager]:
    """The class of the address management called `name`. Raises DriverError when there is none."""
    return cast("Callable[..., AddressManager]", driver(Kind.IPAM, name))


def fencing(name: str) -> Callable[..., FencingDriver]:
    """The class of the fencing driver called `name`. Raises DriverError when there is none."""
    return cast("Callable[..., FencingDriver]", driver(Kind.FENCING, name))


def names(kind: Kind) -> list[str]:
    """The names of all drivers of a kind, sorted."""
    return sorted({*BUILT_IN[kind], *_third_parties(kind)})


@cache
def driver(kind: Kind, name: str) -> object:
    """The class that is registered under `name`.

    Raises DriverError with the names that there are, or with what is missing to load it.
    """
    target = BUILT_IN[kind].get(name)
    try:
        if target is not None:
            module, _, attribute = target.partition(":")
            return getattr(import_module(module), attribute)
        entry = _third_parties(kind).get(name)
        if entry is not None:
            return entry.load()
    except (ImportError, AttributeError) as error:
        raise DriverError(f"the {kind.value} driver {name!r} cannot be loaded: {error}") from error
    raise DriverError(f"there is no {kind.value} driver {name!r}; there are {', '.join(names(kind))}")


def _third_parties(kind: Kind) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"merope.drivers.{kind.value}")}
