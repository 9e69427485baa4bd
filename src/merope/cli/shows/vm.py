"""The page of a virtual machine."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from merope.cli import formats, vm_recovery
from merope.cli.context import Context
from merope.cli.page import LOCK, OWNED, Field, Page, cells, enum_name, path, yes_no
from merope.cli.shows.vm_sections import disk_snapshots, disks, history, interfaces, snapshots
from merope.cli.shows.vm_topology import devices, numa
from merope.client import ClientError
from merope.model.states import LcmState, VmState

#: Shown as tables of their own, so not again in the templates (unless --all).
_TABLES = (
    "DISK",
    "NIC",
    "NIC_ALIAS",
    "SECURITY_GROUP_RULE",
    "SNAPSHOT",
    "NUMA_NODE",
    "TOPOLOGY",
    "PCI",
)

#: Of the user template: a table, and what `onevm explain` shows.
_TOLD_ABOVE = ("SCHED_ACTION", "SCHED_REASON")

#: KB and bytes among the measured values; the others are printed as they are.
_KILOBYTES = frozenset(("MEMORY",))
_BYTES = frozenset(("NETRX", "NETTX", "DISKRDBYTES", "DISKWRBYTES"))
_NOT_MEASURED = frozenset(("ID", "TIMESTAMP"))


def show(ctx: Context, page: Page, vm: Element) -> None:
    page.heading(f"VIRTUAL MACHINE {vm.findtext('ID')} INFORMATION")
    page.fields(OWNED, vm)
    page.fields(_STATE, vm)
    for label, value in _place(ctx, vm):
        page.field(label, value)
    page.fields(_TIMES, vm)
    page.line()
    page.heading("VIRTUAL MACHINE MONITORING")
    _monitoring(page, vm)
    page.line()
    page.permissions(vm)
    for section in (
        disks,
        disk_snapshots,
        interfaces,
        numa,
        devices,
        _security_groups,
        snapshots,
        history,
        _scheduled,
    ):
        section(page, vm)
    _templates(ctx, page, vm)


def _waiting(vm: Element) -> str | None:
    """Why a pending machine does not start: what the scheduler has written."""
    if vm.findtext("STATE") != str(VmState.PENDING.value):
        return None
    return vm.findtext("USER_TEMPLATE/SCHED_MESSAGE") or None


def _time(name: str, never: str) -> Field:
    label = {"STIME": "START TIME", "ETIME": "END TIME"}[name]
    return Field(label, lambda vm: formats.date(formats.integer(vm.findtext(name)), never))


_STATE = (
    Field("STATE", lambda vm: enum_name(VmState, vm.findtext("STATE"))),
    Field("LCM_STATE", lambda vm: enum_name(LcmState, vm.findtext("LCM_STATE"))),
    Field("WAITING", _waiting),
    Field("ERROR", vm_recovery.error),
    Field("WHAT HAPPENED", vm_recovery.what_happened),
    Field("WHAT TO DO", vm_recovery.what_to_do),
    Field("LOCK", LOCK.value),
    Field("RESCHED", yes_no("RESCHED")),
)

_TIMES = (_time("STIME", "-"), _time("ETIME", "-"), Field("DEPLOY ID", path("DEPLOY_ID", "-")))


def _place(ctx: Context, vm: Element) -> Iterator[tuple[str, str]]:
    records = vm.findall("HISTORY_RECORDS/HISTORY")
    if not records:
        return
    last = records[-1]
    yield "HOST", last.findtext("HOSTNAME", "")
    cid = formats.integer(last.findtext("CID"), -1)
    yield "CLUSTER ID", str(cid)
    if cid >= 0:
        try:
            yield "CLUSTER", ctx.client.info("cluster", cid).findtext("NAME", "")
        except ClientError:
            # A user who may see the machine need not be allowed to see its cluster.
            yield "CLUSTER", "-"


def _monitoring(page: Page, vm: Element) -> None:
    for measured in vm.findall("MONITORING/*"):
        name, value = measured.tag, measured.text or ""
        if len(measured) or name in _NOT_MEASURED:
            continue
        if name in _KILOBYTES:
            value = formats.size(formats.number(value), "K")
        elif name in _BYTES:
            value = formats.size(formats.number(value), "B")
        page.field(name, value)


_NIC_GROUPS = cells("NIC_ID:6R", "NETWORK:25L", "SECURITY_GROUPS:47L")
_RULES = cells("ID:4R", "NAME:11L", "TYPE:8L", "PROTOCOL:8L", "VNET:4R", "START:17L", "SIZE:6L", "RANGE:15L")
_RULE_HEADINGS = (
    "SECURITY GROUP   TYPE     PROTOCOL NETWORK                       RANGE          ",
    "  ID NAME                          VNET START             SIZE                  ",
)


def _security_groups(page: Page, vm: Element) -> None:
    nics = [n for n in vm.iterfind("TEMPLATE/NIC") if n.findtext("SECURITY_GROUPS")]
    if not nics:
        return
    page.line()
    page.heading("SECURITY")
    page.line()
    names = ("NIC_ID", "NETWORK", "SECURITY_GROUPS")
    page.table(_NIC_GROUPS, [[n.findtext(name, "") for name in names] for n in nics])
    page.line()
    for line in _RULE_HEADINGS:
        page.line(line)
    page.table(_RULES, [_rule(r) for r in vm.iterfind("TEMPLATE/SECURITY_GROUP_RULE")], header=False)


def _rule(rule: Element) -> list[str]:
    icmp = " ".join(filter(None, (rule.findtext("ICMP_TYPE", ""), rule.findtext("ICMPV6_TYPE", ""))))
    return [
        rule.findtext("SECURITY_GROUP_ID", ""),
        rule.findtext("SECURITY_GROUP_NAME", ""),
        rule.findtext("RULE_TYPE", ""),
        rule.findtext("PROTOCOL", ""),
        rule.findtext("NETWORK_ID", ""),
        rule.findtext("IP", "") or rule.findtext("MAC", ""),
        rule.findtext("SIZE", ""),
        rule.findtext("RANGE", "") or icmp,
    ]


_ACTIONS = cells(
    "ID:2R~", "ACTION:15L", "ARGS:15L", "SCHEDULED:12R", "REPEAT:20R", "END:20R", "DONE:12R", "MESSAGE:35L"
)
_PERIODS = ("Weekly", "Monthly", "Yearly", "Each {} hours")


def _scheduled(page: Page, vm: Element) -> None:
    actions = vm.findall("USER_TEMPLATE/SCHED_ACTION")
    if not actions:
        return
    page.line()
    page.heading("SCHEDULED ACTIONS")
    page.table(_ACTIONS, [_action(a) for a in actions])


def _action(action: Element) -> list[str]:
    when = action.findtext("TIME", "")
    return [
        action.findtext("ID", ""),
        action.findtext("ACTION", ""),
        action.findtext("ARGS") or "-",
        when if when.startswith("+") else formats.minute(formats.integer(when)),
        _repetition(action),
        _end(action),
        formats.minute(formats.integer(action.findtext("DONE"))),
        action.findtext("MESSAGE", ""),
    ]


def _repetition(action: Element) -> str:
    period = action.findtext("REPEAT", "")
    if not (period.isdecimal() and int(period) < len(_PERIODS)):
        return ""
    days = action.findtext("DAYS", "")
    name = _PERIODS[int(period)]
    return name.format(days) if "{}" in name else f"{name} {days}"


def _end(action: Element) -> str:
    value = action.findtext("END_VALUE", "")
    match action.findtext("END_TYPE"):
        case "0":
            return "None"
        case "1":
            return f"After {value} times"
        case "2":
            return f"On {formats.minute(formats.integer(value))}"
        case _:
            return ""


def _templates(ctx: Context, page: Page, vm: Element) -> None:
    everything = ctx.flag("all")
    page.line()
    page.template("USER TEMPLATE", vm.find("USER_TEMPLATE"), () if everything else _TOLD_ABOVE)
    page.line()
    page.template("VIRTUAL MACHINE TEMPLATE", vm.find("TEMPLATE"), () if everything else _TABLES)
