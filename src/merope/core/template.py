"""VM templates: commands, and making VMs of them.

Source: spec xmlrpc.yaml `one.template.*`, recorded template.xml, template-extended.xml, vm-held.xml.
"""

from collections.abc import Iterator

from merope.core import (
    acl,
    authorization,
    concealed,
    generic,
    image,
    image_create,
    views,
    vm_allocate,
    vm_disks,
    vm_nics,
    vm_schedule,
)
from merope.core.methods import Need, Type, boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.permissions import ObjectType, Op
from merope.model.template import Template, Vector, restricted_attribute
from merope.model.vm import VM
from merope.model.vm_template import VmTemplate

_USE = Need(Op.USE, VmTemplate, "id")
_CREATE = Need(Op.CREATE, VmTemplate)
_BITS = tuple(integer(f"{who}_{what}") for who in ("owner", "group", "other") for what in ("u", "m", "a"))
#: What a DISK says of the image that it no longer uses once it has a copy of its own.
_OF_ORIGINAL = ("IMAGE", "IMAGE_UID", "IMAGE_UNAME", "SIZE")


@method("one.template.allocate", text("template"), needs=(_CREATE,))
def allocate(tx: Transaction, source: str) -> int:
    """Registers a template; what it says, but SCHED_ACTION, is checked when a VM is made of it."""
    template = generic.parse_template(source)
    if not tx.caller.is_admin:
        found = restricted_attribute(template, tx.settings.vm_restricted_attr)
        if found is not None:
            raise authorization.denied(tx.caller, f"Template includes a restricted attribute {found}")
    try:
        vm_schedule.take_actions(template, fresh=True)
    except vm_schedule.ScheduleError as fault:
        raise generic.allocate_error(str(fault)) from fault
    name = generic.take_name(tx, VmTemplate, template, tx.caller.uid)
    return _add(tx, name, template).id


def _add(tx: Transaction, name: str, template: Template) -> VmTemplate:
    new = VmTemplate(
        id=tx.new_id(VmTemplate),
        name=name,
        **generic.owned_by_caller(tx),
        regtime=tx.now,
        template=template,
    )
    tx.add(new)
    return new


@method(
    "one.template.clone",
    integer("id"),
    text("name"),
    boolean("recursive", False),
    needs=(_CREATE, _USE),
    also="recursive: CREATE IMAGE, USE on each image and its datastore, quota DATASTORE",
)
def clone(tx: Transaction, oid: int, name: str, recursive: bool) -> int:
    """Copies a template; with `recursive` the images of its disks too, as persistent ones."""
    return _clone(tx, tx.get(VmTemplate, oid), name, recursive=recursive).id


def _clone(tx: Transaction, original: VmTemplate, name: str, *, recursive: bool) -> VmTemplate:
    generic.check_new_name(tx, VmTemplate, name, tx.caller.uid)
    template = original.template.copy()
    if recursive:
        for number, disk in enumerate(template.vectors("DISK")):
            used = vm_disks.image_of(tx, disk, tx.caller.uid)
            if used is not None:
                _clone_image(tx, used, disk, f"{name}-disk-{number}")
    return _add(tx, name, template)


def _clone_image(tx: Transaction, original: Image, disk: Vector, name: str) -> None:
    authorization.require(tx, authorization.create(Image), authorization.on(Op.USE, original))
    copy_id = image_create.clone(tx, original.id, name, -1)
    tx.edit(Image, copy_id).persistent = 1
    for key in _OF_ORIGINAL:
        disk.pop(key, None)
    disk["IMAGE_ID"] = str(copy_id)


@method(
    "one.template.delete",
    integer("id"),
    boolean("recursive", False),
    needs=(Need(Op.MANAGE, VmTemplate, "id"),),
    also="recursive: MANAGE on each image",
)
def delete(tx: Transaction, oid: int, recursive: bool) -> int:
    """Removes a template; with `recursive` the images of its disks too, all of them or nothing at all."""
    template = tx.get(VmTemplate, oid)
    if recursive:
        for image_id in sorted({used.id for used in _images(tx, template)}):
            image.delete(tx, image_id)
    acl.drop_rules_about(tx, ObjectType.TEMPLATE, oid)
    tx.delete(template)
    return oid


def _images(tx: Transaction, template: VmTemplate) -> Iterator[Image]:
    """The images that the disks name and that are still there."""
    for disk in template.template.vectors("DISK"):
        try:
            used = vm_disks.image_of(tx, disk, tx.caller.uid)
        except ApiError:
            continue
        if used is not None:
            yield used


