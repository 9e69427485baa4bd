"""Disks: images, volatile disks and the context CD-ROM, wherever their bytes are."""

import re
from collections.abc import Callable
from xml.etree.ElementTree import Element

from merope.drivers.hypervisor.domain_xml.elements import add
from merope.drivers.hypervisor.domain_xml.settings import Settings
from merope.model.template import Vector

_TARGET = re.compile(r"(hd|sd|vd|xvd|fd)([a-z]{1,2})")
_BUSES = {"hd": "ide", "vd": "virtio", "xvd": "xen", "fd": "fdc"}
_LIMITS = tuple(
    f"{direction}_{unit}_SEC{kind}"
    for direction in ("TOTAL", "READ", "WRITE")
    for unit in ("BYTES", "IOPS")
    for kind in ("", "_MAX", "_MAX_LENGTH")
)


def add_disks(devices: Element, settings: Settings) -> None:
    for disk in settings.vm.template.vectors("DISK"):
        _add_disk(devices, settings, disk)
    context = settings.vm.template.vector("CONTEXT")
    if context is not None and context.get("DISK_ID"):
        _add_context(devices, settings, context)
    _add_scsi_controller(devices, settings)


def _add_disk(devices: Element, settings: Settings, disk: Vector) -> None:
    disk_id = disk.get("DISK_ID", "")
    settings.integer(disk_id, "DISK_ID of a DISK")
    kind = _kind(disk)
    cdrom = kind == "CDROM" or kind.endswith("_CDROM")
    source = _SOURCES.get(kind.removesuffix("_CDROM"))
    if source is None:
        raise settings.error(f"DISK {disk_id} has the type {kind}, which this hypervisor cannot open")
    element = add(devices, "disk", device="cdrom" if cdrom else "disk")
    add(
        element,
        "driver",
        name="qemu",
        type="raw" if cdrom else _format(settings, disk),
        cache=settings.of(disk, "DISK", "CACHE"),
        io=settings.of(disk, "DISK", "IO"),
        discard=settings.of(disk, "DISK", "DISCARD"),
    )
    source(element, settings, disk)
    _add_target(element, settings, disk.get("TARGET", ""), f"DISK {disk_id}")
    if disk.get("ORDER"):
        add(element, "boot", order=disk["ORDER"])
    if cdrom or settings.of(disk, "DISK", "READONLY").upper() == "YES":
        add(element, "readonly")
    _add_limits(element, settings, disk)


def _kind(disk: Vector) -> str:
    """Where the bytes are. A volatile disk's TYPE says what is made of it; its DISK_TYPE says where."""
    kind = disk.get("TYPE", "").upper()
    if kind in ("FS", "SWAP", ""):
        return disk.get("DISK_TYPE", "").upper() or "FILE"
    return kind


def _format(settings: Settings, disk: Vector) -> str:
    """Never guessed from the bytes: a guest that writes a qcow2 header on a raw disk would choose a file."""
    return disk.get("DRIVER") or disk.get("FORMAT") or settings.of(disk, "DISK", "DRIVER")


def _add_target(element: Element, settings: Settings, target: str, what: str) -> None:
    match = _TARGET.fullmatch(target)
    if match is None:
        raise settings.error(f"{what} has the target '{target}', expected one like vda, sda or hda")
    bus = _bus(settings, match[1])
    add(element, "target", dev=target, bus=bus)
    if bus == "scsi":
        # One drive for each target of the only controller, so that an address never depends on the others.
        add(element, "address", type="drive", controller="0", bus="0", target=str(_index(match[2])), unit="0")


def _bus(settings: Settings, prefix: str) -> str:
    if prefix == "sd":
        return settings.get("OS", "SD_DISK_BUS")
    if prefix == "hd" and "q35" in settings.get("OS", "MACHINE"):
        return "sata"  # that machine has no IDE
    return _BUSES[prefix]


