"""Tables of a virtual machine's page: disks, interfaces, snapshots, history."""

import time
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.page import Page, cells, enum_name
from merope.model.states import HistoryAction

_DISKS = cells("ID:3R", "DATASTORE:10L", "TARGET:6L", "IMAGE:35L", "SIZE:9L", "TYPE:4L", "SAVE:4R")
_DISK_SNAPSHOTS = cells("AC:2L", "ID:3R", "DISK:4R", "PARENT:6R", "DATE:15R", "SIZE:12L", "NAME:32L")
_NICS = cells("ID:3R", "NETWORK:20L", "BRIDGE:12L", "IP:15L!", "MAC:17L", "PCI_ID:8L")
_ALIASES = _NICS[:-1]
_SNAPSHOTS = cells("ID:4R", "TIME:12R", "NAME:46L", "HYPERVISOR_ID:15L")
_HISTORY = cells(
    "SEQ:3R", "UID:4L", "REQ:5L", "HOST:12L", "ACTION:10L", "DS:4R", "START:15R", "TIME:11R", "PROLOG:10R"
)


def disks(page: Page, vm: Element) -> None:
    rows = [_disk(d, _measured(vm, d)) for d in vm.iterfind("TEMPLATE/DISK")]
    context = vm.find("TEMPLATE/CONTEXT")
    if context is not None and context.findtext("DISK_ID"):
        disk_id, target = context.findtext("DISK_ID", ""), context.findtext("TARGET", "")
        rows.append([disk_id, "-", target, "CONTEXT", "-/-", "-", "-"])
    if rows:
        page.line()
        page.heading("VM DISKS")
        page.table(_DISKS, rows)


def _disk(disk: Element, measured: str) -> list[str]:
    size = formats.number(disk.findtext("SIZE"))
    full = formats.size(size, "M") if size else "-"
    image = disk.findtext("IMAGE")
    if not image:
        image = " - ".join(filter(None, (disk.findtext("FORMAT"), full)))
    return [
        disk.findtext("DISK_ID", ""),
        disk.findtext("DATASTORE") or "-",
        disk.findtext("TARGET") or "-",
        image,
        f"{measured}/{full}",
        (disk.findtext("TYPE") or "-").lower(),
        disk.findtext("SAVE") or "NO",
    ]


def _measured(vm: Element, disk: Element) -> str:
    """What a disk takes on the host (MB), as measured."""
    disk_id = disk.findtext("DISK_ID")
    for found in vm.iterfind("MONITORING/DISK_SIZE"):
        if found.findtext("ID") == disk_id:
            return formats.size(formats.number(found.findtext("SIZE")), "M")
    return "-"


def disk_snapshots(page: Page, vm: Element) -> None:
    rows = [
        _disk_snapshot(snapshot, group.findtext("DISK_ID", ""))
        for group in vm.iterfind("SNAPSHOTS")
        for snapshot in group.iterfind("SNAPSHOT")
    ]
    if rows:
        page.line()
        page.heading("VM DISK SNAPSHOTS")
        page.table(_DISK_SNAPSHOTS, rows)


def _disk_snapshot(snapshot: Element, disk_id: str) -> list[str]:
    size = formats.size(formats.number(snapshot.findtext("SIZE")), "M")
    return [
        "=>" if snapshot.findtext("ACTIVE") == "YES" else "",
        snapshot.findtext("ID", ""),
        disk_id,
        snapshot.findtext("PARENT", ""),
        formats.date(formats.integer(snapshot.findtext("DATE"))),
        f"-/{size}",
        snapshot.findtext("NAME", ""),
    ]


def interfaces(page: Page, vm: Element) -> None:
    nics = [row for n in vm.iterfind("TEMPLATE/NIC") for row in _interface(n, True)]
    nics += [row for n in vm.iterfind("TEMPLATE/PCI") if n.findtext("NIC_ID") for row in _interface(n, True)]
    aliases = [row for n in vm.iterfind("TEMPLATE/NIC_ALIAS") for row in _interface(n, False)]
    for title, columns, rows in (("VM NICS", _NICS, nics), ("VM ALIAS", _ALIASES, aliases)):
        if rows:
            page.line()
            page.heading(title)
            page.table(columns, rows)


def _interface(nic: Element, with_pci: bool) -> Iterator[list[str]]:
    """One line, and one more for each further (IPv6) address."""
    pci = [nic.findtext("PCI_ID", "")] if with_pci else []
    found = [nic.findtext(n) for n in ("IP", "IP6", "IP6_GLOBAL", "IP6_ULA", "EXTERNAL_IP")]
    addresses = [a for a in found if a]
    first = addresses[0] if addresses else "--"
    yield [
        nic.findtext("NIC_ID", ""),
        nic.findtext("NETWORK") or "-",
        nic.findtext("BRIDGE") or "-",
        first,
        nic.findtext("MAC", ""),
        *pci,
    ]
    for address in addresses[1:]:
        yield ["", "", "", address, "", *([""] if with_pci else [])]


def snapshots(page: Page, vm: Element) -> None:
    rows = [
        [
            s.findtext("SNAPSHOT_ID", ""),
            formats.minute(formats.integer(s.findtext("TIME"))),
            s.findtext("NAME", ""),
            s.findtext("HYPERVISOR_ID", ""),
        ]
        for s in vm.iterfind("TEMPLATE/SNAPSHOT")
    ]
    if rows:
        page.line()
        page.heading("SNAPSHOTS")
        page.table(_SNAPSHOTS, rows)


def history(page: Page, vm: Element) -> None:
    records = vm.findall("HISTORY_RECORDS/HISTORY")
    if records:
        page.line()
        page.heading("VIRTUAL MACHINE HISTORY")
        page.table(_HISTORY, [_record(r) for r in records])


def action_name(number: str | None) -> str:
    """`live-migrate` for 2; the number itself when it is unknown."""
    return enum_name(HistoryAction, number).lower().replace("_", "-")


def _record(record: Element) -> list[str]:
    def moment(name: str) -> int:
        return formats.integer(record.findtext(name))

    end = moment("ETIME") or int(time.time())
    prolog_end = moment("PETIME") or (int(time.time()) if moment("PSTIME") else 0)
    return [
        record.findtext("SEQ", ""),
        _or_dash(record.findtext("UID")),
        _or_dash(record.findtext("REQUEST_ID")),
        record.findtext("HOSTNAME", ""),
        action_name(record.findtext("ACTION")),
        record.findtext("DS_ID", ""),
        formats.date(moment("STIME")),
        formats.duration(end - moment("STIME")),
        formats.clock(prolog_end - moment("PSTIME")),
    ]


def _or_dash(number: str | None) -> str:
    return "-" if number in (None, "", "-1") else str(number)
