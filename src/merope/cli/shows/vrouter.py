"""The page of a virtual router."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.page import LOCK, OWNED, Page, cells

_NICS = cells("ID:3R", "NETWORK:20L", "MANAGEMENT:10L", "IP:15L~")
_IP6 = ("IP6_GLOBAL", "IP6_ULA", "IP6_LINK", "IP6")


def show(ctx: Context, page: Page, router: Element) -> None:
    page.heading(f"VIRTUAL ROUTER {router.findtext('ID')} INFORMATION")
    page.fields((*OWNED, LOCK), router)
    page.line()
    page.permissions(router)
    rows = [row for nic in router.iterfind("TEMPLATE/NIC") for row in _interface(nic)]
    if rows:
        page.line()
        page.heading("VIRTUAL ROUTER NICS")
        page.table(_NICS, rows)
    page.line()
    page.template("TEMPLATE CONTENTS", router.find("TEMPLATE"), () if ctx.flag("all") else ("NIC",))
    page.line()
    page.ids("VIRTUAL MACHINES", router, "VMS")


def _interface(nic: Element) -> Iterator[list[str]]:
    """The router itself has the floating addresses only; the others are its machines'."""
    floating = nic.findtext("FLOATING_IP", "").upper() == "YES"
    names = ("VROUTER_IP", "IP", *_IP6) if floating else ()
    addresses = list(dict.fromkeys(a for n in names if (a := nic.findtext(n)))) or ["-"]
    management = nic.findtext("VROUTER_MANAGEMENT") or "NO"
    yield [nic.findtext("NIC_ID", ""), nic.findtext("NETWORK") or "-", management, addresses[0]]
    for address in addresses[1:]:
        yield ["", "", "", address]