def _index(letters: str) -> int:
    """a → 0, z → 25, aa → 26."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("a") + 1
    return number - 1


def _add_limits(element: Element, settings: Settings, disk: Vector) -> None:
    given = [(key, settings.of(disk, "DISK", key)) for key in _LIMITS]
    if any(value for _, value in given):
        tune = add(element, "iotune")
        for key, value in given:
            if value:
                limit = settings.integer(value, f"DISK {disk['DISK_ID']}: {key}")
                add(tune, key.lower(), str(limit))


def _add_context(devices: Element, settings: Settings, context: Vector) -> None:
    disk_id = context["DISK_ID"]
    settings.integer(disk_id, "CONTEXT/DISK_ID")
    element = add(devices, "disk", type="file", device="cdrom")
    add(element, "driver", name="qemu", type="raw", cache=settings.of(context, "DISK", "CACHE"))
    add(element, "source", file=str(settings.system_dir / f"disk.{disk_id}"))
    _add_target(element, settings, context.get("TARGET", ""), "CONTEXT")
    add(element, "readonly")


def _add_scsi_controller(devices: Element, settings: Settings) -> None:
    if all(target.get("bus") != "scsi" for target in devices.iter("target")):
        return
    controller = add(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    queues = settings.integer(
        settings.get("FEATURES", "VIRTIO_SCSI_QUEUES") or "0", "FEATURES/VIRTIO_SCSI_QUEUES"
    )
    if queues:
        add(controller, "driver", queues=str(queues))


def _file(element: Element, settings: Settings, disk: Vector) -> None:
    element.set("type", "file")
    add(element, "source", file=str(settings.system_dir / f"disk.{disk['DISK_ID']}"))


def _block(element: Element, settings: Settings, disk: Vector) -> None:
    element.set("type", "block")
    add(element, "source", dev=str(settings.system_dir / f"disk.{disk['DISK_ID']}"))


def _rbd(element: Element, settings: Settings, disk: Vector) -> None:
    source = _network_source(element, "rbd", _own_copy(settings, disk), disk.get("CEPH_HOST", ""))
    if disk.get("CEPH_USER") and disk.get("CEPH_SECRET"):
        auth = add(source, "auth", username=disk["CEPH_USER"])
        add(auth, "secret", type="ceph", uuid=disk["CEPH_SECRET"])


def _own_copy(settings: Settings, disk: Vector) -> str:
    """The name of the VM's own volume: of a volatile disk, of a clone, or the image itself."""
    suffix = f"{settings.vm.id}-{disk['DISK_ID']}"
    source = disk.get("SOURCE", "")
    if not source:
        return f"{disk.get('POOL_NAME', 'one')}/one-sys-{suffix}"
    return f"{source}-{suffix}" if disk.get("CLONE", "").upper() == "YES" else source


def _gluster(element: Element, settings: Settings, disk: Vector) -> None:
    record = settings.vm.history
    path = disk.get("SOURCE", "")
    if (disk.get("CLONE", "").upper() == "YES" or not path) and record is not None:
        path = f"{record.ds_id}/{settings.vm.id}/disk.{disk['DISK_ID']}"
    name = f"{disk.get('GLUSTER_VOLUME', '')}/{path.lstrip('/')}"
    _network_source(element, "gluster", name, disk.get("GLUSTER_HOST", ""), transport="tcp")


def _iscsi(element: Element, settings: Settings, disk: Vector) -> None:  # noqa: ARG001 - the shape of a source
    name = disk.get("ISCSI_IQN") or disk.get("SOURCE", "")
    source = _network_source(element, "iscsi", name, disk.get("ISCSI_HOST", ""))
    if disk.get("ISCSI_USER") and disk.get("ISCSI_USAGE"):
        auth = add(source, "auth", username=disk["ISCSI_USER"])
        add(auth, "secret", type="iscsi", usage=disk["ISCSI_USAGE"])


def _network_source(element: Element, protocol: str, name: str, hosts: str, transport: str = "") -> Element:
    element.set("type", "network")
    source = add(element, "source", protocol=protocol, name=name)
    for host in hosts.replace(",", " ").split():
        address, port = _host_and_port(host)
        add(source, "host", name=address, port=port, transport=transport)
    return source


def _host_and_port(text: str) -> tuple[str, str]:
    """`name`, `name:port`, `[address]:port`; a bare IPv6 address has no port."""
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        return address, rest.removeprefix(":")
    if text.count(":") == 1:
        address, _, port = text.partition(":")
        return address, port
    return text, ""


_Source = Callable[[Element, Settings, Vector], None]
_SOURCES: dict[str, _Source] = {
    "FILE": _file,
    "CDROM": _file,
    "CD_ROM": _file,
    "BLOCK": _block,
    "RBD": _rbd,
    "GLUSTER": _gluster,
    "ISCSI": _iscsi,
}
