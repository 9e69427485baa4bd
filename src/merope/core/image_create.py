"""Registering images: from a file or URL, empty, over an existing source, and as clones.

Source: spec templates.yaml `image`, xmlrpc.yaml `one.image.allocate` and `one.image.clone`.
"""

from dataclasses import dataclass

from merope.core import authorization, generic, image_use, marketplace_app, quota, vm_requests
from merope.core.methods import Need, boolean, integer, method, text
from merope.core.preferences import preference
from merope.core.transaction import Transaction
from merope.model.datastore import Datastore
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.permissions import Op
from merope.model.quota import Usage
from merope.model.states import DatastoreType, DiskType, ImageState, ImageType
from merope.model.template import Template, restricted_attribute

_CREATE = Need(Op.CREATE, Image)
_EMPTY_TYPES = frozenset({ImageType.OS, ImageType.DATABLOCK})
_CDROM_DISKS = {
    DiskType.FILE: DiskType.CD_ROM,
    DiskType.RBD: DiskType.RBD_CDROM,
    DiskType.GLUSTER: DiskType.GLUSTER_CDROM,
    DiskType.SHEEPDOG: DiskType.SHEEPDOG_CDROM,
}
_CD_PARTS = {cdrom: plain for plain, cdrom in _CDROM_DISKS.items()}


def disk_type(plain: int, kind: ImageType) -> DiskType:
    """DISK_TYPE of an image of a kind in a datastore whose disks are `plain`."""
    base = _CD_PARTS.get(DiskType(plain), DiskType(plain))
    if kind is ImageType.CDROM:
        return _CDROM_DISKS.get(base, base)
    return base if kind in image_use.DISK_TYPES else DiskType.FILE


def usage(image: Image) -> Usage:
    """What an image counts for in the quotas of its owner."""
    snapshots = sum(int(item.get("SIZE") or 0) for item in image.snapshots.vectors("SNAPSHOT"))
    return Usage().datastore(image.datastore_id, images=1, size=image.size + snapshots)


@method(
    "one.image.allocate",
    text("template"),
    integer("ds"),
    boolean("check_capacity", True),
    needs=(_CREATE, Need(Op.USE, Datastore, "ds")),
    also="quota DATASTORE; only administrators may set restricted attributes and skip the check of space",
    prepare="image.stat",
)
def allocate(tx: Transaction, source: str, ds_id: int, check_capacity: bool) -> int:
    """Registers an image and has it made: copied from PATH, made empty, or as it is at SOURCE.

    The size in MB of what PATH names is asked of the datastore's driver before:
    `tx.context.prepared["size"]`, or ["error"] when the driver refuses it.
    """
    template = generic.parse_template(source)
    if not tx.caller.is_admin:
        restricted = restricted_attribute(template, tx.settings.image_restricted_attr)
        if restricted is not None:
            raise authorization.denied(tx.caller, f"Template includes a restricted attribute {restricted}")
    datastore = tx.get(Datastore, ds_id)
    if datastore.type == DatastoreType.SYSTEM_DS:
        raise generic.allocate_error("New images cannot be allocated in a system datastore.")
    name = generic.take_name(tx, Image, template, tx.caller.uid)
    kind = _take_type(tx, template)
    _check_store(datastore, kind)
    persistent = _take_persistent(tx, template, datastore, kind)
    origin = _take_origin(tx, template, kind, marketplace_app.take_origin(tx, template, datastore))
    if not (tx.caller.is_admin and not check_capacity):
        check_space(tx, datastore, origin.size)
    image = Image(
        id=tx.new_id(Image),
        name=name,
        **generic.owned_by_caller(tx),
        type=kind,
        disk_type=disk_type(datastore.disk_type, kind),
        persistent=int(persistent),
        regtime=tx.now,
        source=origin.source,
        path=origin.path,
        fstype="" if origin.path or origin.source else _empty_format(template, datastore),
        size=origin.size,
        state=ImageState.READY if origin.source else ImageState.LOCKED,
        datastore_id=datastore.id,
        datastore=datastore.name,
        template=template,
    )
    register(tx, image)
    if not origin.source:
        tx.effect("image.copy" if origin.path else "image.make", image.id, datastore=ds_id)
    return image.id


