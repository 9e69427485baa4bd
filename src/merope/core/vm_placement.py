"""What a VM's own nature says of where it may be put and how it may be moved, and the networks that were
chosen for it with the host.

Source: spec xmlrpc.yaml `one.vm.deploy` (extra), `one.vm.migrate` (notes), scheduler.yaml `match_net`.
"""

from merope.core import (
    generic,
    vm_context,
    vm_devices,
    vm_nics,
    vm_quotas,
    vm_requests,
    vm_requirements,
)
from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.phase import Phase
from merope.model.template import Template, Vector
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork


def check_move(vm: VM, source: Host, target: Host, *, live: bool, saved: bool) -> None:
    """Raises ApiError ACTION for a VM that cannot be moved in this way. `saved`: with its state, not shut
    down before."""
    if live and vm_requirements.is_pinned(vm):
        raise _refused(vm, "VM with a pinned NUMA topology cannot be live-migrated")
    if saved and vm.phase is not Phase.POWEROFF and vm.template.vectors("PCI"):
        raise _refused(
            vm,
            f"Cannot migrate VM [{vm.id}], use poweroff or poweroff-hard flag for migrating a VM with PCI "
            "devices",
        )
    if any(host.template.get_bool("PUBLIC_CLOUD") for host in (source, target)):
        raise _refused(vm, "Cannot migrate to or from a Public Cloud Host")


def chosen_networks(vm: VM, extra: str) -> Template:
    """The NICs of the last argument of one.vm.deploy, a network for each that the VM leaves to the scheduler.

    Raises ApiError INTERNAL (it is no template), ACTION (a NIC is not there, or has a network).
    """
    given = generic.parse_template(extra)
    chosen = Template()
    for nic in given.vectors("NIC"):
        number = nic.get("NIC_ID", "")
        if _auto_nic(vm, number) is None:
            raise _refused(vm, f"NIC_ID {number[:16]} not found or not AUTO")
        if vm_requests.whole(nic.get("NETWORK_ID", "")) is None:
            raise _refused(vm, f"NIC_ID {number} needs the NETWORK_ID of the network that was chosen")
        chosen.add("NIC", Vector(NIC_ID=number, NETWORK_ID=nic["NETWORK_ID"]))
    return chosen


def _auto_nic(vm: VM, number: str) -> Vector | None:
    """A NIC that has no network yet."""
    found = (nic for nic in vm.template.vectors("NIC") if nic.get("NIC_ID") == number)
    return next((nic for nic in found if vm_nics.is_auto(nic) and not nic.get("NETWORK_ID")), None)


def take_networks(tx: Transaction, vm: VM, chosen: Template, host: Host) -> None:
    """Takes a lease for each NIC of `chosen_networks`; the VM is the transaction's own.

    Raises ApiError ACTION (no lease, or a network of other clusters), AUTHORIZATION (quota).
    """
    with vm_devices.refusals(vm.id), vm_quotas.counted(tx, vm):
        for asked in chosen.vectors("NIC"):
            nic = _auto_nic(vm, asked["NIC_ID"])
            if nic is None:
                raise _refused(vm, f"NIC_ID {asked['NIC_ID']} is given twice")
            network = tx.get(VirtualNetwork, int(asked["NETWORK_ID"]))
            if host.cluster_id not in network.clusters:
                detail = f"Virtual network [{network.id}] is not part of cluster [{host.cluster_id}]"
                raise _refused(vm, detail)
            nic["NETWORK_ID"] = asked["NETWORK_ID"]
            vm_nics.acquire(tx, vm.id, vm.uid, nic)
            vm_nics.join_groups_of(tx, vm, nic)
            vm_context.add_nic(tx, vm, nic)


def _refused(vm: VM, sentence: str) -> ApiError:
    return ApiError(Code.ACTION, sentence, vm.id)
