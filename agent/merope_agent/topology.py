"""The NUMA topology of this host, as the kernel shows it under /sys.

The vectors are those of the monitoring protocol (EU report D3.1, figure 2.12): CORE, MEMORY_NODE and
HUGEPAGE, memory in KB. A machine whose kernel knows no nodes is one node.
"""

import re
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

Vector = Dict[str, str]
Named = Tuple[str, Vector]

_NODE = re.compile(r"node(\d+)")
_CPU = re.compile(r"cpu(\d+)")
_PAGES = re.compile(r"hugepages-(\d+)kB")
_ROOT = Path("/")


def topology(root: Path = _ROOT) -> List[Named]:
    """Everything: cores, memory and huge pages. `root` is where /sys and /proc are looked for."""
    return cores(root) + usage(root)


def usage(root: Path = _ROOT) -> List[Named]:
    """What changes all the time: memory and huge pages of each node."""
    return memory_nodes(root) + huge_pages(root)


def cores(root: Path = _ROOT) -> List[Named]:
    """CORE: a core of a node, and the ids of its threads that are online."""
    found: List[Named] = []
    for node, path in _nodes(root):
        # Two dies of one node count their cores from 0 each; a core is told by its first thread then.
        siblings: Dict[Tuple[int, ...], int] = {}
        for cpu in _cpus(path, root):
            threads = _siblings(root, cpu)
            if threads and threads not in siblings:
                siblings[threads] = _number(_cpu_dir(root, cpu) / "topology/core_id", threads[0])
        unique = len(set(siblings.values())) == len(siblings)
        for threads, core_id in sorted(siblings.items()):
            found.append(
                (
                    "CORE",
                    {
                        "NODE_ID": str(node),
                        "ID": str(core_id if unique else threads[0]),
                        "CPUS": ",".join(map(str, threads)),
                    },
                )
            )
    return found


def memory_nodes(root: Path = _ROOT) -> List[Named]:
    """MEMORY_NODE: KB in all, free and used, and the nodes from the nearest to the farthest."""
    found: List[Named] = []
    ids = [node for node, _ in _nodes(root)]
    for node, path in _nodes(root):
        # Where there is one node, it has all the memory; some virtual machines' kernels tell less of it.
        sizes = _meminfo(root / "proc/meminfo") if len(ids) == 1 else _meminfo(path / "meminfo")
        total, free = sizes.get("MemTotal", 0), sizes.get("MemFree", 0)
        found.append(
            (
                "MEMORY_NODE",
                {
                    "NODE_ID": str(node),
                    "TOTAL": str(total),
                    "FREE": str(free),
                    "USED": str(max(total - free, 0)),
                    "DISTANCE": " ".join(map(str, _by_distance(path, node, ids))),
                },
            )
        )
    return found


def huge_pages(root: Path = _ROOT) -> List[Named]:
    """HUGEPAGE: how many pages of a size (KB) a node has, and how many of them are free."""
    found: List[Named] = []
    for node, path in _nodes(root):
        for size, pages in _numbered(path / "hugepages", _PAGES):
            found.append(
                (
                    "HUGEPAGE",
                    {
                        "NODE_ID": str(node),
                        "SIZE": str(size),
                        "PAGES": str(_number(pages / "nr_hugepages", 0)),
                        "FREE": str(_number(pages / "free_hugepages", 0)),
                    },
                )
            )
    return found


def text(vectors: List[Named]) -> str:
    """The vectors as a probe prints them: one a line, in the template language."""
    return "".join(
        "{} = [ {} ]\n".format(name, ", ".join('{} = "{}"'.format(*pair) for pair in vector.items()))
        for name, vector in vectors
    )


def _nodes(root: Path) -> List[Tuple[int, Path]]:
    """The nodes that are online; one, with all CPUs, where the kernel shows none."""
    found = _numbered(root / "sys/devices/system/node", _NODE)
    return found or [(0, root / "sys/devices/system/node/node0")]


def _numbered(directory: Path, name: "re.Pattern[str]") -> List[Tuple[int, Path]]:
    try:
        entries = list(directory.iterdir())
    except OSError:
        return []
    matches = ((name.fullmatch(entry.name), entry) for entry in entries)
    return sorted((int(match.group(1)), entry) for match, entry in matches if match)


def _cpus(node: Path, root: Path) -> List[int]:
    """The CPUs of a node that are online."""
    listed = _read(node / "cpulist")
    if listed or node.exists():
        cpus = list(ranges(listed))
    else:
        cpus = [cpu for cpu, _ in _numbered(root / "sys/devices/system/cpu", _CPU)]
    return [cpu for cpu in cpus if _number(_cpu_dir(root, cpu) / "online", 1)]


def _siblings(root: Path, cpu: int) -> Tuple[int, ...]:
    """The threads of a CPU's core; the older name of the file is the one that every kernel has."""
    return tuple(sorted(ranges(_read(_cpu_dir(root, cpu) / "topology/thread_siblings_list")))) or (cpu,)


def _cpu_dir(root: Path, cpu: int) -> Path:
    return root / "sys/devices/system/cpu" / f"cpu{cpu}"


def _by_distance(path: Path, node: int, ids: List[int]) -> List[int]:
    """All nodes, the nearest first: this one, unless its own distance says otherwise."""
    words = _read(path / "distance").split()
    if len(words) != len(ids) or not all(word.isdigit() for word in words):
        return [node] + [other for other in ids if other != node]
    far = dict(zip(ids, map(int, words)))
    return sorted(ids, key=lambda other: (far[other], other != node, other))


def _meminfo(path: Path) -> Dict[str, int]:
    """KB by name; lines of a node begin with "Node 0"."""
    sizes: Dict[str, int] = {}
    for line in _read(path).splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            sizes[name.split()[-1]] = int(words[0])
    return sizes


def ranges(listed: str) -> Iterator[int]:
    """The numbers of a list as the kernel writes it: 0-3,8,10-11."""
    for part in listed.strip().split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit():
            yield from range(int(first), int(last if last.isdigit() else first) + 1)


def _number(path: Path, default: int) -> int:
    content = _read(path).strip()
    return int(content) if content.isdigit() else default


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
