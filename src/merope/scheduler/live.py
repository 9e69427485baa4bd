"""Hosts and datastores while a plan is made: what is left of them after the placements so far."""

from __future__ import annotations

from collections.abc import Callable

from merope.model.expression import CURRENT_VMS, Rank, View
from merope.scheduler.parts import LiveParts, Request
from merope.scheduler.reasons import Code
from merope.scheduler.snapshot import KEPT_ANSWERS, DatastoreView, HostView, NetworkView, VmRequest

ALLOCATED = frozenset({CURRENT_VMS, "RUNNING_VMS", "CPU_USAGE", "MEM_USAGE"})
"""What a placement changes at once; requirements on these are asked again before each placement."""

MEASURED = frozenset({"FREE_CPU", "FREE_MEMORY", "USED_CPU", "USED_MEMORY"})
"""What the monitor will find changed; ranks look ahead, requirements do not."""


class LiveHost:
    """A host, its free capacity in this plan, and a view of it; `version` counts what was placed."""

    __slots__ = (
        "_lacks",
        "_parts",
        "_placed",
        "allocated",
        "ds_free",
        "free_cpu",
        "free_memory",
        "index",
        "version",
        "view",
    )

    def __init__(self, index: int, view: HostView) -> None:
        self.index = index
        self.view = view
        self.free_cpu = view.free_cpu
        self.free_memory = view.free_memory
        self.ds_free = view.ds_free
        self.version = 0
        self.allocated = _AllocatedView(self)
        self._placed: list[str] = []
        self._parts: LiveParts | None = None
        self._lacks: dict[Request, tuple[int, Code | None]] = {}

    def roomy(self, vm: VmRequest) -> bool:
        """CPU and memory for the VM after the placements so far."""
        return vm.cpu <= self.free_cpu and vm.memory <= self.free_memory

    def fits(self, vm: VmRequest) -> bool:
        """Room for the VM after the placements so far, with what it must have for itself."""
        return self.roomy(vm) and (vm.parts is None or self.lacks(vm) is None)

    def had_room(self, vm: VmRequest) -> bool:
        """CPU and memory for the VM before any placement."""
        return vm.cpu <= self.view.free_cpu and vm.memory <= self.view.free_memory

    def fitted(self, vm: VmRequest) -> bool:
        """Room for the VM before any placement, with what it must have for itself."""
        return self.had_room(vm) and (vm.parts is None or self.lacked(vm) is None)

    def lacks(self, vm: VmRequest) -> Code | None:
        """What the VM must have for itself and the host has not got any more, None when it has all of it."""
        if vm.parts is None:
            return None
        known = self._lacks.get(vm.parts)
        if known is None or known[0] != self.version:
            found = self._live_parts().find(vm.parts)
            known = self._lacks[vm.parts] = self.version, found if isinstance(found, Code) else None
        return known[1]

    def lacked(self, vm: VmRequest) -> Code | None:
        """The same before any placement."""
        if vm.parts is None or not self.version:
            return self.lacks(vm)
        found = LiveParts(self.view.parts).find(vm.parts)
        return found if isinstance(found, Code) else None

    def _live_parts(self) -> LiveParts:
        if self._parts is None:
            self._parts = LiveParts(self.view.parts)
        return self._parts

    def take(self, vm: VmRequest, local_datastore: int | None) -> None:
        """Count a VM in; `local_datastore` is its system datastore when that is not shared."""
        self.free_cpu -= vm.cpu
        self.free_memory -= vm.memory
        if local_datastore is not None and vm.system_disk:
            free = self.free_in(local_datastore) - vm.system_disk
            self.ds_free = {**self.ds_free, local_datastore: free}
        if vm.parts is not None:
            self._live_parts().take(vm.id, vm.parts)
        self._placed.append(str(vm.id))
        self.version += 1

    def free_in(self, datastore: int) -> int:
        """MB for a datastore that is not shared: its own figure, or the host's disk when it has none yet."""
        return self.ds_free.get(datastore, self.view.free_disk)

    def first(self, name: str) -> str | None:
        value = self.view.attributes.first(name)
        change = _CHANGES.get(name)
        return value if change is None or value is None else _shifted(value, change(self))

    def all(self, path: str) -> list[str]:
        if path == CURRENT_VMS:
            return [*map(str, self.view.vm_ids), *self._placed]
        if path in _CHANGES:
            return [value for value in (self.first(path),) if value is not None]
        return self.view.attributes.all(path)

    def give_back(self, vm: VmRequest, local_datastore: int | None) -> None:
        """Undo the `take` of this VM with the same datastore."""
        self._placed.remove(str(vm.id))
        if vm.parts is not None:
            self._live_parts().give_back(vm.id)
        self.free_cpu += vm.cpu
        self.free_memory += vm.memory
        if local_datastore is not None and vm.system_disk:
            free = self.free_in(local_datastore) + vm.system_disk
            self.ds_free = {**self.ds_free, local_datastore: free}
        self.version += 1

    @property
    def placed(self) -> int:
        return len(self._placed)


