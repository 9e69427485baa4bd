"""Links that carry one network of many over a physical device: VLANs (IEEE 802.1Q) and VXLANs (RFC 7348).

They are called after the device and the id, as in 5.12: eth1.50. Source: spec drivers.yaml `vnm.names`.
"""

import json
from ipaddress import AddressValueError, IPv4Address

from merope.drivers.errors import DriverError
from merope.drivers.network.ip_link import options, words
from merope.drivers.network.made_links import Uplink
from merope.drivers.network.nics import number_of, outer_kind, phydev_of, what
from merope.drivers.network.site import Site
from merope.model.template import Vector
from merope.model.vm import VM

_LONGEST = 15
_MAX_VLAN, _MAX_VNI = 4094, (1 << 24) - 1
_MULTICAST, _TTL = "239.0.0.0", "16"


def tagged(site: Site, vm: VM, nic: Vector) -> Uplink:
    """The VLAN of a NIC of the driver 802.1Q."""
    number = number_of(vm, nic, "VLAN_ID", 1, _MAX_VLAN)
    phydev = _phydev(vm, nic)

    def arguments() -> list[str]:
        return ["protocol", kind, "id", str(number), *words(_options(site, vm, nic))]

    kind = outer_kind(vm, nic, "802.1q")
    traits = {"id": number, "protocol": kind.replace("q", "Q")}
    return Uplink(_name(vm, nic, phydev, number), "vlan", phydev, arguments, traits)


def tunnelled(site: Site, vm: VM, nic: Vector, attribute: str = "VLAN_ID") -> Uplink:
    """The VXLAN of a NIC whose id is in `attribute`.

    Who is at the other end is found by multicast, or (VXLAN_MODE evpn) told by a routing daemon.
    """
    number = number_of(vm, nic, attribute, 1, _MAX_VNI)
    phydev = _phydev(vm, nic)

    def arguments() -> list[str]:
        own = _options(site, vm, nic)
        ttl = [] if "ttl" in own else ["ttl", site.settings.values.get("vxlan_ttl", _TTL)]
        return ["id", str(number), *_endpoint(site, vm, nic, number), *ttl, *words(own)]

    return Uplink(_name(vm, nic, phydev, number), "vxlan", phydev, arguments, {"id": number})


def _endpoint(site: Site, vm: VM, nic: Vector, number: int) -> list[str]:
    phydev = _phydev(vm, nic)
    if _chosen(site, vm, nic, "VXLAN_MODE", ("multicast", "evpn")) == "multicast":
        return ["group", _group(site, vm, nic, number), "dev", phydev]
    if _chosen(site, vm, nic, "VXLAN_TEP", ("dev", "local_ip")) == "dev":
        return ["dev", phydev, "nolearning"]
    return ["local", _address(site, vm, nic, phydev), "nolearning"]


def _phydev(vm: VM, nic: Vector) -> str:
    phydev = phydev_of(vm, nic)
    if not phydev:
        raise DriverError(f"{what(vm, nic, 'PHYDEV')} is missing; VN_MAD {nic.get('VN_MAD')} needs it")
    return phydev


def _name(vm: VM, nic: Vector, phydev: str, number: int) -> str:
    name = f"{phydev}.{number}"
    if len(name) > _LONGEST:
        raise DriverError(
            f"{what(vm, nic, 'PHYDEV')}: the link {name} would have more than {_LONGEST} characters, which "
            "no kernel takes; give the device a shorter name, or the network a smaller id"
        )
    return name


def _options(site: Site, vm: VM, nic: Vector) -> dict[str, str]:
    own = options(nic.get("IP_LINK_CONF", ""), what(vm, nic, "IP_LINK_CONF"))
    return site.settings.options("ip_link_conf") | own


def _setting(site: Site, vm: VM, nic: Vector, name: str) -> str:
    """What the NIC, the CONF of its network or the host says, in this order."""
    conf = options(nic.get("CONF", ""), what(vm, nic, "CONF"))
    return nic.get(name) or conf.get(name.lower()) or site.settings.values.get(name.lower(), "")


def _chosen(site: Site, vm: VM, nic: Vector, name: str, allowed: tuple[str, ...]) -> str:
    value = _setting(site, vm, nic, name).lower() or allowed[0]
    if value not in allowed:
        raise DriverError(f"{what(vm, nic, name)} is '{value}', expected {' or '.join(allowed)}")
    return value


def _group(site: Site, vm: VM, nic: Vector, number: int) -> str:
    text = _setting(site, vm, nic, "VXLAN_MC") or _MULTICAST
    try:
        group = IPv4Address(int(IPv4Address(text)) + number)
    except (AddressValueError, ValueError) as error:
        raise DriverError(f"{what(vm, nic, 'VXLAN_MC')} is '{text}', expected an IPv4 address") from error
    if not group.is_multicast:
        raise DriverError(f"{what(vm, nic, 'VXLAN_MC')} is '{text}', and {group} is no multicast address")
    return str(group)


def _address(site: Site, vm: VM, nic: Vector, phydev: str) -> str:
    entries = json.loads(site.ip(["-j", "-4", "address", "show", "dev", phydev]) or "[]")
    for entry in entries:
        for address in entry.get("addr_info", ()):
            return str(address["local"])
    raise DriverError(f"{what(vm, nic, 'VXLAN_TEP')} is local_ip, and {phydev} has no IPv4 address")
