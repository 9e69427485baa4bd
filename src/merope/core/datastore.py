"""Datastores: commands, the attributes that follow from their drivers, and what monitoring measures.

Source: spec templates.yaml `datastore`, recorded datastore-pool.xml.
"""

import re

from merope.core import acl, generic, vdc, vm_requests
from merope.core.cluster import join, leave
from merope.core.host import DEFAULT_CLUSTER
from merope.core.methods import Need, boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.option import Section
from merope.model.permissions import ObjectType, Op, Permissions
from merope.model.states import DatastoreState, DatastoreType, DiskType
from merope.model.template import Template

#: DS_MAD of a system datastore, which has none.
NO_DRIVER = "-"

_GROUP_USE = 0o040
_TARGETS = ("LN_TARGET", "CLONE_TARGET")
_BY_MODE = ("LN_TARGET", "CLONE_TARGET", "DISK_TYPE")
_FOR_IMAGES = (*_TARGETS, "TM_MAD_SYSTEM", "DRIVER", "PERSISTENT_ONLY")
_FOR_SYSTEM = ("SHARED", "DS_MIGRATE")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:_-]{0,253}[A-Za-z0-9])?", re.ASCII)
_OF_REPLICAS = {
    "REPLICA_MAX_SIZE_MB": (0, vm_requests.LARGEST_SIZE),
    "REPLICA_MAX_USED_PERC": (1, 100),
}
"""The lowest and the highest number that each may be."""
_DISK_TYPES = {
    DatastoreType.IMAGE_DS: frozenset(
        {
            DiskType.FILE,
            DiskType.BLOCK,
            DiskType.RBD,
            DiskType.ISCSI,
            DiskType.GLUSTER,
            DiskType.SHEEPDOG,
        }
    ),
    DatastoreType.SYSTEM_DS: frozenset({DiskType.FILE, DiskType.BLOCK, DiskType.RBD}),
}


class _DatastoreError(Exception):
    """A template that makes no datastore; the text is a sentence."""


@method(
    "one.datastore.allocate",
    text("template"),
    integer("cluster"),
    needs=(Need(Op.CREATE, Datastore), Need(Op.ADMIN, Cluster, "cluster", default=DEFAULT_CLUSTER)),
)
def allocate(tx: Transaction, source: str, cluster_id: int) -> int:
    """Registers a datastore in a cluster."""
    template = generic.parse_template(source)
    name = generic.take_name(tx, Datastore, template)
    owner = (tx.caller.uid, tx.caller.gid, tx.caller.name, tx.caller.group_name)
    permissions = generic.default_permissions(tx)
    try:
        datastore = add_datastore(tx, tx.new_id(Datastore), name, owner, permissions, template)
    except _DatastoreError as fault:
        raise generic.allocate_error(str(fault)) from fault
    join(tx, datastore, cluster_id if cluster_id >= 0 else DEFAULT_CLUSTER)
    return datastore.id


def add_datastore(
    tx: Transaction,
    oid: int,
    name: str,
    owner: tuple[int, int, str, str],
    permissions: Permissions,
    template: Template,
) -> Datastore:
    """A datastore that its owner's group may use; it is in no cluster yet. `owner`: ids and names."""
    uid, gid, uname, gname = owner
    datastore = Datastore(
        id=oid,
        uid=uid,
        gid=gid,
        uname=uname,
        gname=gname,
        name=name,
        permissions=Permissions.from_mode(permissions.mode | _GROUP_USE),
        base_path=f"{tx.settings.datastore_location.rstrip('/')}/{oid}",
    )
    datastore.template = _derived(tx, datastore, template)
    tx.add(datastore)
    return datastore


