"""Why a VM waits: a headline in 5.12's words, then what excluded how many hosts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto


class Code(Enum):
    """What a reason is about: first the headlines, of which a VM has one, then what they add up from."""

    NO_HOSTS = auto()
    NOT_AUTHORIZED = auto()
    NO_CAPACITY = auto()
    NO_MATCH = auto()
    NO_OTHER_HOST = auto()
    REQUIREMENTS_ERROR = auto()
    NO_DATASTORES = auto()
    DS_NOT_AUTHORIZED = auto()
    DS_NO_CAPACITY = auto()
    DS_NO_MATCH = auto()
    DS_REQUIREMENTS_ERROR = auto()
    IMAGE_DATASTORE_FULL = auto()
    NO_NETWORKS = auto()
    NET_NOT_AUTHORIZED = auto()
    NET_NO_CAPACITY = auto()
    NET_NO_MATCH = auto()
    NET_REQUIREMENTS_ERROR = auto()
    GROUP_CONFLICT = auto()
    GROUP_NO_ROOM = auto()
    GROUP_WAITS = auto()
    NOT_DISPATCHED = auto()
    DISPATCH_LIMIT = auto()
    VM_LIMIT = auto()

    HOST_FORBIDDEN = auto()
    HOST_AUTOMATIC = auto()
    HOST_REQUIREMENTS = auto()
    HOST_CPU = auto()
    HOST_MEMORY = auto()
    HOST_CPU_AND_MEMORY = auto()
    HOST_CURRENT = auto()
    HOST_LOCAL = auto()
    HOST_LIMIT = auto()
    HOST_DATASTORE = auto()
    HOST_GROUP = auto()
    HOST_NETWORK = auto()
    HOST_TOPOLOGY = auto()
    HOST_PCI = auto()
    DS_FORBIDDEN = auto()
    DS_FULL = auto()
    DS_NOT_MONITORED = auto()
    DS_REQUIREMENTS = auto()
    NET_FORBIDDEN = auto()
    NET_FULL = auto()
    NET_REQUIREMENTS = auto()


@dataclass(frozen=True, slots=True)
class Reason:
    """`count` is how many hosts or datastores, `missing_*` what the nearest of them lacks (percent of one
    CPU; KB of memory; MB of disk), `detail` an expression or an id, as the code needs it."""

    code: Code
    count: int = 0
    detail: str = ""
    missing_cpu: int = 0
    missing_memory: int = 0
    missing_disk: int = 0


def explain(reasons: Sequence[Reason]) -> str:
    """The sentences for SCHED_MESSAGE, without the date."""
    headline, *parts = [_TEXTS[reason.code](reason) for reason in reasons]
    if not parts:
        return headline
    return f"{headline.removesuffix('.')}. {', '.join(parts)}"


def told(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    """The reasons one by one, for programs: SCHED_REASON vectors. Units as in `Reason`."""
    vectors = []
    for reason in reasons:
        numbers = {
            "COUNT": reason.count,
            "MISSING_CPU": reason.missing_cpu,
            "MISSING_MEMORY": reason.missing_memory,
            "MISSING_DISK": reason.missing_disk,
        }
        vector = {"REASON": reason.code.name, "TEXT": _TEXTS[reason.code](reason)}
        vectors.append(vector | {name: str(number) for name, number in numbers.items() if number})
    return vectors


def tally(found: Iterable[Reason]) -> list[Reason]:
    """Equal codes as one reason with their number, the most frequent first; of each code the one that
    lacks least stays."""
    nearest: dict[Code, Reason] = {}
    counts: Counter[Code] = Counter()
    for reason in found:
        counts[reason.code] += reason.count or 1
        known = nearest.get(reason.code)
        if known is None or _distance(reason) < _distance(known):
            nearest[reason.code] = reason
    added = [replace(reason, count=counts[code]) for code, reason in nearest.items()]
    return sorted(added, key=lambda reason: (-reason.count, reason.code.value))


def shortages(cpu: int, memory: int, free: Iterable[tuple[int, int]]) -> Iterator[Reason]:
    """The reasons of hosts with so much free CPU and memory, none of which has room for a VM.

    Counted without a Reason for each host: a cloud that is full asks this for all of its hosts."""
    nearest: list[tuple[float, int, int]] = [(math.inf, 0, 0)] * 4
    counts = [0] * 4
    for free_cpu, free_memory in free:
        # Comparisons, not max(): this runs for every host and every shape of VM that waits.
        kind, lacks_cpu, lacks_memory = 0, 0, 0
        if free_cpu < cpu:
            kind, lacks_cpu = 1, cpu - free_cpu
        if free_memory < memory:
            kind, lacks_memory = kind + 2, memory - free_memory
        counts[kind] += 1
        # One CPU weighs as much as 1 GB on hosts that lack both.
        distance = lacks_cpu / 100 + lacks_memory / 1024**2
        if distance < nearest[kind][0]:
            nearest[kind] = distance, lacks_cpu, lacks_memory
    for kind, code in enumerate((Code.HOST_CPU, Code.HOST_MEMORY, Code.HOST_CPU_AND_MEMORY), start=1):
        if counts[kind]:
            _, lacks_cpu, lacks_memory = nearest[kind]
            yield Reason(code, counts[kind], missing_cpu=lacks_cpu, missing_memory=lacks_memory)


def _distance(reason: Reason) -> tuple[float, int]:
    return reason.missing_cpu / 100 + reason.missing_memory / 1024**2, reason.missing_disk


def size(amount: int, unit: str) -> str:
    """An amount of KB or MB in the largest unit that keeps it above one, with one decimal at most."""
    units = ["KB", "MB", "GB", "TB"]
    index = units.index(unit)
    value = float(amount)
    while value >= 1024 and index < len(units) - 1:
        value /= 1024
        index += 1
    return f"{value:.1f}".removesuffix(".0") + f" {units[index]}"


def cpus(percent: int) -> str:
    return f"{percent / 100:g} CPU"


def _headline(text: str) -> Callable[[Reason], str]:
    return lambda reason: text.format(reason.detail)


def _hosts(text: str, plural: str = "") -> Callable[[Reason], str]:
    return _counted("host", text, plural)


def _datastores(text: str, plural: str = "") -> Callable[[Reason], str]:
    return _counted("datastore", text, plural)


def _networks(text: str, plural: str = "") -> Callable[[Reason], str]:
    return _counted("network", text, plural)


def _counted(noun: str, text: str, plural: str) -> Callable[[Reason], str]:
    def sentence(reason: Reason) -> str:
        one = reason.count == 1
        predicate = (text if one else plural or text).format(
            nearest="" if one else "the nearest ",
            cpu=cpus(reason.missing_cpu),
            memory=size(reason.missing_memory, "KB"),
            disk=size(reason.missing_disk, "MB"),
        )
        return f"{reason.count} {noun}{'' if one else 's'} {predicate}"

    return sentence


_TEXTS: dict[Code, Callable[[Reason], str]] = {
    Code.NO_HOSTS: _headline("No hosts enabled to run VMs"),
    Code.NOT_AUTHORIZED: _headline("User is not authorized to use any host"),
    Code.NO_CAPACITY: _headline("No host with enough capacity to deploy the VM"),
    Code.NO_MATCH: _headline("No host meets capacity and SCHED_REQUIREMENTS: {}"),
    Code.NO_OTHER_HOST: _headline("No other host to move the VM to"),
    Code.REQUIREMENTS_ERROR: _headline("Error in SCHED_REQUIREMENTS: {}"),
    Code.NO_DATASTORES: _headline("No system datastores found to run VMs"),
    Code.DS_NOT_AUTHORIZED: _headline("User is not authorized to use any system datastore"),
    Code.DS_NO_CAPACITY: _headline("No system datastore with enough capacity for the VM"),
    Code.DS_NO_MATCH: _headline("No system datastore meets capacity and SCHED_DS_REQUIREMENTS: {}"),
    Code.DS_REQUIREMENTS_ERROR: _headline("Error in SCHED_DS_REQUIREMENTS: {}"),
    Code.IMAGE_DATASTORE_FULL: _headline(
        "Cannot schedule VM. Image Datastore {} does not have enough capacity"
    ),
    Code.NO_NETWORKS: _headline("No networks found to run VMs"),
    Code.NET_NOT_AUTHORIZED: _headline("User is not authorized to use any network"),
    Code.NET_NO_CAPACITY: _headline("No network with enough capacity for the VM"),
    Code.NET_NO_MATCH: _headline("No network meet leases and SCHED_NIC_REQUIREMENTS: {}"),
    Code.NET_REQUIREMENTS_ERROR: _headline("Error in SCHED_NIC_REQUIREMENTS: {}"),
    Code.GROUP_CONFLICT: _headline("No host satisfies these rules of the VM group together: {}"),
    Code.GROUP_NO_ROOM: _headline("No host has room for the {} VMs of the VM group that must share one"),
    Code.GROUP_WAITS: _headline("Waits for VM {}, with which it must share a host"),
    Code.NOT_DISPATCHED: _headline(
        "Cannot dispatch VM to any Host. Possible reasons: Not enough capacity in Host or System DS, "
        "dispatch limit reached, or limit of free leases reached."
    ),
    Code.DISPATCH_LIMIT: _headline("Waiting for the next round: MAX_DISPATCH of {} reached"),
    Code.VM_LIMIT: _headline("Waiting for a later round: MAX_VM of {} VMs reached"),
    Code.HOST_FORBIDDEN: _hosts("is not for this user", "are not for this user"),
    Code.HOST_AUTOMATIC: _hosts(
        "is not of the clusters or the kind that the VM needs",
        "are not of the clusters or the kind that the VM needs",
    ),
    Code.HOST_REQUIREMENTS: _hosts("does not meet SCHED_REQUIREMENTS", "do not meet SCHED_REQUIREMENTS"),
    Code.HOST_CPU: _hosts("lacks {cpu}", "lack CPU ({nearest}{cpu})"),
    Code.HOST_MEMORY: _hosts("lacks {memory} of memory", "lack memory ({nearest}{memory})"),
    Code.HOST_CPU_AND_MEMORY: _hosts(
        "lacks {cpu} and {memory} of memory", "lack CPU and memory ({nearest}{cpu} and {memory})"
    ),
    Code.HOST_CURRENT: _hosts("is where the VM is now", "are where the VM is now"),
    Code.HOST_LOCAL: _hosts(
        "is local and the VM can only go to a public cloud",
        "are local and the VM can only go to a public cloud",
    ),
    Code.HOST_LIMIT: _hosts("got MAX_HOST VMs in this round"),
    Code.HOST_DATASTORE: _hosts(
        "has no system datastore with enough space", "have no system datastore with enough space"
    ),
    Code.HOST_GROUP: _hosts("is against the rules of the VM group", "are against the rules of the VM group"),
    Code.HOST_NETWORK: _hosts(
        "has no networks with free leases for the NICs", "have no networks with free leases for the NICs"
    ),
    Code.HOST_TOPOLOGY: _hosts("cannot allocate NUMA topology"),
    Code.HOST_PCI: _hosts("has no such PCI device free", "have no such PCI device free"),
    Code.DS_FORBIDDEN: _datastores("is not for this user", "are not for this user"),
    Code.DS_FULL: _datastores("lacks {disk}", "lack space ({nearest}{disk})"),
    Code.DS_NOT_MONITORED: _datastores("has not been monitored yet", "have not been monitored yet"),
    Code.DS_REQUIREMENTS: _datastores("does not meet the requirements", "do not meet the requirements"),
    Code.NET_FORBIDDEN: _networks("is not for this user", "are not for this user"),
    Code.NET_FULL: _networks("has no free lease", "have no free lease"),
    Code.NET_REQUIREMENTS: _networks("does not meet the requirements", "do not meet the requirements"),
}