@method(
    "one.template.chmod",
    integer("id"),
    *_BITS,
    boolean("recursive", False),
    also="MANAGE, or ADMIN where an admin bit changes; recursive: the same on each image",
)
def chmod(tx: Transaction, oid: int, *arguments: int) -> int:
    """Changes the permissions of a template; with `recursive` those of its images too, all or none."""
    *bits, recursive = arguments
    template = tx.get(VmTemplate, oid)
    generic.change_mode(tx, template, tuple(bits))
    if recursive:
        images = {used.id: used for used in _images(tx, template)}
        for used in images.values():
            generic.change_mode(tx, used, tuple(bits))
    return oid


@generic.checks_updates(VmTemplate)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    assert isinstance(value, VmTemplate)
    new.remove("NAME")
    try:
        vm_schedule.take_actions(new, fresh=True)
    except vm_schedule.ScheduleError as fault:
        raise generic.update_error(str(fault), value.id) from fault
    return generic.check_restricted(tx, tx.settings.vm_restricted_attr, new, value.template, value.id)


@method(
    "one.template.info",
    integer("id"),
    boolean("extended", False),
    boolean("decrypt", False),
    returns=Type.STRING,
    needs=(Need(Op.USE, VmTemplate, "id", lock=False),),
    read_only=True,
    also="extended: USE on each image and network",
)
def info(tx: Transaction, oid: int, extended: bool, decrypt: bool) -> bytes:
    """The template; `extended` with all that its disks take from their images."""
    if not extended:
        return concealed.shown(tx, VmTemplate, oid, decrypt=decrypt)
    stored = tx.get(VmTemplate, oid)
    full = stored.template.copy()
    uid = tx.caller.uid
    authorization.require(tx, *vm_disks.uses(tx, full, uid), *vm_nics.uses(tx, full, uid))
    for number, disk in enumerate(full.vectors("DISK")):
        used = vm_disks.image_of(tx, disk, uid)
        if used is not None:
            disk.update(image.disk_attributes(tx, used, disk))
        disk["DISK_ID"] = str(number)
    document = views.wire(stored.to_xml().replace(stored.template.to_xml(), full.to_xml()))
    return concealed.opened(tx, VmTemplate, oid, document) if decrypt else document


@method(
    "one.template.instantiate",
    integer("id"),
    text("name"),
    boolean("hold", False),
    text("extra", ""),
    boolean("persistent", False),
    needs=(_USE,),
    also="CREATE TEMPLATE where extra is not empty, USE on each image, network and security group, quotas; "
    "persistent: as one.template.clone",
)
def instantiate(tx: Transaction, oid: int, name: str, hold: bool, extra: str, persistent: bool) -> int:
    """Makes a VM of a template with `extra` merged over it; `persistent` of a private copy of it."""
    original = tx.get(VmTemplate, oid)
    if original.template.get_bool("VROUTER"):
        raise ApiError(Code.ACTION, "Virtual router templates cannot be instantiated", oid)
    used = original
    if persistent:
        authorization.require(tx, authorization.create(VmTemplate))
        used = _clone(tx, original, name or f"{original.name}-copy", recursive=True)
    source = used.template.copy()
    if extra:
        merge_extra(tx, source, extra)
    if persistent:
        source.set("CLONING_TEMPLATE_ID", str(oid))
    return make(tx, used, source, name, on_hold=hold).id


def merge_extra(tx: Transaction, template: Template, extra: str) -> None:
    """Merges what comes with a request over a VM template; raises ApiError AUTHORIZATION."""
    authorization.require(tx, authorization.create(VmTemplate))
    wanted = generic.parse_template(extra)
    if not tx.caller.is_admin:
        found = restricted_attribute(wanted, tx.settings.vm_restricted_attr, template)
        if found is not None:
            raise authorization.denied(tx.caller, f"User Template includes a restricted attribute {found}")
    template.merge(wanted)


def make(
    tx: Transaction,
    used: VmTemplate,
    source: Template,
    name: str,
    *,
    on_hold: bool,
    router: Template | None = None,
) -> VM:
    """A VM of a VM template, of which `source` is what the request made; `router` as in `vm_allocate`."""
    chosen = name or source.get("NAME")
    source.remove("NAME")
    if chosen:
        source.set("NAME", chosen)
    source.set("TEMPLATE_NAME", used.name)
    source.set("TEMPLATE_ID", str(used.id))
    return vm_allocate.allocate(tx, source, on_hold=on_hold, router=router)
