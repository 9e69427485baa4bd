"""The whole domain: who it is, its machine, its devices, and what the owner adds in RAW."""

import re
import uuid
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.domain_xml.devices import add_devices
from merope.drivers.hypervisor.domain_xml.disks import add_disks
from merope.drivers.hypervisor.domain_xml.elements import ONE_NAMESPACE, add, merge_into, parse_fragment
from merope.drivers.hypervisor.domain_xml.machine import add_machine
from merope.drivers.hypervisor.domain_xml.nics import add_nics
from merope.drivers.hypervisor.domain_xml.settings import HostTraits, Settings, built_in_defaults
from merope.model.template import Template
from merope.model.vm import VM

_OURS = re.compile(r"one-(\d+)", re.ASCII)
_UUIDS = uuid.UUID("6f0c2b1e-7a55-5c0f-9a4e-2d3f6a0b9c11")


def domain_name(vm_id: int) -> str:
    return f"one-{vm_id}"


def vm_id_of(name: str) -> int | None:
    """The VM that a domain of this name belongs to; None for a wild one."""
    match = _OURS.fullmatch(name)
    return int(match[1]) if match else None


def domain(vm: VM, system_dir: Path, host: HostTraits, defaults: Template | None = None) -> Element:
    """The domain of `vm`, whose disks are in `system_dir`; DriverError names the attribute that is wrong."""
    settings = Settings(vm, system_dir, host, built_in_defaults() if defaults is None else defaults)
    root = Element("domain", type=host.domain_type)
    _add_identity(root, settings)
    add_machine(root, settings)
    devices = add(root, "devices")
    add_disks(devices, settings)
    add_nics(devices, settings)
    add_devices(devices, settings)
    _add_raw(root, settings)
    return root


def domain_text(vm: VM, system_dir: Path, host: HostTraits, defaults: Template | None = None) -> str:
    root = domain(vm, system_dir, host, defaults)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def domain_uuid(vm: VM) -> str:
    """OS/UUID, or one that stays the VM's own from one deployment to the next and is no other cloud's."""
    os = vm.template.vector("OS")
    given = os.get("UUID", "") if os is not None else ""
    try:
        return str(uuid.UUID(given) if given else uuid.uuid5(_UUIDS, f"{vm.id}/{vm.stime}"))
    except ValueError:
        raise DriverError(f"VM {vm.id}: OS/UUID is '{given}', a UUID was expected") from None


def _add_identity(root: Element, settings: Settings) -> None:
    """The name, the UUID, and who owns it."""
    vm = settings.vm
    add(root, "name", domain_name(vm.id))
    add(root, "uuid", domain_uuid(vm))
    facts = add(add(root, "metadata"), f"{{{ONE_NAMESPACE}}}vm")
    for name, value in (
        ("id", str(vm.id)),
        ("system_datastore", str(settings.system_dir)),
        ("name", vm.name),
        ("uname", vm.uname),
        ("uid", str(vm.uid)),
        ("gname", vm.gname),
        ("gid", str(vm.gid)),
    ):
        add(facts, f"{{{ONE_NAMESPACE}}}{name}", value)


def _add_raw(root: Element, settings: Settings) -> None:
    for raw in settings.vm.template.vectors("RAW"):
        if raw.get("TYPE", "").upper() == "KVM":
            merge_into(root, parse_fragment(raw.get("DATA", ""), f"VM {settings.vm.id}: RAW/DATA"))
