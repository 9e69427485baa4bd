"""The page of a host."""

from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.context import Context
from merope.cli.page import Field, Page, cells, enum_name, path
from merope.cli.shows.shared import virtual_machines
from merope.model.states import HostState

_WILD = cells("NAME:30L", "IMPORT_ID:36R", "CPU:4R", "MEMORY:10R")
_PCI = cells("VM:4R", "ADDR:7L", "TYPE:14L", "NAME:50L")
_NODES = cells("ID:3R", "CORES:35L~", "USED:4R", "FREE:4R")
_NODE_MEMORY = cells("NODE_ID:7R", "TOTAL:8L", "USED_REAL:20L", "USED_ALLOCATED:20L", "FREE:8L")
_HUGEPAGES = cells("NODE_ID:7R", "SIZE:8L", "TOTAL:8L", "FREE:8L", "USED:8L")
_ISOLATED = "-2"
_FREE = "-1"
_MARKS = {_FREE: "-", _ISOLATED: "I"}


def _kilobytes(name: str) -> Field:
    where, label = name.split("|")
    return Field(f"  {label}", lambda host: formats.size(formats.number(host.findtext(where)), "K"))


def _percent(name: str) -> Field:
    where, label = name.split("|")
    return Field(f"  {label}", lambda host: str(formats.integer(host.findtext(where))))


_INFORMATION = (
    Field("ID", path("ID")),
    Field("NAME", path("NAME")),
    Field("CLUSTER", path("CLUSTER")),
    Field("STATE", lambda h: enum_name(HostState, h.findtext("STATE"))),
    Field("IM_MAD", path("IM_MAD")),
    Field("VM_MAD", path("VM_MAD")),
    Field(
        "LAST MONITORING TIME", lambda h: formats.date(formats.integer(h.findtext("MONITORING/TIMESTAMP")))
    ),
)
_MEMORY = tuple(
    map(
        _kilobytes,
        (
            "HOST_SHARE/TOTAL_MEM|TOTAL",
            "HOST_SHARE/MAX_MEM|TOTAL +/- RESERVED",
            "MONITORING/CAPACITY/USED_MEMORY|USED (REAL)",
            "HOST_SHARE/MEM_USAGE|USED (ALLOCATED)",
        ),
    )
)
_CPU = tuple(
    map(
        _percent,
        (
            "HOST_SHARE/TOTAL_CPU|TOTAL",
            "HOST_SHARE/MAX_CPU|TOTAL +/- RESERVED",
            "MONITORING/CAPACITY/USED_CPU|USED (REAL)",
            "HOST_SHARE/CPU_USAGE|USED (ALLOCATED)",
        ),
    )
)


def show(ctx: Context, page: Page, host: Element) -> None:
    page.heading(f"HOST {host.findtext('ID')} INFORMATION")
    page.fields(_INFORMATION, host)
    _failure(page, host)
    page.line()
    page.heading("HOST SHARES")
    page.field("RUNNING VMS", host.findtext("HOST_SHARE/RUNNING_VMS", "0"))
    page.heading("MEMORY")
    page.fields(_MEMORY, host)
    page.heading("CPU")
    page.fields(_CPU, host)
    for store in host.iterfind("HOST_SHARE/DATASTORES/DS"):
        _datastore(page, store)
    page.line()
    page.template("MONITORING INFORMATION", host.find("TEMPLATE"), ("VM", "FAILURE"))
    _pci(page, host)
    _numa(page, host)
    page.line()
    page.line("WILD VIRTUAL MACHINES")
    page.line()
    page.table(_WILD, [_wild(v) for v in host.iterfind("TEMPLATE/VM") if v.findtext("DEPLOY_ID")])
    page.line()
    virtual_machines(ctx, page, [e.text for e in host.iterfind("VMS/ID")])


def _next_step(failure: Element) -> str | None:
    due = formats.integer(failure.findtext("DUE"))
    return formats.date(due) if due else None


_FAILURE = (
    Field("STAGE", path("STAGE")),
    Field("FAILED AT", lambda f: formats.date(formats.integer(f.findtext("SINCE")))),
    Field("FAILURES", path("FAILURES")),
    Field("ITS VMS", lambda f: f.findtext("ACTION") or "nothing was ordered"),
    Field("ATTEMPTS", lambda f: f.findtext("ATTEMPTS")),
    Field("NEXT STEP", _next_step),
    Field("MESSAGE", path("MESSAGE")),
)


