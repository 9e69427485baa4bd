"""What becomes of a VM when the world answers: results of effects, images that are ready, monitoring."""

from merope.core import host_failure, host_topology, image, lifecycle, vm_machine, vm_steps
from merope.core.results import on_result
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.effect import Effect
from merope.model.host import Host
from merope.model.image import Image
from merope.model.kinds import BY_DOCUMENT
from merope.model.phase import Phase
from merope.model.states import HostState, ImageState
from merope.model.vm import VM

#: What a hypervisor says of a domain → the event it is to the VM's life-cycle.
REPORTS = {
    "RUNNING": "found-running",
    "FAILURE": "found-failed",
    "SUSPENDED": "found-suspended",
    "POWEROFF": "found-poweroff",
}
_LOGGED_ONLY = ("vm.reboot", "vm.reset")


def _take(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    if tx.find(VM, effect.oid) is None:
        return
    vm = tx.edit(VM, effect.oid)
    if ok and data.get("arrived") == "no":
        ok, message = False, "Its host failed before it had arrived where it was being moved to"
    event = f"{lifecycle.ANSWERS[effect.op]}-{'ok' if ok else 'ko'}"
    vm_machine.fire(tx, vm, event, Facts("" if ok else message, data, effect.arguments))
    if not ok and vm.history is not None:
        _doubt(tx, vm.id, vm.history.hid)


def _doubt(tx: Transaction, vm_id: int, host_id: int) -> None:
    """What failed says nothing of a VM whose host is in error: that was told of those that ran then."""
    host = tx.find(Host, host_id)
    if host is not None and (host.state == HostState.ERROR or host_failure.is_down(tx, host_id)):
        host_lost(tx, vm_id)
        host_failure.rearm(tx, host_id)


for _op in lifecycle.ANSWERS:
    on_result(_op)(_take)


def _note_failure(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    if not ok and tx.find(VM, effect.oid) is not None:
        vm_steps.say(tx, tx.edit(VM, effect.oid), message)


for _op in _LOGGED_ONLY:
    on_result(_op)(_note_failure)


@on_result("vm.delete")
def _deleted(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    """The VM is DONE already; the engine has logged what could not be cleaned up."""


def found(tx: Transaction, vm_id: int, report: str) -> bool:
    """Takes in what monitoring says of a VM; answers whether that changed it.

    What is said while an effect is under way says nothing about the VM's future: the effect's own answer
    comes, or its time-out.
    """
    vm = tx.find(VM, vm_id)
    event = REPORTS.get(report)
    if vm is None or event is None or ("vm", vm_id) in tx.state.effects_of:
        return False
    if vm_machine.row_for(tx, vm, event) is None:
        return False
    vm_machine.fire(tx, tx.edit(VM, vm_id), event)
    return True


def found_elsewhere(tx: Transaction, vm_id: int, host: Host) -> bool:
    """Takes in that a VM runs on a host that is not that of its record; answers whether that changed it.

    A live migration that was cut off may have come to its end all the same. The record moves when its own
    host has been found not to have the VM, which is POWEROFF then, or is not heard any more, and nothing is
    under way. 5.12 leaves such a VM to the administrator.
    """
    if vm_id not in tx.state.pools[BY_DOCUMENT[VM].table].entries:
        return False
    vm = tx.get(VM, vm_id)
    current = vm.history
    if current is None or current.hid == host.id:
        return False
    if vm.phase is not Phase.POWEROFF and not (
        vm.phase is Phase.UNKNOWN and host_failure.is_down(tx, current.hid)
    ):
        return False
    if host_topology.wants_parts(vm):
        return False  # its CPUs or devices are those of its own host: it is not migrated live
    if not found(tx, vm_id, "RUNNING"):
        return False
    own = tx.edit(VM, vm_id)
    own.resched = 0
    moved = vm_steps.record(own)
    vm_steps.release_capacity(tx, own, moved.hid)
    moved.hid, moved.hostname, moved.cid, moved.vm_mad = host.id, host.name, host.cluster_id, host.vm_mad
    vm_steps.take_capacity(tx, own, host.id)
    return True


def host_lost(tx: Transaction, vm_id: int) -> None:
    """The VM's host does not answer any more."""
    vm = tx.get(VM, vm_id)
    if vm_machine.row_for(tx, vm, "host-lost") is not None:
        vm_machine.fire(tx, tx.edit(VM, vm_id), "host-lost")


def images_changed(tx: Transaction, vm_id: int) -> None:
    """An image that a cloning VM waits for is ready, or has failed; looks at all of the VM's images anew."""
    vm = tx.find(VM, vm_id)
    if vm is None or vm.phase not in (Phase.CLONING, Phase.CLONING_FAILURE):
        return
    ids = [int(disk["IMAGE_ID"]) for disk in vm.template.vectors("DISK") if disk.get("IMAGE_ID")]
    states = [image.state_of(tx, oid) for oid in ids]
    if ImageState.ERROR in states:
        bad = ids[states.index(ImageState.ERROR)]
        if vm.phase is Phase.CLONING:
            facts = Facts(f"Error cloning or copying image [{bad}]")
            vm_machine.fire(tx, tx.edit(VM, vm_id), "images-failed", facts)
        return
    waiting = (ImageState.LOCKED, ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS)
    if any(state in waiting for state in states):
        if vm.phase is Phase.CLONING_FAILURE:
            vm_machine.fire(tx, tx.edit(VM, vm_id), "images-waiting")
        return
    event = "images-ready-hold" if vm.template.get_bool("SUBMIT_ON_HOLD") else "images-ready"
    own = tx.edit(VM, vm_id)
    _note_sources(tx, own)
    vm_machine.fire(tx, own, event)


def _note_sources(tx: Transaction, vm: VM) -> None:
    """When the VM took its images, some of them had no content yet, and nobody knew where it would be."""
    for disk in vm.template.vectors("DISK"):
        if disk.get("IMAGE_ID"):
            known = image.disk_attributes(tx, tx.get(Image, int(disk["IMAGE_ID"])), disk)
            disk.update({name: known[name] for name in ("SOURCE", "DRIVER") if name in known})


image.on_ready(images_changed)
