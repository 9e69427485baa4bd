"""What drivers read of a VM's network interfaces. A wrong value is a DriverError that names VM and NIC."""

import re

from merope.drivers.errors import DriverError
from merope.drivers.network.ip_link import checked_name
from merope.model.template import Vector
from merope.model.vm import VM

LAST_VLAN = 4095
_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)
_QINQ = ("802.1q", "802.1ad")
_LEAST_MTU, _MOST_MTU = 68, 65535


def nics_of(vm: VM, vn_mad: str, nic_id: int | None = None) -> list[Vector]:
    """The NICs of a driver, or the one of that NIC_ID when it is of this driver."""
    ours = (nic for nic in vm.template.vectors("NIC") if nic.get("VN_MAD", "").lower() == vn_mad.lower())
    return [nic for nic in ours if nic_id is None or nic.get("NIC_ID") == str(nic_id)]


def aliases_of(vm: VM, nic: Vector) -> list[Vector]:
    """The further addresses of a NIC."""
    number = nic.get("NIC_ID")
    return [alias for alias in vm.template.vectors("NIC_ALIAS") if alias.get("PARENT_ID") == number]


def what(vm: VM, nic: Vector, attribute: str) -> str:
    return f"VM {vm.id}: {attribute} of NIC {nic.get('NIC_ID', '')}"


def bridge_of(vm: VM, nic: Vector) -> str:
    return checked_name(nic.get("BRIDGE", ""), what(vm, nic, "BRIDGE"))


def phydev_of(vm: VM, nic: Vector) -> str:
    """Empty when the network has no physical device."""
    phydev = nic.get("PHYDEV", "")
    return checked_name(phydev, what(vm, nic, "PHYDEV")) if phydev else ""


def device_of(vm: VM, nic: Vector) -> str:
    """The name of the host's end of the NIC."""
    default = f"one-{vm.id}-{nic.get('NIC_ID', '')}"
    return checked_name(nic.get("TARGET") or default, what(vm, nic, "TARGET"))


def mtu_of(vm: VM, nic: Vector) -> int:
    """0 when the network leaves it open."""
    return number_of(vm, nic, "MTU", _LEAST_MTU, _MOST_MTU) if nic.get("MTU") else 0


def number_of(vm: VM, nic: Vector, attribute: str, least: int, most: int) -> int:
    text = nic.get(attribute, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most))) or not (
        least <= int(text) <= most
    ):
        raise DriverError(f"{what(vm, nic, attribute)} is '{text}', expected {least} to {most}")
    return int(text)


def has(nic: Vector, flag: str) -> bool:
    return nic.get(flag, "").upper() == "YES"


def vlan_ids(vm: VM, nic: Vector, attribute: str) -> list[int]:
    """A list of VLAN ids and of first-last, each id by itself."""
    found: set[int] = set()
    for word in filter(None, (word.strip() for word in nic.get(attribute, "").split(","))):
        match = _RANGE.fullmatch(word)
        first = int(match[1]) if match else LAST_VLAN + 1
        last = int(match[2] or first) if match else first
        if not first <= last <= LAST_VLAN:
            raise DriverError(
                f"{what(vm, nic, attribute)} has '{word}', expected 0 to {LAST_VLAN}, or first-last"
            )
        found |= set(range(first, last + 1))
    return sorted(found)


def outer_kind(vm: VM, nic: Vector, default: str) -> str:
    """The protocol of the tag around a guest's own: QINQ_TYPE."""
    kind = nic.get("QINQ_TYPE", "").lower() or default
    if kind not in _QINQ:
        raise DriverError(f"{what(vm, nic, 'QINQ_TYPE')} is '{kind}', expected {' or '.join(_QINQ)}")
    return kind