def _failure(page: Page, host: Element) -> None:
    """How far the recovery of a host that failed is."""
    failure = host.find("TEMPLATE/FAILURE")
    if failure is not None:
        page.line()
        page.heading("FAILURE")
        page.fields(_FAILURE, failure)


def _datastore(page: Page, store: Element) -> None:
    page.heading(f"LOCAL SYSTEM DATASTORE #{store.findtext('ID')} CAPACITY")
    for label, name in (("TOTAL", "TOTAL_MB"), ("USED", "USED_MB"), ("FREE", "FREE_MB")):
        page.field(f"  {label}", formats.size(formats.number(store.findtext(name)), "M"))


def _pci(page: Page, host: Element) -> None:
    devices = host.findall("HOST_SHARE/PCI_DEVICES/PCI")
    if not devices:
        return
    page.line()
    page.line("PCI DEVICES")
    page.line()
    rows = []
    for device in devices:
        vm = device.findtext("VMID", _FREE)
        name = device.findtext("DEVICE_NAME", "")
        rows.append(
            [
                "" if vm == _FREE else vm,
                device.findtext("SHORT_ADDRESS", ""),
                device.findtext("TYPE", ""),
                name,
            ]
        )
    page.table(_PCI, rows)


def _numa(page: Page, host: Element) -> None:
    """The layout of EU report D3.1, figure 2.13: X is a CPU that VMs have, - one that they may have, I one
    that is not for VMs (ISOLCPUS). All of a core that one VM has for itself is in use."""
    nodes = host.findall("HOST_SHARE/NUMA_NODES/NODE")
    if not nodes:
        return
    page.line()
    page.heading("NUMA NODES")
    page.line()
    page.table(_NODES, [_node(n) for n in nodes])
    page.line()
    page.heading("NUMA MEMORY")
    page.line()
    names = ("TOTAL", "USED", "USAGE", "FREE")
    rows = []
    for node in nodes:
        sizes = [formats.size(formats.number(node.findtext(f"MEMORY/{n}")), "K") for n in names]
        rows.append([node.findtext("NODE_ID", ""), *sizes])
    page.table(_NODE_MEMORY, rows)
    pages = [(n, h) for n in nodes for h in n.iterfind("HUGEPAGE")]
    if pages:
        page.line()
        page.heading("NUMA HUGEPAGES")
        page.line()
        page.table(_HUGEPAGES, [_hugepage(n, h) for n, h in pages])


def _node(node: Element) -> list[str]:
    cores = []
    used = free = 0
    for core in node.iterfind("CORE"):
        owners: dict[str, str] = {}  # of a CPU that several VMs share, any
        for pair in core.findtext("CPUS", "").split(","):
            cpu, _, owner = pair.partition(":")
            owners[cpu] = owner
        dedicated = core.findtext("DEDICATED") == "YES"
        marks = ["X" if dedicated else _MARKS.get(owner, "X") for owner in owners.values()]
        cores.append("".join(marks))
        used += marks.count("X")
        free += marks.count("-")
    return [node.findtext("NODE_ID", ""), " ".join(cores), str(used), str(free)]


def _hugepage(node: Element, page: Element) -> list[str]:
    size = formats.size(formats.number(page.findtext("SIZE")), "K")
    return [node.findtext("NODE_ID", ""), size, *(page.findtext(n, "0") for n in ("PAGES", "FREE", "USAGE"))]


def _wild(vm: Element) -> list[str]:
    import base64
    import binascii

    from merope.model.template import Template, TemplateError

    try:
        wanted = Template.parse(base64.b64decode(vm.findtext("IMPORT_TEMPLATE", "")).decode())
    except (binascii.Error, UnicodeDecodeError, TemplateError):
        wanted = Template()
    name = vm.findtext("VM_NAME") or wanted.get("NAME")
    return [name, vm.findtext("DEPLOY_ID", ""), wanted.get("CPU", "-"), wanted.get("MEMORY", "-")]