def _derived(tx: Transaction, datastore: Datastore, stated: Template) -> Template:
    """The template with all that follows from it; sets the datastore's own fields. Raises _DatastoreError."""
    template = stated.copy()
    template.remove("BASE_PATH")
    kind = _type(template)
    system = kind is DatastoreType.SYSTEM_DS
    ds_mad = template.get("DS_MAD")
    if system and ds_mad not in ("", NO_DRIVER):
        raise _DatastoreError("SYSTEM datastores cannot have DS_MAD defined.")
    if not system and not ds_mad:
        raise _DatastoreError("No DS_MAD in template.")
    tm_mad = template.get("TM_MAD")
    if not tm_mad:
        raise _DatastoreError("No TM_MAD in template.")
    conf = _conf(tx.settings.tm_mad_conf.get(tm_mad), "TM_MAD", tm_mad)
    if system:
        template.remove("DS_MAD")
        _check_replicas(template)
        _derive_system(template, conf)
    else:
        ds_conf = _conf(tx.settings.ds_mad_conf.get(ds_mad), "DS_MAD", ds_mad)
        _check_required(template, ds_conf)
        _derive_images(template, conf, ds_conf)
    disk_type = _take_disk_type(template, kind)
    template.set("TYPE", kind.name)
    template.set("TM_MAD", tm_mad)
    template.set("ALLOW_ORPHANS", conf.get("ALLOW_ORPHANS", "NO").upper())
    if "SAFE_DIRS" not in template and "RESTRICTED_DIRS" not in template:
        template.set("SAFE_DIRS", "/var/tmp")  # noqa: S108 - a default of the format, made by nobody here
        template.set("RESTRICTED_DIRS", "/")
    datastore.type, datastore.disk_type = kind, disk_type
    datastore.ds_mad, datastore.tm_mad = NO_DRIVER if system else ds_mad, tm_mad
    return template


def _type(template: Template) -> DatastoreType:
    stated = template.get("TYPE")
    if not stated:
        return DatastoreType.IMAGE_DS
    kind = DatastoreType.__members__.get(stated.upper())
    if kind is None:
        known = ", ".join(DatastoreType.__members__)
        raise _DatastoreError(f'Unknown TYPE "{stated[:32]}" in template, it must be one of {known}.')
    return kind


def _conf(found: Section | None, what: str, name: str) -> Section:
    if found is None:
        raise _DatastoreError(f'{what} named "{name[:64]}" is not defined in oned.conf')
    return found


def _check_required(template: Template, conf: Section) -> None:
    for name in conf.get("REQUIRED_ATTRS", "").replace(",", " ").split():
        if not template.get(name) and template.vector(name) is None:
            raise _DatastoreError(f'Datastore template is missing the "{name}" attribute or it\'s empty.')


def _check_replicas(template: Template) -> None:
    host = template.get("REPLICA_HOST")
    if host and not _HOST.fullmatch(host):
        raise _DatastoreError(f'REPLICA_HOST is "{host[:64]}", and must be the name or address of one host.')
    for name, (lowest, highest) in _OF_REPLICAS.items():
        stated = template.get(name)
        number = vm_requests.whole(stated, highest) if stated else lowest
        if number is None or number < lowest:
            raise _DatastoreError(
                f'{name} is "{stated[:32]}", and must be a whole number from {lowest} to {highest}.'
            )


def _derive_system(template: Template, conf: Section) -> None:
    for name in template.names():
        if name in _FOR_IMAGES[:3] or name.startswith(tuple(f"{part}_" for part in _TARGETS)):
            template.remove(name)
    for name in _FOR_SYSTEM:
        template.set(name, conf.get(name, "NO").upper())


def _derive_images(template: Template, conf: Section, ds_conf: Section) -> None:
    for name in (*_FOR_SYSTEM, "TM_MAD_SYSTEM"):
        template.remove(name)
    for name in _TARGETS:
        template.set(name, conf.get(name, "NONE").upper())
    modes = conf.get("TM_MAD_SYSTEM", "")
    if modes:
        template.set("TM_MAD_SYSTEM", modes)
    for mode in modes.replace(",", " ").upper().split():
        for part in _BY_MODE:
            value = conf.get(f"{part}_{mode}")
            if value:
                template.set(f"{part}_{mode}", value.upper())
    driver = conf.get("DRIVER")
    if driver:
        template.set("DRIVER", driver)
    if ds_conf.get("PERSISTENT_ONLY", "NO").upper() == "YES":
        template.set("PERSISTENT_ONLY", "YES")


