"""Automatic requirements: which clusters and system datastores a VM's disks and networks leave it.

Source: spec scheduler.yaml `automatic_requirements`.
"""

from merope.core import vm_nics, vm_requests
from merope.core.transaction import Transaction
from merope.model import pinning
from merope.model.datastore import Datastore
from merope.model.errors import ApiError, Code
from merope.model.vm import VM

_PUBLIC = ("PUBLIC_CLOUD", "EC2")


def compute(tx: Transaction, vm: VM) -> None:
    """Writes the three attributes; raises ApiError ACTION when no cluster has all that the VM needs."""
    clusters = common_clusters(tx, vm)
    template = vm.template
    template.set("AUTOMATIC_REQUIREMENTS", _host_requirements(vm, clusters))
    storage = _datastore_requirements(tx, vm, clusters)
    if storage:
        template.set("AUTOMATIC_DS_REQUIREMENTS", storage)
    else:
        template.remove("AUTOMATIC_DS_REQUIREMENTS")
    if clusters:
        template.set("AUTOMATIC_NIC_REQUIREMENTS", f"({_in_clusters(clusters)})")
    else:
        template.remove("AUTOMATIC_NIC_REQUIREMENTS")


def common_clusters(tx: Transaction, vm: VM) -> list[int]:
    """The clusters that every disk's datastore and every network is in; empty when nothing restricts them."""
    chosen: set[int] | None = None
    for what, where, members in _elements(tx, vm):
        if not members:
            raise ApiError(Code.ACTION, f"Missing clusters. {where} is not in any cluster", vm.id)
        both = members if chosen is None else chosen & members
        if not both:
            ids = ", ".join(map(str, sorted(chosen or ())))
            raise ApiError(
                Code.ACTION,
                f"Incompatible clusters in {what}. {where} is not in the same cluster as the one used by "
                f"other VM elements (cluster {ids})",
                vm.id,
            )
        chosen = both
    return sorted(chosen or ())


def _elements(tx: Transaction, vm: VM) -> list[tuple[str, str, set[int]]]:
    found = []
    for system in vm.template.vectors("OS"):
        for name in ("KERNEL", "INITRD"):
            if system.get(f"{name}_DS_CLUSTER_ID"):
                found.append((name, f"Datastore for {name}", _ids(system[f"{name}_DS_CLUSTER_ID"])))
    for disk in vm.template.vectors("DISK"):
        if disk.get("IMAGE_ID"):
            where = f"Datastore for DISK {disk.get('DISK_ID')}"
            found.append(("DISK", where, _ids(disk.get("CLUSTER_ID", ""))))
    for nic in vm_nics.nics_of(vm.template):
        if nic.get("NETWORK_ID"):
            found.append(("NIC", f"Network for NIC {nic.get('NIC_ID')}", _ids(nic.get("CLUSTER_ID", ""))))
    return found


def _ids(text: str) -> set[int]:
    """The ids of a list. What is no id names none: administrators write COMPATIBLE_SYS_DS as they like."""
    words = (vm_requests.whole(word.strip()) for word in text.split(","))
    return {oid for oid in words if oid is not None}


def is_pinned(vm: VM) -> bool:
    """Whether its virtual CPUs have CPUs of the host for themselves."""
    return pinning.is_pinned(vm.template)


def _host_requirements(vm: VM, clusters: list[int]) -> str:
    parts = []
    if clusters:
        parts.append("(" + " | ".join(f"CLUSTER_ID = {cluster}" for cluster in clusters) + ")")
    parts.append("!(PUBLIC_CLOUD = YES)")
    parts.append("(PIN_POLICY = PINNED)" if is_pinned(vm) else "!(PIN_POLICY = PINNED)")
    text = " & ".join(parts)
    kinds = sorted({kind for name in _PUBLIC for kind in _public_types(vm, name)})
    if kinds:
        hypervisors = " | ".join(f"HYPERVISOR = {kind}" for kind in kinds)
        text += f" | (PUBLIC_CLOUD = YES & ({hypervisors}))"
    return text


def _public_types(vm: VM, name: str) -> list[str]:
    fallback = "ec2" if name == "EC2" else ""
    types = [vector.get("TYPE", fallback).lower() for vector in vm.user_template.vectors(name)]
    return [kind for kind in types if kind]


def _datastore_requirements(tx: Transaction, vm: VM, clusters: list[int]) -> str:
    parts = [f"({_in_clusters(clusters)})"] if clusters else []
    allowed = _compatible_datastores(tx, vm)
    if allowed:
        parts.append("(" + " | ".join(f'"ID" @> {oid}' for oid in allowed) + ")")
    mode = vm.template.get("TM_MAD_SYSTEM")
    if mode:
        parts.append(f'(TM_MAD = "{mode}")')
    return " & ".join(parts)


def _in_clusters(clusters: list[int]) -> str:
    return " | ".join(f'"CLUSTERS/ID" @> {cluster}' for cluster in clusters)


def _compatible_datastores(tx: Transaction, vm: VM) -> list[int]:
    allowed: set[int] | None = None
    for disk in vm.template.vectors("DISK"):
        if not disk.get("IMAGE_ID"):
            continue
        datastore = tx.find(Datastore, int(disk.get("DATASTORE_ID") or -1))
        stated = "" if datastore is None else datastore.template.get("COMPATIBLE_SYS_DS")
        if not stated:
            continue
        ids = _ids(stated)
        both = ids if allowed is None else allowed & ids
        if not both:
            raise ApiError(
                Code.ACTION,
                f"Incompatible system datastore in DISK. Datastore for DISK {disk.get('DISK_ID')} cannot be "
                "used with the system datastores of other disks",
                vm.id,
            )
        allowed = both
    return sorted(allowed or ())
