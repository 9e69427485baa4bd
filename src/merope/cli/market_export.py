"""`onemarketapp export`: images and templates of an app.

An app is an image (perhaps with a template around it, VMTEMPLATE64), or the template of a machine whose
disks are apps of their own (DISK=[APP, NAME]).  What was made is removed again when a step fails.
"""

import base64
import binascii
from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.errors import CliError, UsageError
from merope.cli.vm_create import parsed
from merope.client import ClientError, whole
from merope.model.template import Template, Vector

_READY = "1"
_IMAGE, _VM_TEMPLATE = "1", "2"
_NO_TEMPLATE = -1
_FILE_DATASTORE = "2"
#: Types of images that are files of a context or of a kernel, and live in file datastores.
_FILES = frozenset(("KERNEL", "RAMDISK", "CONTEXT"))


class _Exported:
    """What was made so far."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.images: list[int] = []
        self.template = _NO_TEMPLATE

    def add_image(self, template: Template, datastore: int) -> int:
        oid = self._ctx.client.number("one.image.allocate", template.to_text(), datastore, True)
        self.images.append(oid)
        return oid

    def add_template(self, template: Template) -> None:
        self.template = self._ctx.client.number("one.template.allocate", template.to_text())

    def undo(self) -> None:
        for oid in self.images:
            try:
                self._ctx.client.call("one.image.delete", oid)
            except ClientError as e:
                self._ctx.terminal.warn(f"What was made so far could not be removed: {e}")


def export(ctx: Context) -> None:
    if not ctx.flag("datastore"):
        raise UsageError("--datastore must be given: where the image is to be kept.")
    name, datastore = ctx.word("name"), ctx.option_oid("datastore", "datastore")
    app = ctx.client.info("marketapp", ctx.oid())
    if app.findtext("STATE") != _READY:
        raise CliError("App is not READY")
    export_type = {_IMAGE: _export_image, _VM_TEMPLATE: _export_machine}.get(app.findtext("TYPE", ""))
    if export_type is None:
        raise CliError(f"App {app.findtext('ID')} is neither an image nor a template of machines.")
    made = _Exported(ctx)
    try:
        export_type(ctx, app, name, datastore, made)
    except BaseException:
        # Also when the person gives up: half an app is of no use to anybody.
        made.undo()
        raise
    for title, ids in (("IMAGE", made.images), ("VMTEMPLATE", [made.template])):
        ctx.print("\n".join([title, *(f"    ID: {oid}" for oid in ids)]))


def _export_image(ctx: Context, app: Element, name: str, datastore: int, made: _Exported) -> None:
    # Both templates are read before anything is made, so that a broken one leaves nothing behind.
    machine = _encoded(app, "TEMPLATE/VMTEMPLATE64")
    image = _image_template(ctx, app, name)
    oid = made.add_image(image, _datastore(ctx, image, datastore))
    if machine is not None:
        machine.set("NAME", ctx.option("vmname", str) or name)
        machine.add("DISK", Vector({"IMAGE_ID": str(oid)}))
        made.add_template(machine)


def _export_machine(ctx: Context, app: Element, name: str, datastore: int, made: _Exported) -> None:
    machine = _encoded(app, "APPTEMPLATE64") or _encoded(app, "TEMPLATE/APPTEMPLATE64")
    if machine is None:
        raise CliError(f"Missing APPTEMPLATE64 for App {app.findtext('ID')}")
    apps = {a.findtext("NAME", ""): a for a in reversed(ctx.client.pool("marketapp"))}
    wanted: dict[str, str] = {}
    for disk in app.iterfind("TEMPLATE/DISK"):
        wanted.setdefault(disk.findtext("APP", ""), disk.findtext("NAME", ""))
    if missing := [a for a in wanted if a not in apps]:
        raise CliError(f"App `{missing[0]}` not found")
    for number, (of_disk, disk_name) in enumerate(wanted.items()):
        image = _image_template(ctx, apps[of_disk], f"{name}-{disk_name}-{number}")
        oid = made.add_image(image, _datastore(ctx, image, datastore))
        machine.add("DISK", Vector({"IMAGE_ID": str(oid)}))
    machine.set("NAME", ctx.option("vmname", str) or name)
    made.add_template(machine)


def _image_template(ctx: Context, app: Element, name: str) -> Template:
    """FROM_APP makes the cloud fill in path, format and checksum (spec templates `FROM_APP`)."""
    image = _encoded(app, "APPTEMPLATE64") or Template()
    image.set("NAME", name)
    image.set("FROM_APP", app.findtext("ID", ""))
    if tag := ctx.option("tag", str):
        image.set("URL_ARGS", f"tag={tag}")
    return image


def _datastore(ctx: Context, image: Template, wanted: int) -> int:
    """The datastore asked for, for a kernel or a context file one for files."""
    if image.get("TYPE").upper() not in _FILES:
        return wanted
    stores = [whole(s, "ID") for s in ctx.client.pool("datastore") if s.findtext("TYPE") == _FILE_DATASTORE]
    if not stores:
        raise CliError("The app is a file, and there is no datastore for files.")
    return wanted if wanted in stores else min(stores)


def _encoded(app: Element, where: str) -> Template | None:
    """The template in base64 at `where`, None when there is none.  Raises CliError when it is not one."""
    if not (text := app.findtext(where)):
        return None
    try:
        return parsed(base64.b64decode("".join(text.split()), validate=True).decode())
    except (binascii.Error, UnicodeDecodeError) as e:
        raise CliError(f"{where} of app {app.findtext('ID')} is no template in base64: {e}") from e
