"""The page of an image."""

from xml.etree.ElementTree import Element

from merope.cli import formats, states
from merope.cli.context import Context
from merope.cli.page import LOCK, OWNED, Field, Page, cells, enum_name, path, yes_no
from merope.cli.shows.shared import virtual_machines
from merope.model.states import ImageType

_SNAPSHOTS = cells("AC:2L", "ID:3R", "PARENT:6R", "CHILDREN:10R", "SIZE:8R", "NAME:35L", "DATE:15R")


_FIELDS = (
    *OWNED,
    LOCK,
    Field("DATASTORE", path("DATASTORE")),
    Field("TYPE", lambda i: enum_name(ImageType, i.findtext("TYPE"))),
    Field("REGISTER TIME", lambda i: formats.date(formats.integer(i.findtext("REGTIME")))),
    Field("PERSISTENT", yes_no("PERSISTENT")),
    Field("SOURCE", path("SOURCE")),
    Field("PATH", lambda i: i.findtext("PATH") or None),
    Field("FSTYPE", lambda i: i.findtext("FSTYPE") or None),
    Field("SIZE", lambda i: formats.size(formats.number(i.findtext("SIZE")), "M")),
    Field("STATE", lambda i: states.word(states.IMAGE, i.findtext("STATE"))),
    Field("RUNNING_VMS", path("RUNNING_VMS", "0")),
)


def show(ctx: Context, page: Page, image: Element) -> None:
    page.heading(f"IMAGE {image.findtext('ID')} INFORMATION")
    page.fields(_FIELDS, image)
    page.line()
    page.permissions(image)
    snapshots = image.findall("SNAPSHOTS/SNAPSHOT")
    if snapshots:
        page.line()
        page.heading("IMAGE SNAPSHOTS")
        page.table(_SNAPSHOTS, [_snapshot(s) for s in snapshots])
    page.line()
    page.template("IMAGE TEMPLATE", image.find("TEMPLATE"))
    page.line()
    virtual_machines(ctx, page, [e.text for e in image.iterfind("VMS/ID")])


def _snapshot(snapshot: Element) -> list[str]:
    return [
        "=>" if snapshot.findtext("ACTIVE") == "YES" else "",
        snapshot.findtext("ID", ""),
        snapshot.findtext("PARENT", ""),
        snapshot.findtext("CHILDREN") or "-",
        formats.size(formats.number(snapshot.findtext("SIZE")), "M"),
        snapshot.findtext("NAME", ""),
        formats.date(formats.integer(snapshot.findtext("DATE"))),
    ]
