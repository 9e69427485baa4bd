"""Sections that several pages have: the virtual machines of an object, quotas."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.context import Context
from merope.cli.declare import Column
from merope.cli.page import Page, cells
from merope.cli.quotas import LIMITED_NOWHERE, ONEADMIN, limit_of
from merope.cli.view import View
from merope.cli.vm_table import COLUMNS
from merope.client import Filter, whole


def virtual_machines(ctx: Context, page: Page, ids: Iterable[str | None], heading: str = "") -> None:
    """The list of the machines with these ids, in the pool's order."""
    wanted = {oid for i in ids if (oid := formats.integer(i, _NOBODY)) != _NOBODY}
    if heading:
        page.heading(heading)
    else:
        page.line("VIRTUAL MACHINES")
    page.line()
    view = View(ctx.client)
    rows = []
    if wanted:
        pool = ctx.client.pool("vm", Filter.ALL, min(wanted), max(wanted))
        rows = [[c.value(vm, view) for c in COLUMNS] for vm in pool if whole(vm, "ID") in wanted]
    page.table(COLUMNS, rows)


_NOBODY = -1
_VM = cells("VMS:17R", "MEMORY:20R", "CPU:20R", "SYSTEM_DISK_SIZE:20R")
_RUNNING = cells("RUNNING VMS:17R", "RUNNING MEMORY:20R", "RUNNING CPU:20R")
#: Section, columns, metrics and their units ("": a count).
_RESOURCES = (
    ("DATASTORE", cells("ID:12R", "IMAGES:20R", "SIZE:19R"), (("IMAGES", ""), ("SIZE", "M"))),
    ("NETWORK", cells("ID:12R", "LEASES:20R"), (("LEASES", ""),)),
    ("IMAGE", cells("ID:12R", "RUNNING VMS:20R"), (("RVMS", ""),)),
)


def _usage(used: str, limit: str) -> str:
    return f"{used:>8} / {limit:>8}"


def quotas(page: Page, document: Element, defaults: str) -> None:
    """Usage and limits; `defaults` is the element with the default quotas (DEFAULT_USER_QUOTAS …)."""
    default = document.find(defaults)
    vm = document.find("VM_QUOTA/VM")
    if vm is None and document.findtext("ID") != ONEADMIN:
        # Nothing was used and nothing is limited, but the defaults may be.
        vm = Element("VM")
    sections: list[tuple[str, tuple[Column, ...], list[list[str]]]] = []
    if vm is not None:
        disk = _metric(vm, default, "VM_QUOTA/VM", "SYSTEM_DISK_SIZE", "M")
        sections.append(("VMS USAGE & QUOTAS", _VM, [[*_vm_row(vm, default, ""), disk]]))
        sections.append(("VMS USAGE & QUOTAS - RUNNING", _RUNNING, [_vm_row(vm, default, "RUNNING_")]))
    else:
        sections += [("VMS USAGE & QUOTAS", _VM, []), ("VMS USAGE & QUOTAS - RUNNING", _RUNNING, [])]
    for name, columns, metrics in _RESOURCES:
        where = f"{name}_QUOTA/{name}"
        rows = [
            [q.findtext("ID", ""), *(_metric(q, default, where, m, u) for m, u in metrics)]
            for q in document.iterfind(where)
        ]
        sections.append((f"{name} USAGE & QUOTAS", columns, rows))
    for number, (title, columns, rows) in enumerate(sections, 1):
        page.heading(title)
        page.line()
        if rows:
            page.table(columns, rows)
            if number < len(sections):
                page.line()


def _vm_row(vm: Element, default: Element | None, prefix: str) -> list[str]:
    where = "VM_QUOTA/VM"
    vms = _number(vm.findtext(f"{prefix}VMS_USED"))
    limit = limit_of(vm, default, where, f"{prefix}VMS")
    cpu_limit = limit_of(vm, default, where, f"{prefix}CPU")
    cpu = formats.number(vm.findtext(f"{prefix}CPU_USED"))
    return [
        f"{vms:>7} / {limit or '-':>7}",
        _metric(vm, default, where, f"{prefix}MEMORY", "M"),
        _usage(f"{cpu:.2f}", f"{float(cpu_limit):.2f}" if cpu_limit else LIMITED_NOWHERE),
    ]


def _metric(quota: Element, default: Element | None, where: str, metric: str, unit: str) -> str:
    used = formats.number(quota.findtext(f"{metric}_USED"))
    limit = limit_of(quota, default, where, metric)
    if unit:
        shown = formats.size(formats.number(limit), unit) if limit else LIMITED_NOWHERE
        return _usage(formats.size(used, unit), shown)
    return _usage(_number(quota.findtext(f"{metric}_USED")), limit or LIMITED_NOWHERE)


def _number(value: str | None) -> str:
    return formats.decimal(formats.number(value))
