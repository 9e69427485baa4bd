"""`onevm save`: a machine that is switched off becomes a template, its disks become images.

The cloud has no method for it; a client clones the machine's template, saves the disks one by one and
puts them in (as 5.12's Ruby library does).  What was made is removed again when a step fails.
"""

import time
from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.errors import CliError
from merope.cli.vm_recovery import state_of
from merope.client import ClientError, whole
from merope.model.states import VmState
from merope.model.template import Template, Vector

_CAPACITY = ("CPU", "VCPU", "MEMORY")
_CDROM = "CDROM"
_CURRENT_STATE = -1
#: Seconds between two looks at a machine whose disk is being saved: the first, and the longest.
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0

#: What the cloud wrote into a disk or an interface; a new machine gets its own.
_DISK_COMPUTED = frozenset(
    """ALLOW_ORPHANS CLONE CLONE_TARGET CLONE_TARGET_SSH CLUSTER_ID DATASTORE DATASTORE_ID DEV_PREFIX DISK_ID
    DISK_SNAPSHOT_TOTAL_SIZE DISK_TYPE DISK_TYPE_SSH DRIVER IMAGE IMAGE_ID IMAGE_STATE IMAGE_UID IMAGE_UNAME
    LN_TARGET LN_TARGET_SSH OPENNEBULA_MANAGED ORDER ORIGINAL_SIZE PERSISTENT READONLY SAVE SIZE SOURCE TARGET
    TM_MAD TM_MAD_SYSTEM TYPE""".split()
)
_NIC_COMPUTED = frozenset(
    """ALIAS_IDS AR_ID BRIDGE BRIDGE_TYPE CLUSTER_ID IP IP6 IP6_GLOBAL IP6_LINK IP6_ULA MAC NETWORK_ID
    NIC_ID ORDER PARENT_ID PHYDEV SECURITY_GROUPS TARGET VLAN_ID VN_MAD VNET_MAD""".split()
)
_VOLATILE_COMPUTED = frozenset(("CLONE", "DISK_ID", "ORDER", "SAVE", "TARGET", "TM_MAD_SYSTEM", "CLUSTER_ID"))


def save(ctx: Context) -> None:
    oid, name = ctx.oid(), ctx.word("name")
    vm = ctx.client.info("vm", oid)
    source = vm.findtext("TEMPLATE/TEMPLATE_ID")
    if not source:
        raise CliError(f"VM {oid} has no template to be saved")
    if (state := state_of(vm)) != VmState.POWEROFF.name:
        raise CliError(f"VM state must be POWEROFF, current state is {state}")
    template = ctx.client.number("one.template.clone", int(source), name)
    images: list[int] = []
    try:
        changes = _changes(ctx, vm, name, images)
        ctx.client.call("one.template.update", template, changes.to_text(), 1)
    except BaseException:
        # Also when the person gives up: half a template is of no use to anybody.
        _undo(ctx, template, images)
        raise
    ctx.print_id(template)


def _changes(ctx: Context, vm: Element, name: str, images: list[int]) -> Template:
    """Capacity, disks and interfaces as the machine has them now; saved images are noted in `images`."""
    now = vm.find("TEMPLATE")
    assert now is not None
    changes = Template((key, value) for key in _CAPACITY if (value := now.findtext(key)))
    for disk in now.iterfind("DISK"):
        changes.add("DISK", _disk(ctx, vm, disk, name, images))
    for tag in ("NIC", "NIC_ALIAS"):
        for nic in now.iterfind(tag):
            changes.add(tag, _nic(nic))
    return changes


def _disk(ctx: Context, vm: Element, disk: Element, name: str, images: list[int]) -> Vector:
    """An image as it is now, a CDROM as it was; a disk without an image is described again."""
    if not (image := disk.findtext("IMAGE_ID")):
        return _vector(disk, _VOLATILE_COMPUTED)
    if disk.findtext("TYPE") != _CDROM:
        oid, disk_id = whole(vm, "ID"), whole(disk, "DISK_ID")
        ctx.say(f"VM {oid}: saving disk {disk_id}")
        saved = ctx.client.number(
            "one.vm.disksaveas", oid, disk_id, f"{name}-disk-{disk_id}", "", _CURRENT_STATE
        )
        images.append(saved)
        _wait_until_off(ctx, oid)
        if ctx.flag("persistent"):
            ctx.client.call("one.image.persistent", saved, True)
        image = str(saved)
    return Vector({"IMAGE_ID": image, **_vector(disk, _DISK_COMPUTED)})


def _nic(nic: Element) -> Vector:
    vector = _vector(nic, _NIC_COMPUTED)
    if "NETWORK" not in vector and (network := nic.findtext("NETWORK_ID")):
        vector["NETWORK_ID"] = network
    return vector


def _vector(element: Element, without: frozenset[str]) -> Vector:
    return Vector((e.tag, e.text or "") for e in element if e.tag not in without)


def _wait_until_off(ctx: Context, oid: int) -> None:
    """While a disk is saved the machine takes nothing else."""
    pause = _FIRST_WAIT
    while (state := state_of(ctx.client.info("vm", oid))) != VmState.POWEROFF.name:
        if "SAVEAS" not in state:
            raise CliError(f"VM {oid} is {state}, it should be POWEROFF when its disk is saved.")
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_WAIT)


def _undo(ctx: Context, template: int, images: list[int]) -> None:
    for method, oid in (("template", template), *(("image", i) for i in images)):
        try:
            ctx.client.call(f"one.{method}.delete", oid)
        except ClientError as e:
            ctx.terminal.warn(f"What was made so far could not be removed: {e}")
