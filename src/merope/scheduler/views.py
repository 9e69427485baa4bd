"""From documents to what a placement looks at: attributes by 5.12's lookup paths, hosts, datastores, VMs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.model import pci, pinning
from merope.model.expression import CURRENT_VMS
from merope.model.states import DatastoreState, DatastoreType, HistoryAction, HostState, LcmState, VmState
from merope.model.template import Template
from merope.scheduler.parts import HostParts, Request
from merope.scheduler.snapshot import DatastoreView, HostView, NetworkView, NicRequest, VmRequest

HOST_PATHS = ("TEMPLATE", "HOST_SHARE", "MONITORING/CAPACITY", "MONITORING/SYSTEM", ".", "CLUSTER_TEMPLATE")
DATASTORE_PATHS = ("TEMPLATE", ".")
NETWORK_PATHS = ("TEMPLATE", ".")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")
_STEP = rf"(?:{_NAME.pattern}|\*)(?:\[(?:[1-9][0-9]{{0,3}}|last\(\)|{_NAME.pattern}(?:='[^']*+')?)\])*+"
_PATH = re.compile(rf"{_STEP}(?:/{_STEP})*+")
_ENABLED = {HostState.MONITORED, HostState.MONITORING_MONITORED}
_KEEPS_DATASTORE = {HistoryAction.STOP, HistoryAction.UNDEPLOY, HistoryAction.UNDEPLOY_HARD}
_VOLATILE = {"FS", "SWAP"}


class TableView:
    """Attributes that are given as they are: each name with its values."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str | Sequence[str]]) -> None:
        self._values = {k: [v] if isinstance(v, str) else list(v) for k, v in values.items()}

    def first(self, name: str) -> str | None:
        found = self._values.get(name)
        return found[0] if found else None

    def all(self, path: str) -> list[str]:
        return self._values.get(path, [])


class DocumentView:
    """The attributes of a document: what any of `paths` (from the root) followed by a name finds, in the
    order of the document.  A name may be a path of steps with predicates (a position, a child, a child's
    value); one that begins with `/` is absolute.  The table of names is made at the first question."""

    __slots__ = ("_paths", "_root", "_table")

    def __init__(self, root: Element, paths: Iterable[str]) -> None:
        self._root = root
        self._paths = tuple(paths)
        self._table: dict[str, list[Element]] | None = None

    def first(self, name: str) -> str | None:
        found = self._find(name)
        return _content(found[0]) if found else None

    def all(self, path: str) -> list[str]:
        return [_content(el) for el in self._find(path)]

    def _find(self, name: str) -> list[Element]:
        if self._table is None:
            self._table = {}
            for child in self._ordered([el for base in self._bases() for el in base]):
                self._table.setdefault(child.tag, []).append(child)
            self._table[CURRENT_VMS] = self._search("VMS/ID")
        found = self._table.get(name)
        if found is None:
            if _NAME.fullmatch(name):
                return []
            found = self._table[name] = self._search(name)
        return found

    def _bases(self) -> list[Element]:
        return [el for path in self._paths for el in self._root.findall(path)]

    def _search(self, path: str) -> list[Element]:
        bases = self._bases()
        if path.startswith("/"):
            root, _, path = path[1:].partition("/")
            bases = [self._root] if root == self._root.tag else []
        if not _PATH.fullmatch(path):
            return []  # 5.12 finds nothing either where its XPath library sees an error
        return self._ordered([el for base in bases for el in base.findall(path)])

    def _ordered(self, elements: list[Element]) -> list[Element]:
        wanted = set(map(id, elements))
        return [el for el in self._root.iter() if id(el) in wanted]


