"""What a VM's document asks of Firecracker: the requests that make its microVM, in their order.

Paths are those inside of the jail: the files that a microVM has are put into its root (`/disk.0`, `/kernel`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from merope.drivers.errors import DriverError
from merope.model.template import Vector
from merope.model.vm import VM

TEMPLATES = frozenset({"C3", "T2", "T2S", "T2CL", "T2A", "V1N1", "None"})
BOOT_ARGS = "console=ttyS0 reboot=k panic=1 pci=off"
_SECOND = 1000
"""Milliseconds in which a bucket of tokens fills again: limits are per second."""
_KB = 1024
MMDS_ADDRESS = "169.254.169.254"
LOG, METRICS, VSOCK = "/log", "/metrics", "/vsock"
_FIRST_CID = 3


@dataclass(frozen=True, slots=True)
class Request:
    """A PUT to the API."""

    url: str
    body: dict[str, Any]


def requests(vm: VM, *, mmds: bool = False) -> list[Request]:
    """All that comes before the start. Raises DriverError for what a microVM cannot have."""
    made = [
        Request("/logger", {"log_path": LOG, "level": "Warning", "show_level": True}),
        Request("/metrics", {"metrics_path": METRICS}),
        Request("/machine-config", _machine(vm)),
        Request("/boot-source", _boot_source(vm)),
    ]
    root = root_disk(vm)
    made += [Request(f"/drives/{drive_id(disk)}", _drive(disk, disk is root)) for disk in disks(vm)]
    nics = vm.template.vectors("NIC")
    made += [Request(f"/network-interfaces/{interface_id(nic)}", _interface(nic)) for nic in nics]
    if vm.template.get("VSOCK").upper() == "YES" or vm.user_template.get("VSOCK").upper() == "YES":
        made.append(Request("/vsock", {"guest_cid": vm.id + _FIRST_CID, "uds_path": VSOCK}))
    context = vm.template.vector("CONTEXT")
    if mmds and context is not None and nics:
        names = [interface_id(nic) for nic in nics]
        config = {"version": "V2", "ipv4_address": MMDS_ADDRESS, "network_interfaces": names}
        made += [Request("/mmds/config", config), Request("/mmds", metadata(context))]
    return _with_raw(vm, made)


def metadata(context: Mapping[str, str]) -> dict[str, Any]:
    """CONTEXT as the metadata service shows it: latest/context/<NAME>."""
    return {"latest": {"context": dict(sorted(context.items()))}}


def disks(vm: VM) -> list[Vector]:
    """The disks of a VM, and its CONTEXT as one of them, in the order of their ids."""
    found = [disk for disk in vm.template.vectors("DISK") if disk.get("DISK_ID")]
    context = vm.template.vector("CONTEXT")
    if context is not None and context.get("DISK_ID"):
        found.append(Vector({"DISK_ID": context["DISK_ID"], "READONLY": "YES", "TYPE": "CDROM"}))
    return sorted(found, key=lambda disk: int(disk["DISK_ID"]))


def root_disk(vm: VM) -> Vector | None:
    """The one that OS/BOOT names (`disk2`), else the first. With an initrd and OS/ROOT there may be none."""
    system = vm.template.vector("OS") or Vector()
    wanted = next((word.strip()[4:] for word in system.get("BOOT", "").split(",") if "disk" in word), "")
    found = [disk for disk in disks(vm) if disk.get("TYPE", "").upper() != "CDROM"]
    return next((disk for disk in found if disk["DISK_ID"] == wanted), found[0] if found else None)


def drive_id(disk: Mapping[str, str]) -> str:
    """Ids have letters, digits and underscores only."""
    return f"disk_{int(disk['DISK_ID'])}"


def interface_id(nic: Mapping[str, str]) -> str:
    return f"eth{int(nic['NIC_ID'])}"


def has_initrd(vm: VM) -> bool:
    return any(each.get("INITRD") or each.get("INITRD_DS_SOURCE") for each in vm.template.vectors("OS"))


def _machine(vm: VM) -> dict[str, Any]:
    memory, vcpus = int(vm.template.get("MEMORY") or 128), int(vm.template.get("VCPU") or 1)
    if not 1 <= vcpus <= 32:
        raise DriverError(f"VCPU is {vcpus}: a microVM has between 1 and 32")
    machine: dict[str, Any] = {"vcpu_count": vcpus, "mem_size_mib": memory, "smt": False}
    model = (vm.template.vector("CPU_MODEL") or Vector()).get("MODEL", "")
    if model and model != "host-passthrough":
        if model not in TEMPLATES:
            names = ", ".join(sorted(TEMPLATES))
            raise DriverError(f"CPU_MODEL/MODEL is {model!r}: Firecracker has the CPU templates {names}")
        machine["cpu_template"] = model
    topology = vm.template.vector("TOPOLOGY") or Vector()
    if topology.get("THREADS", "1").isdecimal() and int(topology.get("THREADS", "1")) > 1:
        machine["smt"] = True
    if topology.get("HUGEPAGE_SIZE") == "2":
        machine["huge_pages"] = "2M"
    return machine


def _boot_source(vm: VM) -> dict[str, Any]:
    system = vm.template.vector("OS") or Vector()
    if not (system.get("KERNEL") or system.get("KERNEL_DS_SOURCE")):
        raise DriverError('a microVM needs a kernel: OS = [ KERNEL_DS = "$FILE[IMAGE_ID=…]" ]')
    arguments = system.get("KERNEL_CMD") or BOOT_ARGS
    if system.get("ROOT"):
        arguments += f" root=/dev/{system['ROOT'].removeprefix('/dev/')}"
    source: dict[str, Any] = {"kernel_image_path": "/kernel", "boot_args": arguments}
    if has_initrd(vm):
        source["initrd_path"] = "/initrd"
    return source


def _drive(disk: Vector, is_root: bool) -> dict[str, Any]:
    number = int(disk["DISK_ID"])
    kind = disk.get("DRIVER") or disk.get("FORMAT") or "raw"
    if kind != "raw":
        raise DriverError(f"disk {number} is {kind}: Firecracker reads raw images only")
    readonly = disk.get("READONLY", "").upper() == "YES" or disk.get("TYPE", "").upper() == "CDROM"
    drive: dict[str, Any] = {
        "drive_id": drive_id(disk),
        "path_on_host": f"/disk.{number}",
        "is_root_device": is_root,
        "is_read_only": readonly,
    }
    if disk.get("CACHE", "").lower() in ("writeback", "writethrough"):
        drive["cache_type"] = "Writeback"
    limiter = {
        name: bucket
        for name, bucket in (("bandwidth", _rate(disk, "BYTES")), ("ops", _rate(disk, "IOPS")))
        if bucket is not None
    }
    return {**drive, "rate_limiter": limiter} if limiter else drive


def _rate(disk: Mapping[str, str], unit: str) -> dict[str, int] | None:
    """One limit for reads and writes together: TOTAL, else the sum of both."""

    def value(suffix: str) -> int:
        total = int(disk.get(f"TOTAL_{unit}_SEC{suffix}") or 0)
        parts = (int(disk.get(f"{way}_{unit}_SEC{suffix}") or 0) for way in ("READ", "WRITE"))
        return total or sum(parts)

    return _bucket(value(""), max(value("_MAX") - value(""), 0))


def _bucket(size: int, burst: int) -> dict[str, int] | None:
    if size <= 0:
        return None
    bucket = {"size": size, "refill_time": _SECOND}
    return {**bucket, "one_time_burst": burst} if burst > 0 else bucket


def _interface(nic: Vector) -> dict[str, Any]:
    """Rates are KB/s, bursts KB; `rx` is what the guest receives."""
    if not nic.get("TARGET") or not nic.get("MAC"):
        raise DriverError(f"NIC {nic.get('NIC_ID', '')} has no TARGET or no MAC, which microVMs need")
    interface: dict[str, Any] = {
        "iface_id": interface_id(nic),
        "host_dev_name": nic["TARGET"],
        "guest_mac": nic["MAC"],
    }
    for key, way in (("rx_rate_limiter", "INBOUND"), ("tx_rate_limiter", "OUTBOUND")):
        average = int(nic.get(f"{way}_AVG_BW") or nic.get(f"{way}_PEAK_BW") or 0)
        bucket = _bucket(average * _KB, int(nic.get(f"{way}_PEAK_KB") or 0) * _KB)
        if bucket is not None:
            interface[key] = {"bandwidth": bucket}
    return interface


def _with_raw(vm: VM, made: list[Request]) -> list[Request]:
    """RAW with TYPE = firecracker: an object of what is to be merged into which request's body."""
    for raw in vm.template.vectors("RAW"):
        if raw.get("TYPE", "").lower() != "firecracker":
            continue
        try:
            wanted = json.loads(raw.get("DATA", ""))
            extra = {str(url): dict(body) for url, body in wanted.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise DriverError('RAW/DATA must be JSON such as {"machine-config": {"smt": true}}') from error
        urls = {request.url: request for request in made}
        for url, body in extra.items():
            there = urls.get(f"/{url}")
            if there is None:
                made.append(Request(f"/{url}", body))
            else:
                there.body.update(body)
    return made