@method(
    "one.image.clone",
    integer("id"),
    text("name"),
    integer("ds", -1),
    needs=(_CREATE, Need(Op.USE, Image, "id")),
    also="USE on the image's datastore and on the new one; quota DATASTORE",
)
def clone(tx: Transaction, oid: int, name: str, ds_id: int) -> int:
    """Registers a copy of an image, in its datastore or in `ds`."""
    original = tx.get(Image, oid)
    if original.type not in image_use.DISK_TYPES:
        raise ApiError(Code.ACTION, "KERNEL, RAMDISK and CONTEXT cannot be cloned.", oid)
    if original.snapshots.vectors("SNAPSHOT"):
        raise ApiError(Code.ACTION, "Cannot clone images with snapshots", oid)
    target = _clone_target(tx, original, ds_id)
    generic.check_new_name(tx, Image, name, tx.caller.uid)
    check_space(tx, target, original.size)
    kind = ImageType(original.type)
    image = Image(
        id=tx.new_id(Image),
        name=name,
        **generic.owned_by_caller(tx),
        type=kind,
        disk_type=disk_type(target.disk_type, kind),
        persistent=int(_clone_persistent(tx, original, target)),
        regtime=tx.now,
        path=original.source,
        fstype=original.fstype,
        size=original.size,
        state=ImageState.LOCKED,
        cloning_id=oid,
        datastore_id=target.id,
        datastore=target.name,
        template=_clone_template(original),
    )
    image_use.start_clone(tx, oid, image.id)
    register(tx, image)
    tx.effect("image.clone", image.id, datastore=target.id, original=oid, source=original.source)
    return image.id