def host_view_from_xml(document: str, cluster_template: str = "") -> HostView | None:
    """A host from its complete document (MONITORING with the last figures), None when it takes no VMs.
    `cluster_template` is the TEMPLATE element of the document of its cluster."""
    root = ElementTree.fromstring(document)  # noqa: S314 - a document of our own
    if _integer(root, "STATE", -1) not in _ENABLED:
        return None
    if cluster_template:
        inherited = ElementTree.fromstring(cluster_template)  # noqa: S314
        inherited.tag = "CLUSTER_TEMPLATE"
        root.append(inherited)
    share = _child(root, "HOST_SHARE")
    return HostView(
        id=_integer(root, "ID", -1),
        cluster_id=_integer(root, "CLUSTER_ID", -1),
        free_cpu=_integer(share, "MAX_CPU") - _integer(share, "CPU_USAGE"),
        free_memory=_integer(share, "MAX_MEM") - _integer(share, "MEM_USAGE"),
        attributes=DocumentView(root, HOST_PATHS),
        running_vms=_integer(share, "RUNNING_VMS"),
        vm_ids=frozenset(int(el.text or -1) for el in root.iterfind("VMS/ID")),
        public_cloud=(root.findtext("TEMPLATE/PUBLIC_CLOUD") or "").upper() == "YES",
        free_disk=_integer(share, "DATASTORES/FREE_DISK"),
        parts=HostParts(share),
        ds_free={_integer(ds, "ID", -1): _integer(ds, "FREE_MB") for ds in share.iterfind("DATASTORES/DS")},
    )


def datastore_view_from_xml(
    document: str, kind: DatastoreType = DatastoreType.SYSTEM_DS
) -> DatastoreView | None:
    """A datastore of that kind, None when it is of another one or, a system datastore, not READY."""
    root = ElementTree.fromstring(document)  # noqa: S314 - a document of our own
    enabled = kind != DatastoreType.SYSTEM_DS or _integer(root, "STATE") == DatastoreState.READY
    if _integer(root, "TYPE", -1) != kind or not enabled:
        return None
    free, used, total = (_integer(root, name) for name in ("FREE_MB", "USED_MB", "TOTAL_MB"))
    limit = _integer(root, "TEMPLATE/LIMIT_MB", -1)
    return DatastoreView(
        id=_integer(root, "ID", -1),
        cluster_ids=frozenset(int(el.text or -1) for el in root.iterfind("CLUSTERS/ID")),
        free=free if limit < 0 else max(limit - used, 0),
        attributes=DocumentView(root, DATASTORE_PATHS),
        shared=(root.findtext("TEMPLATE/SHARED") or "YES").upper() == "YES",
        monitored=bool(free or used or total),
    )


def network_view_from_xml(document: str) -> NetworkView:
    """A virtual network; what is free are the addresses of its ranges that are not in use."""
    root = ElementTree.fromstring(document)  # noqa: S314 - a document of our own
    size = sum(_integer(ranged, "SIZE") for ranged in root.iterfind("AR_POOL/AR"))
    return NetworkView(
        id=_integer(root, "ID", -1),
        cluster_ids=frozenset(int(el.text or -1) for el in root.iterfind("CLUSTERS/ID")),
        free=size - _integer(root, "USED_LEASES"),
        attributes=DocumentView(root, NETWORK_PATHS),
    )