_CHANGES: dict[str, Callable[[LiveHost], int]] = {
    "RUNNING_VMS": lambda host: host.placed,
    "CPU_USAGE": lambda host: host.view.free_cpu - host.free_cpu,
    "MEM_USAGE": lambda host: host.view.free_memory - host.free_memory,
    "FREE_CPU": lambda host: host.free_cpu - host.view.free_cpu - host.view.recent_cpu,
    "FREE_MEMORY": lambda host: host.free_memory - host.view.free_memory - host.view.recent_memory,
    "USED_CPU": lambda host: host.view.free_cpu - host.free_cpu + host.view.recent_cpu,
    "USED_MEMORY": lambda host: host.view.free_memory - host.free_memory + host.view.recent_memory,
}


class _AllocatedView:
    """The host as requirements see it: with what is allocated now, as it was last measured."""

    __slots__ = ("_host",)

    def __init__(self, host: LiveHost) -> None:
        self._host = host

    def first(self, name: str) -> str | None:
        return self._host.view.attributes.first(name) if name in MEASURED else self._host.first(name)

    def all(self, path: str) -> list[str]:
        return self._host.view.attributes.all(path) if path in MEASURED else self._host.all(path)


class LiveDatastore:
    """A system or image datastore and what is free in it in this plan."""

    __slots__ = ("free", "index", "version", "view")

    def __init__(self, index: int, view: DatastoreView) -> None:
        self.index = index
        self.view = view
        self.free = view.free
        self.version = 0

    def room(self, vm: VmRequest) -> bool:
        """Room before any placement.  What is not shared, or not measured, is looked at host by host."""
        return vm.system_disk <= self.view.free or not (self.view.shared and self.view.monitored)

    def take(self, space: int) -> None:
        if space:
            self.free -= space
            self.version += 1

    def first(self, name: str) -> str | None:
        value = self.view.attributes.first(name)
        if value is None or name not in ("FREE_MB", "USED_MB"):
            return value
        taken = self.view.free - self.free
        return _shifted(value, -taken if name == "FREE_MB" else taken)

    def all(self, path: str) -> list[str]:
        return self.view.attributes.all(path)


class LiveNetwork:
    """A virtual network and the leases that are left of it in this plan."""

    __slots__ = ("free", "index", "version", "view")

    def __init__(self, index: int, view: NetworkView) -> None:
        self.index = index
        self.view = view
        self.free = view.free
        self.version = 0

    def take(self, leases: int) -> None:
        self.free -= leases
        self.version += 1

    def first(self, name: str) -> str | None:
        value = self.view.attributes.first(name)
        if value is None or name != "USED_LEASES":
            return value
        return _shifted(value, self.view.free - self.free)

    def all(self, path: str) -> list[str]:
        return self.view.attributes.all(path)


class RankTable:
    """A rank's value for each host, datastore or network, worked out again only when that one has changed."""

    __slots__ = ("_rank", "_values", "_versions", "names")

    def __init__(self, rank: Rank, items: int) -> None:
        self._rank = rank
        self._values = [0] * items
        self._versions = [-1] * items
        self.names = rank.names

    def value(self, item: LiveHost | LiveDatastore | LiveNetwork) -> int:
        index = item.index
        if self._versions[index] != item.version:
            self._values[index] = self._worked_out(item)
            self._versions[index] = item.version
        return self._values[index]

    def _worked_out(self, item: LiveHost | LiveDatastore | LiveNetwork) -> int:
        view: View = item
        if item.version or not isinstance(item, LiveHost):
            return self._rank.value(view)
        kept = item.view.ranks
        value = kept.get(self._rank.text)
        if value is None:
            if len(kept) >= KEPT_ANSWERS:
                kept.clear()
            value = kept[self._rank.text] = self._rank.value(view)
        return value


def _shifted(value: str, change: int) -> str:
    if not change:
        return value
    try:
        return str(int(float(value)) + change)
    except (ValueError, OverflowError):
        return value
