"""The machine itself: memory, processors and how they are pinned, what it boots, features, clock."""

from itertools import chain
from xml.etree.ElementTree import Element

from merope.drivers.hypervisor.domain_xml.elements import add, parse_fragment
from merope.drivers.hypervisor.domain_xml.settings import Settings
from merope.model.template import Vector

_BOOT_DEVICES = {"HD", "FD", "CDROM", "NETWORK"}
_PINNED = {"THREAD", "CORE", "SHARED"}


def add_machine(root: Element, settings: Settings) -> None:
    memory = settings.integer(settings.vm.template.get("MEMORY"), "MEMORY", least=1)
    add(root, "memory", str(memory * 1024), unit="KiB")
    vcpus = settings.integer(settings.single("VCPU"), "VCPU", least=1)
    add(root, "vcpu", str(vcpus))
    _add_cpu_shares(root, settings)
    _add_pinning(root, settings)
    _add_os(root, settings)
    _add_features(root, settings)
    _add_cpu(root, settings, vcpus)


def _add_cpu_shares(root: Element, settings: Settings) -> None:
    """CPU is a weight, not a limit: a VM of 0.5 gets half of what a VM of 1 gets when all want it."""
    text = settings.single("CPU")
    if not text:
        return
    least, most = settings.host.share_limits
    shares = round(settings.decimal(text, "CPU") * settings.host.shares_per_cpu)
    add(add(root, "cputune"), "shares", str(min(max(shares, least), most)))


def _add_os(root: Element, settings: Settings) -> None:
    bootloader = settings.get("OS", "BOOTLOADER")
    if bootloader:
        add(root, "bootloader", bootloader)
    os = add(root, "os")
    add(os, "type", "hvm", arch=settings.get("OS", "ARCH"), machine=settings.get("OS", "MACHINE"))
    _add_firmware(os, settings)
    kernel = _boot_file(settings, "KERNEL", "kernel")
    if kernel:
        add(os, "kernel", kernel)
        initrd = _boot_file(settings, "INITRD", "initrd")
        if initrd:
            add(os, "initrd", initrd)
        command_line = _command_line(settings)
        if command_line:
            add(os, "cmdline", command_line)
    if not _has_device_order(settings):
        for name in filter(None, settings.get("OS", "BOOT").replace(" ", "").split(",")):
            if name.upper() in _BOOT_DEVICES:
                add(os, "boot", dev=name.lower())


def _add_firmware(os: Element, settings: Settings) -> None:
    """OS/FIRMWARE: UEFI lets libvirt choose what the host has; a path is a firmware of the host's.

    Its variables are beside the disks, and go where they go.
    """
    wanted = settings.get("OS", "FIRMWARE")
    if not wanted or wanted.upper() == "BIOS":
        return
    secure = settings.get("OS", "FIRMWARE_SECURE").upper() == "YES"
    if wanted.upper() == "UEFI":
        os.set("firmware", "efi")
        features = add(os, "firmware")
        add(features, "feature", enabled="yes" if secure else "no", name="secure-boot")
    elif wanted.startswith("/"):
        loader = add(os, "loader", wanted, readonly="yes", type="pflash")
        if secure:
            loader.set("secure", "yes")
    else:
        raise settings.error(f"OS/FIRMWARE is '{wanted}', expected BIOS, UEFI or the path of a firmware")
    add(os, "nvram", str(settings.system_dir / "nvram"))


def _boot_file(settings: Settings, key: str, name: str) -> str:
    """A file that came as an image (KEY_DS) lies beside the disks; a path is the host's own."""
    if settings.get("OS", f"{key}_DS"):
        return str(settings.system_dir / name)
    return settings.get("OS", key)


def _command_line(settings: Settings) -> str:
    root = settings.get("OS", "ROOT")
    if root and not root.startswith("/") and "=" not in root:
        root = f"/dev/{root}"
    return " ".join(filter(None, (root and f"root={root}", settings.get("OS", "KERNEL_CMD"))))


def _has_device_order(settings: Settings) -> bool:
    """libvirt takes an order on the devices or a list of kinds, not both."""
    template = settings.vm.template
    return any(item.get("ORDER") for item in chain(template.vectors("DISK"), template.vectors("NIC")))


def _add_features(root: Element, settings: Settings) -> None:
    features = add(root, "features")
    for key in ("PAE", "ACPI", "APIC"):
        if settings.flag("FEATURES", key):
            add(features, key.lower())
    hyperv = settings.flag("FEATURES", "HYPERV")
    if hyperv:
        options = settings.single("HYPERV_OPTIONS")
        add(features, "hyperv").extend(parse_fragment(options, f"VM {settings.vm.id}: HYPERV_OPTIONS"))
    local = settings.flag("FEATURES", "LOCALTIME")
    if local or hyperv:
        clock = add(root, "clock", offset="localtime" if local else "utc")
        if hyperv:
            add(clock, "timer", name="hypervclock", present="yes")


