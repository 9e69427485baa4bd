"""TOPOLOGY, NUMA_NODE and PCI of a VM: checked, and completed with what follows from them.

Source: spec scheduler.yaml `numa.errors`, `numa.threads`; templates.yaml `TOPOLOGY`, `NUMA_NODE`, `PCI`;
EU report D3.1 (SR2.6).
"""

from merope.core import vm_requests
from merope.model import pci, pinning
from merope.model.errors import ApiError, Code
from merope.model.template import Template, Vector

MOST_NODES = 128
"""NUMA nodes of one VM, as QEMU has it."""

_COUNTS = ("SOCKETS", "CORES", "THREADS", "HUGEPAGE_SIZE")
_ACCESS = ("shared", "private")
#: Where a virtual node is on a host, and was before a migration that is under way.
PLACE = ("NODE_ID", "CPUS", "MEMORY_NODE_ID")
_OURS_OF_NODE = (*PLACE, *(f"PREV_{key}" for key in PLACE))
_OURS_OF_DEVICE = (
    *(key for key in pci.GIVEN if key != "BUS"),
    *("PCI_ID VMID PREV_ADDRESS VM_ADDRESS VM_DOMAIN VM_BUS VM_SLOT VM_FUNCTION".split()),
)


def complete(template: Template) -> None:
    """Checks the topology that a new VM asks for and writes its nodes; memory of nodes is in MB before and
    in KB afterwards. Raises ApiError ALLOCATE."""
    for node in template.vectors("NUMA_NODE"):
        for key in _OURS_OF_NODE:
            node.pop(key, None)
        memory = vm_requests.whole(node.get("MEMORY", ""))
        node["MEMORY"] = str((memory or 0) * 1024)
    if len(template.values("TOPOLOGY")) > 1:
        raise _bad("Only one TOPOLOGY attribute can be defined.")
    for name in ("TOPOLOGY", "NUMA_NODE"):
        if len(template.values(name)) != len(template.vectors(name)):
            raise _bad(f"{name} must be a vector, {name} = [ … ].")
    topology = template.vector("TOPOLOGY")
    if topology is not None:
        topology.pop("AUTOMATIC", None)
        _check_words(topology)
    _derive(template, topology)


