"""What a VM's document asks of LXD: the configuration and the devices of its container."""

import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.domain_xml import domain_uuid
from merope.model.template import Vector
from merope.model.vm import VM

OWNER = "user.one.uuid"
"""Says whose container it is: the same for every start of a VM, another in every cloud."""
_LIMITS = {
    "limits.read": ("READ_BYTES_SEC", "TOTAL_BYTES_SEC", "B"),
    "limits.write": ("WRITE_BYTES_SEC", "TOTAL_BYTES_SEC", "B"),
}
_OPERATIONS = {
    "limits.read": ("READ_IOPS_SEC", "TOTAL_IOPS_SEC"),
    "limits.write": ("WRITE_IOPS_SEC", "TOTAL_IOPS_SEC"),
}
_SECURITY = {"LXD_SECURITY_PRIVILEGED": "security.privileged", "LXD_SECURITY_NESTING": "security.nesting"}


def instance(vm: VM, name: str, pool: str) -> dict[str, Any]:
    """The container as it is created, without its disks: the map of its ids has to be known for them."""
    profile = vm.template.get("LXD_PROFILE") or vm.user_template.get("LXD_PROFILE")
    devices = {"root": {"type": "disk", "path": "/", "pool": pool}}
    devices |= {f"eth{nic['NIC_ID']}": network(nic) for nic in vm.template.vectors("NIC")}
    return {
        "name": name,
        "type": "container",
        "source": {"type": "none"},
        "profiles": [profile] if profile else [],
        "config": _configuration(vm),
        "devices": devices,
    }


def _configuration(vm: VM) -> dict[str, str]:
    template = vm.template
    # What runs is the core's to decide: after a crash LXD would start it again by itself.
    config = {OWNER: domain_uuid(vm), "user.one.vm": str(vm.id), "boot.autostart": "false"}
    memory, cpu, vcpu = (template.get(name) for name in ("MEMORY", "CPU", "VCPU"))
    if memory:
        config["limits.memory"] = f"{int(memory)}MiB"
    if cpu:
        config["limits.cpu.allowance"] = f"{max(round(float(cpu) * 100), 1)}%"
    if vcpu:
        config["limits.cpu"] = vcpu
    for name, key in _SECURITY.items():
        value = (template.get(name) or vm.user_template.get(name)).lower()
        if value:
            config[key] = "true" if value in ("yes", "true") else "false"
    return config


def raw_lxc(vm: VM, image: Path, rootfs: Path, *, mapped: bool) -> str:
    """The root file system is the mounted image, put in its place whenever the container starts.

    LXD takes away what is mounted there before each start, so this is done by a hook that comes later.
    """
    lines = ["lxc.rootfs.options = idmap=container"] if mapped else []
    command = shlex.join(["mount", "--bind", str(image), str(rootfs)])
    lines.append(f"lxc.hook.pre-start = sh -c {shlex.quote(command)}")
    lines.append(f"lxc.hook.post-stop = sh -c {shlex.quote(shlex.join(['umount', '-l', str(rootfs)]))}")
    raw = (
        each.get("DATA", "") for each in vm.template.vectors("RAW") if each.get("TYPE", "").lower() == "lxd"
    )
    return "\n".join([*lines, *filter(None, raw)]) + "\n"


def network(nic: Vector) -> dict[str, str]:
    """Rates of NICs are KB/s; LXD wants bits."""
    if not nic.get("BRIDGE") or not nic.get("MAC"):
        raise DriverError(f"NIC {nic.get('NIC_ID', '')} has no BRIDGE or no MAC, which containers need")
    device = {
        "type": "nic",
        "nictype": "bridged",
        "parent": nic["BRIDGE"],
        "hwaddr": nic["MAC"],
        "name": f"eth{nic['NIC_ID']}",
        "host_name": nic.get("TARGET", ""),
        "mtu": nic.get("GUEST_MTU") or nic.get("MTU", ""),
    }
    for key, names in (("limits.ingress", "INBOUND"), ("limits.egress", "OUTBOUND")):
        rate = nic.get(f"{names}_AVG_BW") or nic.get(f"{names}_PEAK_BW", "")
        if rate.isdecimal() and int(rate):
            device[key] = f"{int(rate) * 8}kbit"
    return {name: value for name, value in device.items() if value}


def disk(attributes: Vector, source: Path) -> dict[str, str]:
    """Where the container sees it: TARGET where that is a path, else /media/<DISK_ID>."""
    number, target = attributes.get("DISK_ID", ""), attributes.get("TARGET", "")
    path = PurePosixPath(target if target.startswith("/") else f"/media/{number}")
    if ".." in path.parts or path == PurePosixPath("/"):
        raise DriverError(f"disk {number} cannot be mounted at {target}")
    device = {"type": "disk", "source": str(source), "path": str(path)}
    if is_readonly(attributes):
        device["readonly"] = "true"
    for key, (name, total, unit) in _LIMITS.items():
        value = attributes.get(name) or attributes.get(total, "")
        if value:
            device[key] = f"{value}{unit}"
    for key, (name, total) in _OPERATIONS.items():
        value = attributes.get(name) or attributes.get(total, "")
        if value and key not in device:
            device[key] = f"{value}iops"
    return device


def is_readonly(attributes: Mapping[str, str]) -> bool:
    return attributes.get("READONLY", "").upper() == "YES" or attributes.get("TYPE", "").upper() == "CDROM"


def file_systems(vm: VM) -> list[Vector]:
    """The disks with file systems, the root's first: the one that OS/BOOT names, else the lowest."""
    disks = [each for each in vm.template.vectors("DISK") if each.get("TYPE", "").lower() != "swap"]
    disks.sort(key=lambda each: int(each.get("DISK_ID") or 0))
    wanted = [each for system in vm.template.vectors("OS") for each in system.get("BOOT", "").split(",")]
    first = next((name.strip()[4:] for name in wanted if name.strip().startswith("disk")), "")
    disks.sort(key=lambda each: each.get("DISK_ID") != first)
    if not disks:
        raise DriverError(f"VM {vm.id} has no disk, and a container needs one for its root file system")
    return disks
