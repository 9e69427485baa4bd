"""The NICs of virtual routers: floating addresses that a router itself holds, and what its VMs get of them.

A NIC with FLOATING_IP takes a lease in the router's name, which its VMs pass among themselves; each VM
has a lease of its own besides, unless FLOATING_ONLY. What is leased stands in the NIC as VROUTER_IP,
VROUTER_MAC …. Source: recorded vrouter.xml, spec templates.yaml `NIC`, `vrouter`.
"""

from typing import Final

from merope.core import ipam, vm_allocate, vm_nics
from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.leases import owner_of
from merope.model.permissions import ObjectType
from merope.model.quota import Usage
from merope.model.template import Template, Vector
from merope.model.vnet import VirtualNetwork
from merope.model.vrouter import VirtualRouter

PREFIX: Final = "VROUTER_"
_ADDRESSES: Final = ("MAC", "IP", "IP6", "IP6_LINK", "IP6_ULA", "IP6_GLOBAL")
_LEASED: Final = tuple(PREFIX + name for name in _ADDRESSES)


def is_floating(nic: Vector) -> bool:
    return nic.get("FLOATING_IP", "").upper() == "YES"


def take_given(tx: Transaction, template: Template) -> list[Vector]:
    """Takes the NICs out of a template that a user gave, and checks that they may be a router's.

    Raises ApiError ALLOCATE, AUTHORIZATION (restricted attributes).
    """
    if template.values("NIC_ALIAS"):
        raise ApiError(Code.ALLOCATE, "A virtual router has no NIC_ALIAS.")
    given = template.remove("NIC")
    nics = [Vector(nic) for nic in given if isinstance(nic, Vector)]
    if len(nics) != len(given):
        raise ApiError(Code.ALLOCATE, "A NIC must be a vector: NIC = [ NETWORK_ID = … ].")
    if any(vm_nics.is_auto(nic) for nic in nics):
        raise ApiError(Code.ALLOCATE, "A NIC of a virtual router names its network, NETWORK_MODE is for VMs.")
    vm_nics.check_number(Template(), len(nics))
    vm_allocate.check_restricted(tx, Template([("NIC", nic) for nic in nics]), what="NIC")
    return nics


def acquire(tx: Transaction, router: VirtualRouter, nic: Vector) -> None:
    """Numbers a NIC, takes its floating address and adds it to a router that is being edited.

    Raises ApiError ALLOCATE when there is no such network, or no such address free in it.
    """
    for name in (*vm_nics.OURS, *_LEASED):
        nic.pop(name, None)
    taken = [int(other["NIC_ID"]) for other in router.template.vectors("NIC")]
    nic["NIC_ID"] = str(1 + max(taken, default=-1))
    network = tx.edit(VirtualNetwork, vm_nics.network_of(tx, nic, router.uid).id)
    for name in ("NETWORK_UID", "NETWORK_UNAME"):
        nic.pop(name, None)
    nic["NETWORK"], nic["NETWORK_ID"] = network.name, str(network.id)
    if is_floating(nic):
        ranged, index = vm_nics.lease(tx, network, nic, owner_of(ObjectType.VROUTER, router.id))
        for name in ("IP", "IP6", "MAC"):
            nic.pop(name, None)
        nic.update((PREFIX + name, text) for name, text in ranged.lease(index).items())
        nic["AR_ID"] = ranged.attributes["AR_ID"]
        network.recount()
    network.vrouters.add(router.id)
    router.template.add("NIC", nic)


def release(tx: Transaction, router: VirtualRouter, nic: Vector) -> None:
    """Takes a NIC from a router that is being edited and returns its address."""
    others = [other for other in router.template.vectors("NIC") if other is not nic]
    router.template.remove("NIC")
    for other in others:
        router.template.add("NIC", other)
    network_id = int(nic["NETWORK_ID"])
    if tx.find(VirtualNetwork, network_id) is None:
        return
    network = tx.edit(VirtualNetwork, network_id)
    if is_floating(nic) and "AR_ID" in nic:
        ranged = network.address_range(int(nic["AR_ID"]))
        index = None if ranged is None else ranged.index_of_mac(nic.get("VROUTER_MAC", ""))
        if ranged is not None and index is not None:
            ipam.take_back(tx, network, ranged, owner_of(ObjectType.VROUTER, router.id), index)
        network.recount()
    if all(other["NETWORK_ID"] != nic["NETWORK_ID"] for other in others):
        network.vrouters.discard(router.id)


def leases(template: Template) -> Usage:
    """What the NICs of a router count for in its owner's quotas: floating addresses."""
    usage = Usage()
    for nic in template.vectors("NIC"):
        if is_floating(nic):
            usage = usage.network(int(nic["NETWORK_ID"]))
    return usage


def of_vm(nic: Vector) -> Vector:
    """A router's NIC as each of its VMs gets it."""
    return Vector((name, value) for name, value in nic.items() if name not in ("NIC_ID", "AR_ID"))


def find(router: VirtualRouter, number: int) -> Vector | None:
    """The NIC of that NIC_ID."""
    return next((nic for nic in router.template.vectors("NIC") if nic["NIC_ID"] == str(number)), None)


def number_in_vm(router: VirtualRouter, nic: Vector, template: Template) -> int | None:
    """The NIC_ID that a router's NIC has in a VM; None when it was not there when the VM was made.

    VMs number their NICs from 0, whatever was detached from the router before they were made.
    """
    place = [other["NIC_ID"] for other in router.template.vectors("NIC") if _same(other, nic)].index(
        nic["NIC_ID"]
    )
    alike = [other for other in template.vectors("NIC") if _same(other, nic)]
    return int(alike[place]["NIC_ID"]) if place < len(alike) else None


def _same(one: Vector, other: Vector) -> bool:
    return all(one.get(name, "") == other.get(name, "") for name in ("NETWORK_ID", "VROUTER_MAC"))