def vm_request_from_xml(document: str, memory_scale: float = 0.0) -> VmRequest | None:
    """A VM from its document (with the last history record), None when it does not want a host.
    `memory_scale` is MEMORY_SYSTEM_DS_SCALE: MB of the system datastore for each MB of memory."""
    root = ElementTree.fromstring(document)  # noqa: S314 - a document of our own
    resched = _integer(root, "RESCHED") == 1
    if not _wants_a_host(_integer(root, "STATE"), _integer(root, "LCM_STATE"), resched):
        return None
    template, user = _child(root, "TEMPLATE"), _child(root, "USER_TEMPLATE")
    last = root.find("HISTORY_RECORDS/HISTORY[last()]")
    memory = _integer(template, "MEMORY")
    system_disk, image_space = _disk_space(template.iterfind("DISK"))
    keeps = last is not None and (resched or _integer(last, "ACTION") in _KEEPS_DATASTORE)
    return VmRequest(
        id=_integer(root, "ID", -1),
        uid=_integer(root, "UID", -1),
        gid=_integer(root, "GID", -1),
        cpu=cpu_percent(_real(template, "CPU")),
        memory=memory * 1024,
        system_disk=system_disk + int(memory * max(memory_scale, 0)),
        image_space=tuple(sorted(image_space.items())),
        automatic_requirements=_text(template, "AUTOMATIC_REQUIREMENTS"),
        requirements=_text(user, "SCHED_REQUIREMENTS"),
        rank=_text(user, "SCHED_RANK") or _text(user, "RANK"),
        automatic_ds_requirements=_text(template, "AUTOMATIC_DS_REQUIREMENTS"),
        ds_requirements=_text(user, "SCHED_DS_REQUIREMENTS"),
        ds_rank=_text(user, "SCHED_DS_RANK"),
        priority=_real(user, "USER_PRIORITY"),
        resched=resched,
        current_host=_integer(last, "HID", -1) if last is not None else -1,
        keep_datastore=_integer(last, "DS_ID", -1) if last is not None and keeps else None,
        public_cloud=user.find("PUBLIC_CLOUD") is not None or user.find("EC2") is not None,
        automatic_nic_requirements=_text(template, "AUTOMATIC_NIC_REQUIREMENTS"),
        nics=() if resched else tuple(_automatic_nics(template)),
        parts=_parts(template),
    )


def _parts(element: Element) -> Request | None:
    """What the VM must have of its host for itself; None for most."""
    if element.find("TOPOLOGY") is None and element.find("PCI") is None:
        return None
    template = Template.from_element(element)
    found = Request(pinning.demand_of(template), pci.wanted_of(template))
    return found if found != Request() else None


def cpu_percent(cpu: float) -> int:
    """CPU of a template in percent of one CPU, rounded as the host's CPU_USAGE counts it: a plan must not
    propose what the core refuses."""
    return round(cpu * 100)


def _wants_a_host(state: int, lcm_state: int, resched: bool) -> bool:
    if state == VmState.PENDING:
        return True
    running = state == VmState.ACTIVE and lcm_state in (LcmState.RUNNING, LcmState.UNKNOWN)
    return resched and (running or state in (VmState.POWEROFF, VmState.SUSPENDED))


def _automatic_nics(template: Element) -> Iterator[NicRequest]:
    for nic in template.iterfind("NIC"):
        if _text(nic, "NETWORK_MODE").lower() == "auto" and not _text(nic, "NETWORK_ID"):
            rank = _text(nic, "SCHED_RANK")
            yield NicRequest(_integer(nic, "NIC_ID", -1), _text(nic, "SCHED_REQUIREMENTS"), rank)


def _disk_space(disks: Iterable[Element]) -> tuple[int, dict[int, int]]:
    """MB in the system datastore, and MB in each image datastore."""
    system = 0
    images: dict[int, int] = {}
    for disk in disks:
        space = _integer(disk, "SIZE") + _integer(disk, "DISK_SNAPSHOT_TOTAL_SIZE")
        if _text(disk, "TYPE").upper() in _VOLATILE:
            system += space
            continue
        cloned = _text(disk, "CLONE").upper() == "YES"
        target = _text(disk, "CLONE_TARGET" if cloned else "LN_TARGET").upper()
        if target == "SYSTEM":
            system += space
        elif target == "SELF":
            datastore = _integer(disk, "DATASTORE_ID", -1)
            images[datastore] = images.get(datastore, 0) + space
    return system, images


def _child(el: Element, tag: str) -> Element:
    found = el.find(tag)
    return Element(tag) if found is None else found


def _content(el: Element) -> str:
    return "".join(el.itertext()) if len(el) else el.text or ""


def _text(el: Element, path: str) -> str:
    return (el.findtext(path) or "").strip()


def _integer(el: Element, path: str, default: int = 0) -> int:
    return int(_real(el, path, default))


def _real(el: Element, path: str, default: float = 0.0) -> float:
    """Attributes of users may hold anything; what is no number is the default, as in 5.12."""
    text = el.findtext(path)
    try:
        value = float(text) if text else default
    except ValueError:
        return default
    return value if abs(value) < 1e18 else default
