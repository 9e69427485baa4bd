"""What Open vSwitch is told of a NIC's port: its VLANs, and the flows that hold it to its addresses.

Source: spec templates.yaml `vnet` (VLAN_TAGGED_ID, CVLANS, QINQ_TYPE), drivers.yaml `vnm.config`.
"""

from collections.abc import Iterator, Sequence

from merope.drivers.errors import DriverError
from merope.drivers.network.nics import LAST_VLAN, device_of, has, number_of, outer_kind, vlan_ids, what
from merope.drivers.network.spoofing import addresses_of, macs_of
from merope.model.template import Vector
from merope.model.vm import VM

_COOKIE = 0x4D45
"""The upper 16 bits of the cookies of our flows."""


def cookie(vm: VM, nic: Vector) -> str:
    """By this a NIC's flows are found again."""
    return f"{_COOKIE << 48 | vm.id << 16 | int(nic['NIC_ID']):#x}"


def vlan_columns(vm: VM, nic: Vector) -> list[str]:
    """The columns of the port's row that say which VLANs it has; none: it has no VLAN of its own."""
    tag = str(number_of(vm, nic, "VLAN_ID", 0, LAST_VLAN)) if nic.get("VLAN_ID") else ""
    inner = _listed(vm, nic, "CVLANS")
    trunks = _listed(vm, nic, "VLAN_TAGGED_ID")
    if inner and not tag:
        raise DriverError(f"{what(vm, nic, 'CVLANS')} needs VLAN_ID, in which they are carried")
    columns = [f"tag={tag}"] if tag else []
    if inner:
        columns += [
            "vlan_mode=dot1q-tunnel",
            f"cvlans={inner}",
            f"other_config:qinq-ethtype={outer_kind(vm, nic, '802.1ad')}",
        ]
    elif trunks:
        columns += [f"trunks={trunks}", f"vlan_mode={'native-untagged' if tag else 'trunk'}"]
    return columns


def _listed(vm: VM, nic: Vector, attribute: str) -> str:
    return ",".join(map(str, vlan_ids(vm, nic, attribute)))


_NOBODY = "0.0.0.0"  # noqa: S104 - who has no address yet says this
_FIRST_PRIORITY = 45000

Stage = tuple[list[str], list[str]]
"""What passes, and what of the rest does not; what neither is about is for the next stage to say."""


def flows(vm: VM, nic: Vector, *, arp_always: bool) -> list[str]:
    """The flows of a NIC, without its cookie; none where its network filters nothing.

    `arp_always`: what is said by ARP is looked at even where other packets are not.
    """
    by_mac, by_ip = has(nic, "FILTER_MAC_SPOOFING"), has(nic, "FILTER_IP_SPOOFING")
    own4, own6 = addresses_of(vm, nic)
    macs = macs_of(vm, nic) if by_mac else []
    stages: list[Stage] = []
    if by_ip or by_mac or (arp_always and own4):
        said = [f"arp_spa={each}" for each in (*own4, _NOBODY)] if by_ip or (arp_always and own4) else [""]
        senders = [f"dl_src={mac},arp_sha={mac}" for mac in macs] or [""]
        stages.append((_each("arp", senders, said), ["arp"]))
    if by_ip:
        senders = [f"dl_src={mac}" for mac in macs] or [""]
        advertised = [f"ipv6_src={source},nd_target={each}" for source in own6 for each in own6]
        stages.append((_each("icmp6,icmp_type=136", senders, advertised), ["icmp6,icmp_type=136"]))
        sent = [f"udp,nw_src={_NOBODY},tp_src=68,tp_dst=67"]
        sent += [
            *(f"ip,nw_src={each}" for each in own4),
            *(f"ipv6,ipv6_src={each}" for each in (*own6, "::")),
        ]
        stages.append((_each("", senders, sent), ["ip", "ipv6"]))
    if by_mac:
        stages.append(([f"dl_src={mac}" for mac in macs], [""]))
    return list(_numbered(f'in_port="{device_of(vm, nic)}"', stages))


def _each(kind: str, senders: Sequence[str], said: Sequence[str]) -> list[str]:
    return [_joined(kind, one, two) for one in senders for two in said]


def _numbered(port: str, stages: Sequence[Stage]) -> Iterator[str]:
    for number, (passing, refused) in enumerate(stages):
        priority = _FIRST_PRIORITY - 1000 * number
        for match in passing:
            yield f"{_joined(f'priority={priority}', port, match)},actions=normal"
        for match in refused:
            yield f"{_joined(f'priority={priority - 500}', port, match)},actions=drop"


def _joined(*parts: str) -> str:
    return ",".join(filter(None, parts))
