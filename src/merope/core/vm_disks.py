"""A VM's disks: images that are taken, volatile ones, their targets and the boot order.

Source: spec templates.yaml `DISK_image`, `DISK_volatile`, `disk_derivation`; examples/vm-held.xml.
"""

import re
from functools import lru_cache
from string import ascii_lowercase

from merope.core import authorization, image, vm_named, vm_requests
from merope.core.transaction import Transaction
from merope.model.datastore import Datastore
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.permissions import Op
from merope.model.states import DiskType, ImageType
from merope.model.template import Template, Vector

_DISK_IMAGES = (ImageType.OS, ImageType.CDROM, ImageType.DATABLOCK)
_VOLATILE = ("fs", "swap")
_FORMATS = ("raw", "qcow2")
_ORDERED = re.compile(r"(disk|nic)(\d+)")


def image_of(tx: Transaction, disk: Vector, uid: int) -> Image | None:
    """The image that a DISK names by id, or by name and owner; None for a volatile disk."""
    used = vm_named.by_id(tx, Image, disk, "IMAGE")
    if used is None and disk.get("IMAGE"):
        used = vm_named.by_name(tx, Image, disk, "IMAGE", uid, "DISK")
    return used


def uses(tx: Transaction, template: Template, uid: int) -> list[authorization.Target]:
    """The rights that the disks of a new VM ask for."""
    found = (image_of(tx, disk, uid) for disk in template.vectors("DISK"))
    return [authorization.on(Op.USE, used) for used in found if used is not None]


def acquire(tx: Transaction, vm_id: int, uid: int, template: Template) -> bool:
    """Takes the images and fills the disks in; answers whether every image is ready to be used."""
    ready = True
    for number, disk in enumerate(template.vectors("DISK")):
        ready = take(tx, vm_id, uid, disk, number) and ready
    return ready


def take(tx: Transaction, vm_id: int, uid: int, disk: Vector, number: int, *, attach: bool = False) -> bool:
    """Takes the image of one disk and fills the disk in; answers whether the image is ready to be used.

    `attach`: for a VM that is on a host and cannot wait. Raises ApiError ALLOCATE, NO_EXISTS.
    """
    disk["DISK_ID"] = str(number)
    used = image_of(tx, disk, uid)
    if used is None:
        _check_volatile(tx, disk, number)
        return True
    if used.type not in _DISK_IMAGES:
        kind = ImageType(used.type).name
        raise ApiError(Code.ALLOCATE, f"DISK {number}: image {used.id} is a {kind} image, not a disk.")
    asked = disk.get("SIZE", "")
    ready = image.acquire(tx, used.id, vm_id, attach=attach)
    _fill(tx, disk, tx.get(Image, used.id), asked, number)
    return ready


def _fill(tx: Transaction, disk: Vector, used: Image, asked: str, number: int) -> None:
    disk.pop("TM_MAD_SYSTEM", None)
    filled = image.disk_attributes(tx, used, disk)
    ours = _ours(tx)
    kept = {key: value for key, value in disk.items() if key not in ours}
    _check_format(tx, used, filled.get("DRIVER", ""), number)
    disk.clear()
    disk.update({**kept, **filled})
    if asked:
        disk["SIZE"] = _grown(asked, used, number)


_FROM_IMAGE = frozenset(
    "SOURCE TYPE DISK_TYPE CLONE SAVE PERSISTENT IMAGE_STATE ORIGINAL_SIZE DATASTORE DATASTORE_ID TM_MAD "
    "CLUSTER_ID CLONE_TARGET LN_TARGET TM_MAD_SYSTEM ALLOW_ORPHANS DISK_SNAPSHOT_TOTAL_SIZE SIZE "
    "IMAGE_UID IMAGE_UNAME IMAGE_ID IMAGE ORDER "
    # What is under way with a disk.
    "ATTACH RESIZE SIZE_PREV DISK_SNAPSHOT_ACTIVE DISK_SNAPSHOT_ID HOTPLUG_SAVE_AS_ACTIVE HOTPLUG_SAVE_AS "
    "HOTPLUG_SAVE_AS_SOURCE HOTPLUG_SAVE_AS_SNAPSHOT_ID".split()
)
_OF_VOLATILE = frozenset({"TYPE", "SIZE"})