def _take_disk_type(template: Template, kind: DatastoreType) -> DiskType:
    stated = template.get("DISK_TYPE").upper()
    template.remove("DISK_TYPE")
    if kind is DatastoreType.FILE_DS:
        return DiskType.FILE
    disk_type = DiskType.__members__.get(stated or DiskType.FILE.name)
    if disk_type is None or disk_type is DiskType.NONE:
        raise _DatastoreError("Unknown DISK_TYPE in template.")
    if disk_type not in _DISK_TYPES[kind]:
        raise _DatastoreError("Invalid DISK_TYPE in template.")
    template.set("DISK_TYPE", disk_type.name)
    return disk_type


@method("one.datastore.delete", integer("id"), needs=(Need(Op.ADMIN, Datastore, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a datastore without images."""
    datastore = tx.get(Datastore, oid)
    if datastore.images:
        raise generic.delete_error(datastore, f"Datastore {oid} is not empty.")
    own = tx.edit(Datastore, oid)
    for cluster_id in list(own.clusters):
        leave(tx, own, cluster_id)
    acl.drop_rules_about(tx, ObjectType.DATASTORE, oid)
    vdc.forget_resource(tx, Datastore, oid)
    tx.delete(own)
    return oid


@method("one.datastore.enable", integer("id"), boolean("enable"), needs=(Need(Op.MANAGE, Datastore, "id"),))
def enable(tx: Transaction, oid: int, wanted: bool) -> int:
    """Lets the scheduler use a system datastore, or not."""
    if tx.get(Datastore, oid).type != DatastoreType.SYSTEM_DS:
        verb = "enable" if wanted else "disable"
        raise ApiError(
            Code.INTERNAL, f"Could not {verb} datastore: only SYSTEM_DS datastores can be disabled.", oid
        )
    tx.edit(Datastore, oid).state = DatastoreState.READY if wanted else DatastoreState.DISABLED
    return oid


@generic.checks_updates(Datastore)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """Drivers that the new template does not name stay; the type may change while there are no images."""
    assert isinstance(value, Datastore)
    own = tx.edit(Datastore, value.id)
    old_type = own.type
    for name in ("TYPE", "TM_MAD", "DS_MAD", "DISK_TYPE"):
        known = own.template.get(name)
        if known and not new.get(name):
            new.set(name, known)
    if new.get("TYPE").upper() == DatastoreType.SYSTEM_DS.name:
        # Clients send the same attributes to every datastore: 5.12 takes this one and leaves it out.
        new.remove("DS_MAD")
    try:
        template = _derived(tx, own, new)
    except _DatastoreError as fault:
        raise generic.update_error(str(fault), value.id) from fault
    if own.type != old_type and own.images:
        detail = f"The TYPE of datastore {value.id} cannot change while it has images."
        raise generic.update_error(detail, value.id)
    return template


def _follow_rename(tx: Transaction, value: Document) -> None:
    assert isinstance(value, Datastore)
    for image_id in value.images:
        if tx.find(Image, image_id) is not None:
            tx.edit(Image, image_id).datastore = value.name


generic.follows_rename(Datastore, _follow_rename)


def monitored(tx: Transaction, oid: int, total: int, used: int, free: int) -> bool:
    """Takes a measurement of a datastore in, in MB; answers whether it says anything new."""
    datastore = tx.find(Datastore, oid)
    measured = (total, used, free)
    if datastore is None or (datastore.total_mb, datastore.used_mb, datastore.free_mb) == measured:
        return False
    own = tx.edit(Datastore, oid)
    own.total_mb, own.used_mb, own.free_mb = measured
    return True
