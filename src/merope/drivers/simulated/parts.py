"""The topology of a simulated host: two NUMA nodes, two threads on a core, huge pages, and PCI devices."""

NUMA = "numa"
"""What the names of simulated hosts begin with that have a topology."""

_NODES, _THREADS = 2, 2
_PAGES = {2048: 1024, 1048576: 2}
"""Huge pages of each node by their size in KB."""
#: Vendor, device, class, the names of the first two, and the node that it is attached to.
_DEVICES = (
    ("8086", "10fb", "0200", "Intel Corporation", "82599ES 10-Gigabit SFI/SFP+ Network Connection", 0),
    ("8086", "10fb", "0200", "Intel Corporation", "82599ES 10-Gigabit SFI/SFP+ Network Connection", 1),
    ("10de", "1eb8", "0302", "NVIDIA Corporation", "TU104GL [Tesla T4]", 1),
)


def topology(total_cpu: int, total_memory: int) -> tuple[tuple[str, dict[str, str]], ...]:
    """Of a host with so much CPU (percent of one CPU) and memory (KB)."""
    cores = max(total_cpu // 100 // _THREADS, _NODES)
    found: list[tuple[str, dict[str, str]]] = []
    for core in range(cores):
        node, number = divmod(core, -(-cores // _NODES))
        cpus = ",".join(str(core + thread * cores) for thread in range(_THREADS))
        found.append(("CORE", {"NODE_ID": str(node), "ID": str(number), "CPUS": cpus}))
    memory = total_memory // _NODES
    for node in range(_NODES):
        others = [other for other in range(_NODES) if other != node]
        sizes = {"TOTAL": memory, "FREE": memory - memory // 10, "USED": memory // 10}
        vector = {"NODE_ID": str(node)} | {name: str(size) for name, size in sizes.items()}
        vector["DISTANCE"] = " ".join(map(str, [node, *others]))
        found.append(("MEMORY_NODE", vector))
        for size, pages in _PAGES.items():
            figures = {"NODE_ID": node, "SIZE": size, "PAGES": pages, "FREE": pages}
            found.append(("HUGEPAGE", {name: str(figure) for name, figure in figures.items()}))
    found += [("PCI", _device(index)) for index in range(len(_DEVICES))]
    return tuple(found)


def _device(index: int) -> dict[str, str]:
    vendor, device, kind, vendor_name, device_name, node = _DEVICES[index]
    slot = f"{index:02x}"
    return {
        "TYPE": f"{vendor}:{device}:{kind}",
        "VENDOR": vendor,
        "VENDOR_NAME": vendor_name,
        "DEVICE": device,
        "DEVICE_NAME": device_name,
        "CLASS": kind,
        "CLASS_NAME": {"0200": "Ethernet controller", "0302": "3D controller"}[kind],
        "ADDRESS": f"0000:81:{slot}:0",
        "SHORT_ADDRESS": f"81:{slot}.0",
        "DOMAIN": "0000",
        "BUS": "81",
        "SLOT": slot,
        "FUNCTION": "0",
        "NUMA_NODE": str(node),
    }