def register(tx: Transaction, image: Image) -> None:
    """A new image is counted, listed by its datastore and added; ApiError AUTHORIZATION names a quota."""
    quota.charge(tx, image.uid, image.gid, usage(image))
    tx.edit(Datastore, image.datastore_id).images.add(image.id)
    tx.add(image)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the content comes from; neither path nor source: an empty image. `size` in MB."""

    path: str
    source: str
    size: int


def _take_origin(tx: Transaction, template: Template, kind: ImageType, app_size: int | None) -> _Origin:
    """`app_size`: MB of the app that PATH is of, None when it is of none."""
    path, source, stated = (template.get(name) for name in ("PATH", "SOURCE", "SIZE"))
    for name in ("PATH", "SOURCE", "SIZE"):
        template.remove(name)
    if path and source:
        raise generic.allocate_error("PATH and SOURCE cannot be both set.")
    if not path and not source and kind not in _EMPTY_TYPES:
        raise generic.allocate_error("No PATH in template.")
    if not path:
        return _Origin("", source, _stated_size(stated))
    if app_size:
        return _Origin(path, "", app_size)
    error = tx.context.prepared.get("error")
    if error:
        raise _no_size(str(error))
    size = tx.context.prepared.get("size")
    return _Origin(path, "", size if isinstance(size, int) else _stated_size(stated))


def _stated_size(stated: str) -> int:
    if not stated:
        raise _no_size("Wrong number or missing SIZE attribute.")
    size = vm_requests.whole(stated, vm_requests.LARGEST_SIZE)
    if not size:
        raise ApiError(Code.INTERNAL, f"Cannot parse image SIZE: {stated[:32]}")
    return size


def _no_size(detail: str) -> ApiError:
    return ApiError(Code.INTERNAL, f"Cannot determine Image SIZE. {detail}")


def _take_type(tx: Transaction, template: Template) -> ImageType:
    stated = template.get("TYPE") or tx.settings.default_image_type
    template.remove("TYPE")
    kind = image_type(stated)
    if kind is None:
        raise generic.allocate_error(f"Unknown type {stated[:32]}")
    if "DEV_PREFIX" not in template:
        settings = tx.settings
        cdrom = kind is ImageType.CDROM
        prefix = settings.default_cdrom_device_prefix if cdrom else settings.default_device_prefix
        template.set("DEV_PREFIX", prefix)
    return kind


def image_type(word: str) -> ImageType | None:
    """The type of that name in any case."""
    return ImageType.__members__.get(word.upper())


def _check_store(datastore: Datastore, kind: ImageType) -> None:
    files = datastore.type == DatastoreType.FILE_DS
    if files and kind in image_use.DISK_TYPES:
        raise generic.allocate_error(f"{kind.name} images can only be registered in an IMAGE_DS datastore.")
    if not files and kind not in image_use.DISK_TYPES:
        raise generic.allocate_error(f"{kind.name} images can only be registered in a FILE_DS datastore.")


def _take_persistent(tx: Transaction, template: Template, datastore: Datastore, kind: ImageType) -> bool:
    stated = template.get("PERSISTENT")
    template.remove("PERSISTENT")
    if kind not in image_use.DISK_TYPES:
        return False
    only = persistent_only(tx, datastore)
    if stated:
        persistent = stated.upper() in ("YES", "1", "TRUE")
    else:
        configured = _preference(tx, "DEFAULT_IMAGE_PERSISTENT_NEW", tx.settings.default_image_persistent_new)
        persistent = only if configured is None else configured
    if only and not persistent:
        raise generic.allocate_error("This Datastore only accepts persistent images.")
    return persistent


def _clone_persistent(tx: Transaction, original: Image, target: Datastore) -> bool:
    configured = _preference(tx, "DEFAULT_IMAGE_PERSISTENT", tx.settings.default_image_persistent)
    persistent = bool(original.persistent) if configured is None else configured
    return persistent or persistent_only(tx, target)


def _preference(tx: Transaction, name: str, configured: bool | None) -> bool | None:
    stated = preference(tx, name)
    return stated == "YES" if stated else configured


def persistent_only(tx: Transaction, datastore: Datastore) -> bool:
    conf = tx.settings.ds_mad_conf.get(datastore.ds_mad, {})
    return conf.get("PERSISTENT_ONLY", "NO").upper() == "YES"


def _empty_format(template: Template, datastore: Datastore) -> str:
    """The format of an empty image (spec `image.fstype`)."""
    driver = template.get("DRIVER") or datastore.template.get("DRIVER")
    return "qcow2" if driver == "qcow2" or datastore.tm_mad == "qcow2" else "raw"


def check_space(tx: Transaction, datastore: Datastore, size: int) -> None:
    """Raises ApiError ACTION when `size` MB do not fit into what is free, or allowed, in the datastore.

    One that has not been measured yet is not known to be full.
    """
    template = datastore.template
    if not template.get_bool("DATASTORE_CAPACITY_CHECK", tx.settings.datastore_capacity_check):
        return
    available = datastore.free_mb if datastore.total_mb else size
    limit = vm_requests.whole(template.get("LIMIT_MB"), vm_requests.LARGEST_SIZE)
    if limit is not None:
        available = min(available, limit - datastore.used_mb)
    if size > available:
        raise ApiError(Code.ACTION, "Not enough space in datastore", datastore.id)


def _clone_target(tx: Transaction, original: Image, ds_id: int) -> Datastore:
    home = tx.get(Datastore, original.datastore_id)
    target = home if ds_id == -1 else tx.get(Datastore, ds_id)
    if target.type != DatastoreType.IMAGE_DS or home.type != DatastoreType.IMAGE_DS:
        raise ApiError(Code.ACTION, "Clone only supported for IMAGE_DS Datastores", target.id)
    if target.ds_mad != home.ds_mad:
        raise ApiError(Code.ACTION, "Clone only supported to same DS_MAD Datastores", target.id)
    stores = {store.id: store for store in (target, home)}
    authorization.require(tx, *(authorization.on(Op.USE, store) for store in stores.values()))
    return target


def _clone_template(original: Image) -> Template:
    template = original.template.copy()
    for name in ("SAVED_IMAGE_ID", "SAVED_DISK_ID", "SAVED_VM_ID", "ERROR"):
        template.remove(name)
    return template
