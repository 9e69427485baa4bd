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
    """The NICs of the last argument of one.vm.deploy: NIC_ID and the NETWORK_ID that was chosen for it.

    Raises ApiError INTERNAL (it is no template), ACTION (one has no NETWORK_ID). Whether the VM has such
    NICs is looked at later: it is told to who may deploy it only.
    """
    chosen = Template()
    for nic in generic.parse_template(extra).vectors("NIC"):
        number, network = nic.get("NIC_ID", ""), nic.get("NETWORK_ID", "")
        if vm_requests.whole(network) is None:
            raise _refused(vm, f"NIC_ID {number[:16]} needs the NETWORK_ID of the network that was chosen")
        chosen.add("NIC", Vector(NIC_ID=number, NETWORK_ID=network))
    return chosen


def take_networks(tx: Transaction, vm: VM, chosen: Template, host: Host) -> None:
    """Takes a lease for each NIC of `chosen_networks`; the VM is the transaction's own.

    Raises ApiError ACTION (no NIC that waits for a network, no lease, a network of other clusters),
    AUTHORIZATION (quota).
    """
    with vm_devices.refusals(vm.id), vm_quotas.counted(tx, vm):
        for asked in chosen.vectors("NIC"):
            nic = _without_network(vm, asked["NIC_ID"])
            if nic is None:
                raise _refused(vm, f"NIC_ID {asked['NIC_ID'][:16]} not found or not AUTO")
            network = tx.get(VirtualNetwork, int(asked["NETWORK_ID"]))
            if host.cluster_id not in network.clusters:
                detail = f"Virtual network [{network.id}] is not part of cluster [{host.cluster_id}]"
                raise _refused(vm, detail)
            nic["NETWORK_ID"] = asked["NETWORK_ID"]
            vm_nics.acquire(tx, vm.id, vm.uid, nic)
            vm_nics.join_groups_of(tx, vm, nic)
            vm_context.add_nic(tx, vm, nic)


def _without_network(vm: VM, number: str) -> Vector | None:
    """The NIC of that id when it waits for the network that the scheduler chooses."""
    found = (nic for nic in vm.template.vectors("NIC") if nic.get("NIC_ID") == number)
    return next((nic for nic in found if vm_nics.is_auto(nic) and not nic.get("NETWORK_ID")), None)


def _refused(vm: VM, sentence: str) -> ApiError:
    return ApiError(Code.ACTION, sentence, vm.id)