def resize(template: Template, before: Template) -> None:
    """The same for a VM whose VCPU and MEMORY have changed since `before`: nodes that shared these evenly do
    so again. Raises ApiError ALLOCATE, where the nodes that were given, or cores, do not add up any more."""
    topology = template.vector("TOPOLOGY")
    if topology is None:
        return
    forget_threads(template)
    if pinning.is_pinned(template):
        topology.pop("CORES", None)  # as many as the threads on each make necessary
    nodes = template.vectors("NUMA_NODE")
    size = (_vcpus(before) // max(len(nodes), 1), _memory(before) // max(len(nodes), 1))
    if all((node.get("TOTAL_CPUS"), node.get("MEMORY")) == tuple(map(str, size)) for node in nodes):
        template.remove("NUMA_NODE")
    _derive(template, topology)


def _check_words(topology: Vector) -> None:
    policy = topology.get("PIN_POLICY", pinning.NONE).upper()
    if policy not in pinning.POLICIES:
        allowed = f"{', '.join(pinning.POLICIES[:-1])} or {pinning.POLICIES[-1]}"
        raise _bad(f"TOPOLOGY: PIN_POLICY must be {allowed}, not {vm_requests.shown(policy)}.")
    topology["PIN_POLICY"] = policy
    for key in _COUNTS:
        if key not in topology:
            continue
        number = vm_requests.whole(topology[key].strip())
        if number is None:
            raise _bad(
                f"TOPOLOGY: {key} must be a positive integer value, not {vm_requests.shown(topology[key])}."
            )
        if number:
            topology[key] = str(number)
        else:
            del topology[key]
    access = topology.get("MEMORY_ACCESS", "")
    if access and access.lower() not in _ACCESS:
        raise _bad(f"TOPOLOGY: MEMORY_ACCESS must be shared or private, not {vm_requests.shown(access)}.")
    if access:
        topology["MEMORY_ACCESS"] = access.lower()
    if vm_requests.whole(topology.get("NODE_AFFINITY") or "0", 1 << 16) is None:
        raise _bad("TOPOLOGY: NODE_AFFINITY must be the id of a NUMA node of the host.")


def _derive(template: Template, topology: Vector | None) -> None:
    if topology is None or not pinning.is_pinned(template):
        template.remove("NUMA_NODE")
        if topology is not None:
            _check_virtual(template, topology)
        return
    template.set("CPU", str(_vcpus(template)))
    nodes = template.vectors("NUMA_NODE")
    sockets = _sockets(template, topology, len(nodes))
    if not nodes:
        _divide(template, sockets)
    else:
        _check_nodes(template, nodes)
    topology["SOCKETS"] = str(sockets)
    _derive_threads(template, topology, sockets)


def _check_virtual(template: Template, topology: Vector) -> None:
    """A topology that the guest sees, and that is no one's of the host."""
    counts = [_count(topology, key) for key in ("SOCKETS", "CORES", "THREADS")]
    if not all(counts):
        raise _bad("Non-pinned VMs with a virtual topology needs to set  SOCKETS, CORES and THREADS numbers.")
    if counts[0] * counts[1] * counts[2] != _vcpus(template):
        raise _bad("Total threads per core and socket needs to match VCPU")


def _sockets(template: Template, topology: Vector, nodes: int) -> int:
    given, vcpus = _count(topology, "SOCKETS"), _vcpus(template)
    sockets = given or max(nodes, 1)
    if max(sockets, nodes) > MOST_NODES:
        raise _bad(f"A VM has at most {MOST_NODES} NUMA nodes.")
    if vcpus % sockets == 0:
        return sockets
    if given or not nodes:
        raise _bad("VCPU is not multiple of the number of NUMA nodes")
    return 1


def _divide(template: Template, number: int) -> None:
    memory = _memory(template)
    if memory % number:
        raise _bad("MEMORY is not multiple of the number of NUMA nodes")
    for _ in range(number):
        node = Vector(TOTAL_CPUS=str(_vcpus(template) // number), MEMORY=str(memory // number))
        template.add("NUMA_NODE", node)


def _check_nodes(template: Template, nodes: list[Vector]) -> None:
    for node in nodes:
        if not vm_requests.whole(node.get("TOTAL_CPUS", "")):
            raise _bad("A NUMA_NODE must have TOTAL_CPUS greater than 0")
        if not int(node["MEMORY"]):
            raise _bad("A NUMA_NODE must have MEMORY greater than 0")
    if sum(int(node["TOTAL_CPUS"]) for node in nodes) != _vcpus(template):
        raise _bad("Total CPUS of NUMA nodes is different from VM VCPU")
    if sum(int(node["MEMORY"]) for node in nodes) != _memory(template):
        raise _bad("Total MEMORY of NUMA nodes is different from VM MEMORY")


def _derive_threads(template: Template, topology: Vector, sockets: int) -> None:
    vcpus, cores, threads = _vcpus(template), _count(topology, "CORES"), _count(topology, "THREADS")
    if cores:
        if vcpus % (cores * sockets):
            raise _bad("VCPU is not multiple of the total number of cores")
        computed = vcpus // (cores * sockets)
        if computed & (computed - 1):
            raise _bad("Computed number of threads is not power of 2")
        if threads not in (0, computed):
            raise _bad("Total threads per core and socket needs to match VCPU")
        threads = computed
    if topology["PIN_POLICY"] == pinning.CORE:
        threads = 1
    if not threads:
        return
    if threads & (threads - 1):
        raise _bad(f"TOPOLOGY: THREADS must be a power of 2, not {threads}.")
    for number, node in enumerate(template.vectors("NUMA_NODE")):
        if int(node["TOTAL_CPUS"]) % threads:
            detail = f"TOTAL_CPUS ({node['TOTAL_CPUS']}) is not multiple of THREADS ({threads})."
            raise _bad(f"NUMA_NODE {number}: {detail}")
    if vcpus % (threads * sockets):
        raise _bad("VCPU is not multiple of the total number of cores")
    set_threads(template, threads)


def set_threads(template: Template, threads: int) -> None:
    """THREADS, and the CORES that follow."""
    topology = template.vector("TOPOLOGY")
    assert topology is not None
    topology["THREADS"] = str(threads)
    topology["CORES"] = str(_vcpus(template) // (threads * max(_count(topology, "SOCKETS"), 1)))


def forget_threads(template: Template) -> None:
    """The number of threads that was chosen for a host is not what the next host must have."""
    topology = template.vector("TOPOLOGY")
    if topology is not None and topology.pop("AUTOMATIC", ""):
        topology.pop("THREADS", None)
        topology.pop("CORES", None)


def _count(topology: Vector, key: str) -> int:
    return vm_requests.whole(topology.get(key, "")) or 0


def _vcpus(template: Template) -> int:
    return vm_requests.whole(template.get("VCPU")) or 1


def _memory(template: Template) -> int:
    """KB."""
    return (vm_requests.whole(template.get("MEMORY")) or 0) * 1024


def complete_devices(template: Template, default_bus: str) -> None:
    """Numbers the PCI devices that a new VM asks for and gives them addresses in the guest: slot PCI_ID + 1
    of their bus. Raises ApiError ALLOCATE."""
    devices = template.vectors("PCI")
    if len(devices) != len(template.values("PCI")):
        raise _bad("PCI must be a vector: PCI = [ VENDOR = …, DEVICE = …, CLASS = … ].")
    if len(devices) > pci.MOST:
        raise _bad(f"A VM has at most {pci.MOST} PCI devices.")
    for number, device in enumerate(devices):
        for key in _OURS_OF_DEVICE:
            device.pop(key, None)
        given = [key for key in pci.KINDS if device.get(key)]
        if not given:
            raise _bad(f"PCI {number}: one of VENDOR, DEVICE and CLASS is needed.")
        for key in given:
            if (pci.hexadecimal(device[key]) or 0) > 0xFFFF or pci.hexadecimal(device[key]) is None:
                shown = vm_requests.shown(device[key])
                raise _bad(f"PCI {number}: {key} must be a hexadecimal number of four digits, not {shown}.")
        bus = pci.hexadecimal(device.pop("BUS", "") or default_bus)
        if bus is None or bus > 0xFF:
            raise _bad(f"PCI {number}: BUS must be a hexadecimal number of two digits.")
        device.update(
            PCI_ID=str(number),
            VM_ADDRESS=f"{bus:02x}:{number + 1:02x}.0",
            VM_DOMAIN="0x0000",
            VM_BUS=f"0x{bus:02x}",
            VM_SLOT=f"0x{number + 1:02x}",
            VM_FUNCTION="0x0",
        )


def _bad(sentence: str) -> ApiError:
    return ApiError(Code.ALLOCATE, sentence)
