"""The pages of VM groups and virtual data centres."""

from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.page import LOCK, OWNED, Page, cells
from merope.cli.vdc_resources import ALL, MEMBERS

_ROLES = cells(
    "ID:4L", "NAME:8L", "POLICY:12L", "AFFINED_HOSTS:18L", "ANTI_AFFINED_HOST:18L", "VIRTUAL_MACHINES:20L"
)


def vm_group(_: Context, page: Page, el: Element) -> None:
    page.heading(f"VM GROUP {el.findtext('ID')} INFORMATION")
    page.fields((*OWNED, LOCK), el)
    page.heading("PERMISSIONS")
    page.line()
    page.permission_fields(el)
    page.line()
    page.heading("ROLES")
    page.table(_ROLES, [_role(r) for r in el.iterfind("ROLES/ROLE")])
    page.line()
    page.template("TEMPLATE CONTENTS", el.find("TEMPLATE"))


def _role(role: Element) -> list[str]:
    return [
        role.findtext("ID", ""),
        role.findtext("NAME", ""),
        role.findtext("POLICY") or "-",
        role.findtext("HOST_AFFINED") or "-",
        role.findtext("HOST_ANTI_AFFINED") or "-",
        role.findtext("VMS", ""),
    ]


def vdc(_: Context, page: Page, el: Element) -> None:
    page.heading(f"VDC {el.findtext('ID')} INFORMATION")
    page.fields(OWNED[:2], el)
    page.line()
    page.line(f"{'GROUPS':>7}")
    for group in el.iterfind("GROUPS/ID"):
        page.line(f"{group.text or '':>7}")
    for name in ("CLUSTER", "HOST", "DATASTORE", "VNET"):
        page.line()
        page.heading(f"{name}S")
        members = [
            (m.findtext("ZONE_ID", ""), m.findtext(f"{name}_ID", "")) for m in el.iterfind(MEMBERS[name])
        ]
        page.table(cells("ZONE:7R", f"{name}:9R"), [[z, "ALL" if m == ALL else m] for z, m in members])
    page.line()
    page.template("VDC TEMPLATE", el.find("TEMPLATE"))