def _add_cpu(root: Element, settings: Settings, vcpus: int) -> None:
    model = settings.get("CPU_MODEL", "MODEL")
    topology = settings.vm.template.vector("TOPOLOGY")
    nodes = settings.vm.template.vectors("NUMA_NODE")
    if not (model or topology or nodes):
        return
    cpu = add(root, "cpu")
    if model == "host-passthrough":
        # There is no host CPU to pass through under emulation: the nearest is all that the emulator can do.
        cpu.set("mode", "maximum" if settings.host.emulated else "host-passthrough")
    elif model in ("host-model", "maximum"):
        cpu.set("mode", model)
    elif model:
        cpu.set("mode", "custom")
        cpu.set("match", "exact")
        add(cpu, "model", model, fallback="allow")
    if topology is not None:
        _add_topology(cpu, settings, topology, vcpus)
    if nodes:
        _add_numa_cells(cpu, settings, nodes)


def _add_topology(cpu: Element, settings: Settings, topology: Vector, vcpus: int) -> None:
    """What is left open follows from VCPU: SOCKETS × CORES × THREADS is always the number of vCPUs."""
    given = {
        key: settings.integer(topology[key], f"TOPOLOGY/{key}", least=1)
        for key in ("SOCKETS", "CORES", "THREADS")
        if topology.get(key)
    }
    if not given:
        return
    threads = given.get("THREADS", 1)
    if "CORES" in given:
        sockets = given.get("SOCKETS", max(1, vcpus // (given["CORES"] * threads)))
        cores = given["CORES"]
    else:
        sockets = given.get("SOCKETS", 1)
        cores = max(1, vcpus // (sockets * threads))
    if sockets * cores * threads != vcpus:
        raise settings.error(
            f"TOPOLOGY has {sockets} sockets of {cores} cores of {threads} threads, VCPU is {vcpus}"
        )
    add(cpu, "topology", sockets=str(sockets), cores=str(cores), threads=str(threads))


def _add_numa_cells(cpu: Element, settings: Settings, nodes: list[Vector]) -> None:
    access = settings.get("TOPOLOGY", "MEMORY_ACCESS")
    numa = add(cpu, "numa")
    first = 0
    for cell, node in enumerate(nodes):
        count = settings.integer(node.get("TOTAL_CPUS", ""), f"NUMA_NODE {cell}: TOTAL_CPUS", least=1)
        memory = settings.integer(node.get("MEMORY", ""), f"NUMA_NODE {cell}: MEMORY", least=1)
        add(
            numa,
            "cell",
            id=str(cell),
            cpus=f"{first}-{first + count - 1}",
            memory=str(memory),
            unit="KiB",
            memAccess=access,
        )
        first += count


def _add_pinning(root: Element, settings: Settings) -> None:
    """Places each virtual node on the host's node and CPUs that the scheduler chose (NODE_ID, CPUS)."""
    nodes = settings.vm.template.vectors("NUMA_NODE")
    _add_hugepages(root, settings, nodes)
    policy = settings.get("TOPOLOGY", "PIN_POLICY").upper()
    if policy not in _PINNED or not nodes:
        return
    tune = root.find("cputune")
    if tune is None:
        tune = add(root, "cputune")
    numatune = Element("numatune")
    first, emulator = 0, []
    for cell, node in enumerate(nodes):
        cpus = [cpu for cpu in node.get("CPUS", "").replace(" ", "").split(",") if cpu]
        count = settings.integer(node.get("TOTAL_CPUS", ""), f"NUMA_NODE {cell}: TOTAL_CPUS", least=1)
        if policy != "SHARED" and cpus and len(cpus) < count:
            raise settings.error(
                f"NUMA_NODE {cell} has {count} vCPUs, but only {len(cpus)} host CPUs in CPUS"
            )
        for index in range(count if cpus else 0):
            add(
                tune,
                "vcpupin",
                vcpu=str(first + index),
                cpuset=",".join(cpus) if policy == "SHARED" else cpus[index],
            )
        emulator += cpus
        first += count
        memory_node = node.get("MEMORY_NODE_ID") or node.get("NODE_ID")
        if memory_node:
            add(numatune, "memnode", cellid=str(cell), mode="strict", nodeset=memory_node)
    if emulator:
        add(tune, "emulatorpin", cpuset=",".join(dict.fromkeys(emulator)))
    if len(numatune):
        root.append(numatune)


def _add_hugepages(root: Element, settings: Settings, nodes: list[Vector]) -> None:
    size = settings.get("TOPOLOGY", "HUGEPAGE_SIZE")
    if not size:
        return
    settings.integer(size, "TOPOLOGY/HUGEPAGE_SIZE", least=1)
    pages = add(add(root, "memoryBacking"), "hugepages")
    cells = ",".join(str(cell) for cell in range(len(nodes)))
    add(pages, "page", size=size, unit="M", nodeset=cells)