def _check_format(tx: Transaction, used: Image, driver: str, number: int) -> None:
    """A disk is read as what its image is: a guest can write anything at the beginning of a raw disk, and
    what reads that as qcow2 would follow it to files of the host."""
    made = tx.get(Datastore, used.datastore_id).template.get("DRIVER")
    if driver in ("", used.fstype, made) or (driver in _FORMATS and used.fstype not in _FORMATS):
        return
    shown = used.fstype or "raw or qcow2"
    raise ApiError(Code.ALLOCATE, f"DISK {number}: DRIVER is {driver[:32]}, but image {used.id} is {shown}.")


def _ours(tx: Transaction) -> frozenset[str]:
    """What a disk has from its image and datastore; what a template says of it is left out."""
    return _with_inherited(tx.settings.inherit_datastore_attr, tx.settings.inherit_image_attr)


@lru_cache(maxsize=8)
def _with_inherited(of_datastore: tuple[str, ...], of_image: tuple[str, ...]) -> frozenset[str]:
    return _FROM_IMAGE.union(of_datastore, of_image)


def _grown(asked: str, used: Image, number: int) -> str:
    """The size of a disk that is to be larger than its image, in MB."""
    size = vm_requests.whole(asked, vm_requests.LARGEST_SIZE)
    if not size:
        raise ApiError(Code.ALLOCATE, f"DISK {number}: SIZE attribute must be a positive integer value.")
    if size == used.size:
        return asked
    if size < used.size:
        raise ApiError(
            Code.ALLOCATE, f"DISK {number}: SIZE ({size} MB) is smaller than the image's ({used.size} MB)."
        )
    if used.persistent or used.type == ImageType.CDROM:
        what = "persistent" if used.persistent else "CDROM"
        raise ApiError(Code.ALLOCATE, f"DISK {number}: a {what} image cannot be resized.")
    return asked


def _check_volatile(tx: Transaction, disk: Vector, number: int) -> None:
    kind = disk.get("TYPE", "")
    if kind.lower() not in _VOLATILE:
        raise ApiError(Code.ALLOCATE, f"DISK {number}: Unknown disk type {kind[:32]}")
    if not vm_requests.whole(disk.get("SIZE", ""), vm_requests.LARGEST_SIZE):
        raise ApiError(Code.ALLOCATE, f"DISK {number}: SIZE attribute must be a positive integer value.")
    for key in (disk.keys() & _ours(tx)) - _OF_VOLATILE:
        del disk[key]
    made = disk.get("FORMAT") or disk.get("DRIVER") or "raw"
    if made not in _FORMATS:
        raise ApiError(
            Code.ALLOCATE,
            f"DISK {number}: FORMAT must be one of {', '.join(_FORMATS)}, not {made[:32]}.",
        )
    # As with images: it is read as what it was made as.
    if disk.get("DRIVER", made) not in ("", made):
        driver = disk["DRIVER"][:32]
        raise ApiError(Code.ALLOCATE, f"DISK {number}: DRIVER is {driver}, but its FORMAT is {made}.")
    disk.setdefault("DEV_PREFIX", tx.settings.default_device_prefix)


def place_volatile(tx: Transaction, template: Template, system: Datastore) -> None:
    """What the volatile disks of a VM show once its system datastore is known."""
    for disk in template.vectors("DISK"):
        if not disk.get("IMAGE_ID"):
            place(tx, disk, system)


