"""The pages of the simpler kinds: datastore, cluster, template, security group."""

from enum import IntEnum
from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.context import Context
from merope.cli.page import CLUSTERS, LOCK, OWNED, Field, Page, cells, enum_name, path
from merope.model.states import DatastoreState, DatastoreType, DiskType

_NAMED = OWNED[:2]


def _megabytes(name: str) -> Field:
    return Field(f"{name}:", lambda d: formats.size(formats.number(d.findtext(f"{name}_MB")), "M"))


def _enum(kind: type[IntEnum], name: str) -> Field:
    return Field(name, lambda el: enum_name(kind, el.findtext(name)).removesuffix("_DS"))


_DATASTORE = (
    *OWNED,
    CLUSTERS,
    _enum(DatastoreType, "TYPE"),
    Field("DS_MAD", path("DS_MAD")),
    Field("TM_MAD", path("TM_MAD")),
    Field("BASE PATH", path("BASE_PATH")),
    _enum(DiskType, "DISK_TYPE"),
    _enum(DatastoreState, "STATE"),
)


def datastore(_: Context, page: Page, store: Element) -> None:
    page.heading(f"DATASTORE {store.findtext('ID')} INFORMATION")
    page.fields(_DATASTORE, store)
    page.line()
    page.heading("DATASTORE CAPACITY")
    page.fields((_megabytes("TOTAL"), _megabytes("FREE"), _megabytes("USED")), store)
    limit = formats.number(store.findtext("TEMPLATE/LIMIT_MB"))
    page.field("LIMIT:", formats.size(limit, "M") if limit else "-")
    page.line()
    page.permissions(store)
    page.line()
    page.template("DATASTORE TEMPLATE", store.find("TEMPLATE"))
    page.line()
    page.ids("IMAGES", store, "IMAGES")


def cluster(_: Context, page: Page, el: Element) -> None:
    page.heading(f"CLUSTER {el.findtext('ID')} INFORMATION")
    page.fields(_NAMED, el)
    page.line()
    page.template("CLUSTER TEMPLATE", el.find("TEMPLATE"))
    for name in ("HOSTS", "VNETS", "DATASTORES"):
        page.line()
        page.ids(name, el, name)


_TEMPLATE = (
    *OWNED,
    LOCK,
    Field("REGISTER TIME", lambda t: formats.date(formats.integer(t.findtext("REGTIME")))),
)


def template(_: Context, page: Page, el: Element) -> None:
    page.heading(f"TEMPLATE {el.findtext('ID')} INFORMATION")
    page.fields(_TEMPLATE, el)
    page.line()
    page.permissions(el)
    page.line()
    page.template("TEMPLATE CONTENTS", el.find("TEMPLATE"))


_RULES = cells("TYPE:8L", "PROTOCOL:8L", "ICMP_TYPE:9L", "ICMVP6_TYPE:11L", "NETWORK:35L", "RANGE:16L")
_VMS = (
    ("UPDATED", "UPDATED_VMS"),
    ("OUTDATED", "OUTDATED_VMS"),
    ("UPDATING", "UPDATING_VMS"),
    ("ERROR", "ERROR_VMS"),
)


def security_group(_: Context, page: Page, el: Element) -> None:
    page.heading(f"SECURITY GROUP {el.findtext('ID')} INFORMATION")
    page.fields(OWNED, el)
    page.permissions(el)
    page.line()
    page.heading("VIRTUAL MACHINES")
    for label, name in _VMS:
        machines = [e.text or "" for e in el.iterfind(f"{name}/ID")]
        if machines or label != "UPDATING":
            page.field(label, ",".join(machines))
    page.line()
    page.heading("RULES")
    page.table(_RULES, [_rule(r) for r in el.iterfind("TEMPLATE/RULE")])
    page.line()
    page.template("TEMPLATE CONTENTS", el.find("TEMPLATE"), ("RULE",))


def _rule(rule: Element) -> list[str]:
    names = ("RULE_TYPE", "PROTOCOL", "ICMP_TYPE", "ICMPV6_TYPE")
    return [*(rule.findtext(n, "") for n in names), _network(rule), rule.findtext("RANGE", "")]


def _network(rule: Element) -> str:
    if network := rule.findtext("NETWORK_ID"):
        return f"VNet {network}"
    first = rule.findtext("IP") or rule.findtext("MAC")
    return f"Start: {first}, Size: {rule.findtext('SIZE', '')}" if first else "Any"
