"""What a VM's DISK takes from its image and the image's datastore.

Source: spec templates.yaml `disk_derivation`, recorded vm-held.xml and template-extended.xml.
"""

from merope.core.transaction import Transaction
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.states import DiskType, ImageType
from merope.model.template import Template, Vector

IMMUTABLE = "IMMUTABLE"

_TYPE_TEXT = {kind: kind.name for kind in DiskType} | {DiskType.CD_ROM: "CDROM", DiskType.NONE: ""}
_TARGETS = ("LN_TARGET", "CLONE_TARGET")
_BY_MODE = (*_TARGETS, "DISK_TYPE")


def disk_attributes(tx: Transaction, image: Image, disk: Vector) -> Vector:
    """The derived attributes of a disk that uses `image`.

    `disk` is the DISK as the user wrote it: what the image only suggests (DEV_PREFIX, DRIVER, READONLY,
    TARGET, SIZE) is as the disk says where it says it; its TM_MAD_SYSTEM chooses among the datastore's
    targets. Sizes in MB. Raises ApiError NO_EXISTS when the datastore is gone.
    """
    datastore = tx.get(Datastore, image.datastore_id)
    filled = Vector(
        IMAGE=image.name,
        IMAGE_ID=str(image.id),
        IMAGE_STATE=str(int(image.state)),
        SOURCE=image.source,
        SIZE=disk.get("SIZE") or str(image.size),
        ORIGINAL_SIZE=str(image.size),
        TYPE=_TYPE_TEXT[DiskType(image.disk_type)],
        DISK_SNAPSHOT_TOTAL_SIZE=str(_snapshots_size(image)),
        DEV_PREFIX=disk.get("DEV_PREFIX") or _prefix(tx, image),
    )
    filled.update(_use(image, disk))
    filled.update(_from_datastore(tx, datastore, disk.get("TM_MAD_SYSTEM", "")))
    filled.update(_inherited(image.template, tx.settings.inherit_image_attr))
    target = disk.get("TARGET") or image.template.get("TARGET")
    if target:
        filled["TARGET"] = target
    driver = disk.get("DRIVER") or image.template.get("DRIVER") or datastore.template.get("DRIVER")
    if image.type == ImageType.CDROM:
        # Whatever its datastore makes of disks.
        driver = "raw"
    elif not driver and image.fstype == "qcow2":
        driver = "qcow2"
    if driver:
        filled["DRIVER"] = driver
    return filled


def _use(image: Image, disk: Vector) -> Vector:
    read_only = image.template.get("PERSISTENT_TYPE").upper() == IMMUTABLE
    if image.type == ImageType.CDROM or read_only:
        return Vector(CLONE="NO", SAVE="NO", READONLY="YES")
    asked = disk.get("READONLY") or image.template.get("READONLY") or "NO"
    if image.persistent:
        return Vector(CLONE="NO", SAVE="YES", PERSISTENT="YES", READONLY=asked.upper())
    return Vector(CLONE="YES", SAVE="NO", READONLY=asked.upper())


def _from_datastore(tx: Transaction, datastore: Datastore, mode: str) -> Vector:
    template = datastore.template
    filled = Vector(
        DATASTORE=datastore.name,
        DATASTORE_ID=str(datastore.id),
        TM_MAD=datastore.tm_mad,
        CLUSTER_ID=",".join(map(str, sorted(datastore.clusters))),
    )
    filled.update(_inherited(template, (*_TARGETS, *tx.settings.inherit_datastore_attr)))
    if mode:
        for name in _BY_MODE:
            value = template.get(f"{name}_{mode.upper()}")
            if value:
                filled[name] = value
        filled["TM_MAD_SYSTEM"] = mode
    return filled


def _inherited(template: Template, wanted: tuple[str, ...]) -> Vector:
    return Vector({name: value for name in wanted if (value := template.get(name))})


def _prefix(tx: Transaction, image: Image) -> str:
    settings = tx.settings
    cdrom = image.type == ImageType.CDROM
    default = settings.default_cdrom_device_prefix if cdrom else settings.default_device_prefix
    return image.template.get("DEV_PREFIX") or default


def _snapshots_size(image: Image) -> int:
    sizes = (snapshot.get("SIZE", "0") for snapshot in image.snapshots.vectors("SNAPSHOT"))
    return sum(int(size) for size in sizes if size.isdecimal())