def place(tx: Transaction, disk: Vector, system: Datastore) -> None:
    """What a volatile disk shows of the system datastore that it is in."""
    for name in tx.settings.inherit_datastore_attr:
        if system.template.get(name):
            disk[name] = system.template.get(name)
    disk["DATASTORE"] = system.name
    disk["DATASTORE_ID"] = str(system.id)
    disk["TM_MAD"] = system.tm_mad
    disk["CLUSTER_ID"] = ",".join(map(str, sorted(system.clusters)))
    disk["DISK_TYPE"] = DiskType(system.disk_type).name
    disk["ALLOW_ORPHANS"] = system.template.get("ALLOW_ORPHANS", "NO")


def set_mode(tx: Transaction, disk: Vector, system_mad: str) -> None:
    """Where a disk's copy goes when the system datastore's driver is another (spec `disk_derivation`)."""
    if not disk.get("IMAGE_ID") or disk.get("TM_MAD") == system_mad:
        return
    datastore = tx.find(Datastore, int(disk["DATASTORE_ID"]))
    if datastore is None:
        return
    modes = [word.strip() for word in datastore.template.get("TM_MAD_SYSTEM").split(",")]
    if system_mad not in modes:
        return
    disk["TM_MAD_SYSTEM"] = system_mad
    for name in ("LN_TARGET", "CLONE_TARGET", "DISK_TYPE"):
        value = datastore.template.get(f"{name}_{system_mad.upper()}")
        if value:
            disk[name] = value


def assign_targets(template: Template, cdrom_prefix: str) -> None:
    """Gives every disk, and the context CD, its device name (spec `target_letters`).

    The first disk that is no CD-ROM comes first, then the context, CD-ROMs, and the rest.
    """
    disks = template.vectors("DISK")
    used: set[str] = set()
    for disk in disks:
        target = disk.get("TARGET")
        if target:
            if target in used:
                detail = f"DISK {disk['DISK_ID']}: TARGET {target[:32]} is used twice."
                raise ApiError(Code.ALLOCATE, detail)
            used.add(target)
    cdroms = [disk for disk in disks if "CDROM" in disk.get("TYPE", "")]
    plain = [disk for disk in disks if "CDROM" not in disk.get("TYPE", "")]
    context = template.vector("CONTEXT")
    if context is not None:
        context["DISK_ID"] = str(len(disks))
    ordered: list[Vector] = [*plain[:1]]
    if context is not None:
        ordered.append(context)
    ordered += [*cdroms, *plain[1:]]
    for item in ordered:
        if not item.get("TARGET"):
            prefix = item.get("DEV_PREFIX") or cdrom_prefix
            item["TARGET"] = free_target(prefix, used)
            used.add(item["TARGET"])


def free_target(prefix: str, used: set[str]) -> str:
    """A device name that is not used yet; raises ApiError ALLOCATE."""
    for letter in ascii_lowercase:
        if prefix + letter not in used:
            return prefix + letter
    raise ApiError(Code.ALLOCATE, f"There is no free device name with the prefix {prefix[:32]}.")


def assign_boot_order(template: Template) -> None:
    """ORDER of each device that OS/BOOT lists ("disk0,nic1"), from 1."""
    systems = template.vectors("OS")
    boot = systems[0].get("BOOT", "") if systems else ""
    devices = {("disk", disk["DISK_ID"]): disk for disk in template.vectors("DISK")} if boot else {}
    devices |= {("nic", nic["NIC_ID"]): nic for nic in template.vectors("NIC")} if boot else {}
    for position, word in enumerate([part.strip() for part in boot.split(",") if part.strip()], start=1):
        found = _ORDERED.fullmatch(word)
        if found is None:
            detail = f"OS: BOOT lists disk<N> and nic<N>, not {vm_requests.shown(word)}."
            raise ApiError(Code.ALLOCATE, detail)
        device = devices.get((found[1], found[2]))
        if device is None:
            raise ApiError(Code.ALLOCATE, f"OS: BOOT names {word[:32]}, which the VM does not have.")
        device["ORDER"] = str(position)
