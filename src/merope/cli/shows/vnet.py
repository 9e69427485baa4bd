"""The page of a virtual network, with its address ranges and leases."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.page import CLUSTERS, LOCK, OWNED, Field, Page, cells, path, yes_no

_RANGES = cells("RANGE:10L", "FIRST:34R", "LAST:34R")
_LEASES = cells("AR:3L", "OWNER:15L", "MAC:17R", "IP:15R", "IP6:26R")
_ADDRESSES = ("MAC", "IP", "IP6_GLOBAL", "IP6_ULA", "IP6")
#: Who holds a lease: a machine, a network (reservation), a virtual router, nobody (-1: held).
_OWNERS = (("VM", "V"), ("VNET", "N"), ("VROUTER", "R"))
_AR_WIDTH = 15


_FIELDS = (
    *OWNED,
    LOCK,
    CLUSTERS,
    Field("BRIDGE", path("BRIDGE")),
    Field("PARENT NETWORK ID", lambda net: net.findtext("PARENT_NETWORK_ID") or None),
    Field("VN_MAD", path("VN_MAD")),
    Field("PHYSICAL DEVICE", lambda net: net.findtext("PHYDEV") or None),
    Field("VLAN ID", lambda net: net.findtext("VLAN_ID") or None),
    Field("AUTOMATIC VLAN ID", yes_no("VLAN_ID_AUTOMATIC", upper=True)),
    Field("AUTOMATIC OUTER VLAN ID", yes_no("OUTER_VLAN_ID_AUTOMATIC", upper=True)),
    Field("USED LEASES", path("USED_LEASES", "0")),
)


def show(ctx: Context, page: Page, net: Element) -> None:
    ranges = net.findall("AR_POOL/AR")
    if ctx.flag("show-ar"):
        _address_ranges(page, ctx, ranges)
        return
    page.heading(f"VIRTUAL NETWORK {net.findtext('ID')} INFORMATION")
    page.fields(_FIELDS, net)
    page.line()
    page.permissions(net)
    page.line()
    page.template("VIRTUAL NETWORK TEMPLATE", net.find("TEMPLATE"))
    page.line()
    _address_ranges(page, ctx, ranges)
    page.line()
    page.heading("LEASES")
    page.table(_LEASES, [_lease(ar, lease) for ar in ranges for lease in ar.iterfind("LEASES/LEASE")])
    page.line()
    page.ids("VIRTUAL ROUTERS", net, "VROUTERS")


def _address_ranges(page: Page, ctx: Context, ranges: list[Element]) -> None:
    page.heading("ADDRESS RANGE POOL")
    inner = Page(_AR_WIDTH, ctx.terminal.style, ctx.print)
    for ar in ranges:
        inner.heading(f"AR {ar.findtext('AR_ID')}")
        inner.field("SIZE", ar.findtext("SIZE", ""))
        inner.field("LEASES", ar.findtext("USED_LEASES", "0"))
        if groups := ar.findtext("SECURITY_GROUPS"):
            inner.field("SECURITY GROUPS", groups)
        inner.line()
        inner.table(_RANGES, _bounds(ar))
        inner.line()


def _bounds(ar: Element) -> Iterator[list[str]]:
    for name in _ADDRESSES:
        if first := ar.findtext(name):
            yield [name, first, ar.findtext(f"{name}_END", "")]


def _lease(ar: Element, lease: Element) -> list[str]:
    owner = next((f"{sign}:{lease.findtext(tag)}" for tag, sign in _OWNERS if lease.findtext(tag)), "-")
    ip6 = lease.findtext("IP6_GLOBAL") or lease.findtext("IP6_ULA") or lease.findtext("IP6") or "-"
    ar_id = ar.findtext("AR_ID", "")
    return [ar_id, owner, lease.findtext("MAC", ""), lease.findtext("IP") or "-", ip6]
