"""oneimage: images."""

from xml.etree.ElementTree import Element

from merope.cli import formats, parts, states, values
from merope.cli.actions import (
    clone_command,
    delete_command,
    each_command,
    lock_commands,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.context import Context
from merope.cli.declare import Arg, Command, Tool, column, file, flag, ids, one, opt, part, ref
from merope.cli.errors import UsageError
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import View, group, text, user

_DATASTORE = ref("--datastore", "datastore", "the datastore to put it in", "-d")
_TYPES = ("OS", "CDROM", "DATABLOCK", "KERNEL", "RAMDISK", "CONTEXT")

#: Options whose value is the attribute of the same name (or the one named here).
_ATTRIBUTES = {
    "name": "NAME",
    "description": "DESCRIPTION",
    "type": "TYPE",
    "prefix": "DEV_PREFIX",
    "target": "TARGET",
    "path": "PATH",
    "driver": "DRIVER",
    "disk_type": "DISK_TYPE",
    "vcenter_disk_type": "VCENTER_DISK_TYPE",
    "vcenter_adapter_type": "VCENTER_ADAPTER_TYPE",
    "source": "SOURCE",
    "format": "FORMAT",
    "fs": "FS",
}


def _page() -> tuple[int, Show]:
    from merope.cli.shows.image import show

    return 15, show


def _type(name: str) -> str:
    if name.upper() not in _TYPES:
        raise ValueError(f"one of {', '.join(_TYPES)} is expected, not '{name}'")
    return name.upper()


def _template(ctx: Context) -> str:
    from merope.cli.vm_create import merged
    from merope.model.template import Template

    template = Template()
    for option, attribute in _ATTRIBUTES.items():
        if value := ctx.option(option, str):
            template.set(attribute, value)
    if size := ctx.option("size", int):
        template.set("SIZE", str(size))
    if ctx.flag("persistent"):
        template.set("PERSISTENT", "YES")
    file_text = ctx.read_template()
    if file_text is None and not template:
        raise UsageError("A template file or options such as --name and --path must be given.")
    if file_text is None or not template:
        return file_text or template.to_text()
    return merged(file_text, template.to_text())


def _create(ctx: Context) -> None:
    text = _template(ctx)
    if ctx.flag("dry"):
        ctx.print(text.rstrip("\n"))
        return
    if not ctx.flag("datastore"):
        raise UsageError("--datastore must be given: where the image is to be kept.")
    datastore = ctx.option_oid("datastore", "datastore")
    check = not ctx.flag("no_check_capacity")
    ctx.print_id(ctx.client.number("one.image.allocate", text, datastore, check))


def _chtype(ctx: Context) -> int:
    kind = ctx.word("type")
    return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call("one.image.chtype", oid, kind))


def _snapshot(name: str, help_text: str) -> Command:
    def run(ctx: Context) -> None:
        oid = ctx.oid()
        ctx.client.call(f"one.image.{name.replace('-', '')}", oid, parts.number(ctx, oid, "snapshot_id"))

    return Command(name, help_text, run, (one("image"), part("snapshot_id")))


def _orphans(ctx: Context) -> None:
    """Images that no machine and no template uses, by their ids."""
    used: set[str] = set()
    names: set[tuple[str, str]] = set()
    for template in ctx.client.pool("template"):
        for disk in template.iterfind("TEMPLATE/DISK"):
            if oid := disk.findtext("IMAGE_ID"):
                used.add(oid)
            elif name := disk.findtext("IMAGE"):
                names.add((disk.findtext("IMAGE_UNAME", "") or template.findtext("UNAME", ""), name))
    for image in ctx.client.pool("image"):
        oid = image.findtext("ID", "")
        owned = (image.findtext("UNAME", ""), image.findtext("NAME", ""))
        if oid not in used and owned not in names and image.find("VMS/ID") is None:
            ctx.print(oid)


def _size(image: Element, _: View) -> str:
    return formats.size(formats.number(image.findtext("SIZE")), "M")


TOOL = Tool(
    "oneimage",
    "image",
    "images: disks and files for virtual machines",
    (
        Command(
            "create",
            "register an image",
            _create,
            (file(),),
            (
                _DATASTORE,
                flag("--no_check_capacity", "don't check for free space (administrators only)"),
                opt("--name", "name", "the image's name"),
                opt("--description", "description", "what it is"),
                opt("--type", "type", ", ".join(_TYPES), "", _type),
                flag("--persistent", "keep what machines write to it"),
                opt("--prefix", "prefix", "the prefix of the guest's device (sd, hd, vd)"),
                opt("--target", "target", "the guest's device (sda)"),
                opt("--path", "path", "the file or URL to copy it from"),
                opt("--driver", "driver", "the format's driver (raw, qcow2)"),
                opt("--disk_type", "disk_type", "BLOCK, CDROM, RBD or FILE"),
                opt("--format", "format", "the format of an empty disk (raw, qcow2)"),
                opt("--fs", "fs", "the file system of an empty disk"),
                opt("--vcenter_disk_type", "vcenter_disk_type", "vCenter: thin, thick or zeroedThick"),
                opt("--vcenter_adapter_type", "vcenter_adapter_type", "vCenter: lsiLogic, ide or busLogic"),
                opt("--source", "source", "where it is already (no copy is made)"),
                opt("--size", "size", "the size in MB, or with a unit (10G)", "", values.megabytes),
                flag("--dry", "print the template instead of sending it"),
            ),
            (
                "create --name debian --path /tmp/debian.img --datastore default",
                "create --name data --type DATABLOCK --size 10G -d 1",
            ),
        ),
        clone_command("image", _DATASTORE, more=lambda ctx: (ctx.option_oid("datastore", "datastore"),)),
        delete_command("image"),
        each_command("image", "persistent", "make images persistent", "persistent", True),
        each_command("image", "nonpersistent", "make images non-persistent", "persistent", False),
        update_command("image"),
        each_command("image", "enable", "let images be used", "enable", True),
        Command("chtype", "change the type of images", _chtype, (ids("image"), Arg("type", _type))),
        each_command("image", "disable", "keep images from being used", "enable", False),
        *ownership_commands("image"),
        rename_command("image"),
        _snapshot("snapshot-delete", "forget a snapshot"),
        _snapshot("snapshot-revert", "go back to a snapshot"),
        _snapshot("snapshot-flatten", "keep one snapshot as the image and forget the others"),
        *list_commands("image"),
        show_command("image", _page),
        *lock_commands("image"),
        Command("orphans", "print the ids of images that nothing uses", _orphans),
    ),
    (
        column("ID:4R~", "the image's id", text("ID")),
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
        column("NAME:15L+", "its name", text("NAME")),
        column("DATASTORE:10L", "where it is kept", text("DATASTORE")),
        column("SIZE:7R", "its size", _size),
        column(
            "TYPE:4L",
            "OS, CD, DB (data block), KL (kernel), RD (RAM disk), CX (context file)",
            lambda i, _: states.word(states.IMAGE_TYPE, i.findtext("TYPE")),
        ),
        column(
            "PERSISTENT:3R",
            "whether it is persistent",
            lambda i, _: "Yes" if i.findtext("PERSISTENT") == "1" else "No",
        ),
        column("STAT:4L", "its state", lambda i, _: states.word(states.IMAGE, i.findtext("STATE"))),
        column("RVMS:4R", "how many machines use it", text("RUNNING_VMS")),
    ),
    (
        column(
            "REGTIME:15R",
            "when it was registered",
            lambda i, _: formats.date(formats.integer(i.findtext("REGTIME"))),
        ),
    ),
)
