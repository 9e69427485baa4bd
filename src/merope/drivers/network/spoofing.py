"""What frames pass a NIC and whose addresses they have: a table of nftables for bridges, changed in one step.

Iptables sees no frames with a tag of a VLAN: they pass a NIC only where its network is for them (CVLANS,
VLAN_TAGGED_ID), or a guest would reach others past all groups.
Every frame that a NIC with FILTER_MAC_SPOOFING or FILTER_IP_SPOOFING sends is looked at where the bridge
takes it in, so also one for the host itself: its MAC, its IP addresses, and what it says of them by ARP and
neighbour discovery. The driver `ebtables` uses the same table for its rule about networks.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from merope.drivers.errors import DriverError
from merope.drivers.network.nics import aliases_of, has, vlan_ids, what
from merope.drivers.network.tool import Tool, is_installed
from merope.model.addresses import LINK_LOCAL, eui64, ip6_text, mac_text, parse_mac
from merope.model.template import Vector
from merope.model.vm import VM

TABLE = "merope"
_FROM, _TO = "from", "to"
"""The maps that lead from a port to the chain of what comes from it, or goes to it."""
_HOOKS = {_FROM: ("prerouting", "iifname"), _TO: ("forward", "oifname")}
_PRIORITY = -300
_ADVERTISED = "icmpv6 type nd-neighbor-advert @th,64,128"
"""The address that a neighbour says is its own, for which nft has a name only since 1.0.7."""
_NOBODY = "0.0.0.0"  # noqa: S104 - who has no address yet says this
_TAGGED, _WRAPPED = "0x8100", ("0x88a8", "0x9100", "0x8863", "0x8864")
"""Kinds of frames in which packets are hidden: VLANs, VLANs in VLANs, PPPoE."""
_SAFE_PORT = re.compile(r"[A-Za-z0-9_.-]{1,15}", re.ASCII)
_NETWORK_MASK = "ff:ff:ff:ff:ff:00"


@dataclass(frozen=True, slots=True)
class Chain:
    """`way` is from or to the guest, `port` the host's end of the NIC."""

    way: str
    port: str
    rules: tuple[str, ...] = field(compare=False)


Chains = Mapping[str, Chain]


def spoofing_chains(vm: VM, nic: Vector, port: str) -> dict[str, Chain]:
    """The chains of a NIC: of what it sends, and of what comes to it."""
    hidden = _hidden(vm, nic)
    rules = list(hidden)
    if has(nic, "FILTER_MAC_SPOOFING"):
        macs = _set(macs_of(vm, nic))
        rules += [f"ether saddr != {macs} drop", f"ether type arp arp saddr ether != {macs} drop"]
    if has(nic, "FILTER_IP_SPOOFING"):
        own4, own6 = addresses_of(vm, nic)
        rules += [
            f"ether type arp arp saddr ip != {_set([_NOBODY, *own4])} drop",
            f"ether type ip ip saddr {_NOBODY} udp sport 68 udp dport 67 accept",
            f"ether type ip ip saddr != {_set(own4)} drop" if own4 else "ether type ip drop",
            f"ether type ip6 ip6 saddr != {_set(['::', *own6])} drop",
            *(f"{_ADVERTISED} {int(IPv6Address(each)):#034x} accept" for each in own6),
            "icmpv6 type nd-neighbor-advert drop",
        ]
    name = f"one-{vm.id}-{nic['NIC_ID']}"
    return {
        f"{name}-{_FROM}": Chain(_FROM, port, tuple(rules)),
        f"{name}-{_TO}": Chain(_TO, port, tuple(hidden)),
    }


def _hidden(vm: VM, nic: Vector) -> list[str]:
    own = [*vlan_ids(vm, nic, "CVLANS"), *vlan_ids(vm, nic, "VLAN_TAGGED_ID")]
    if not own:
        return [f"ether type {_set((_TAGGED, *_WRAPPED))} drop"]
    return [
        f"ether type {_TAGGED} vlan id != {_set(map(str, sorted(set(own))))} drop",
        f"ether type {_set(_WRAPPED)} drop",
    ]


def network_chains(vm: VM, nic: Vector, port: str) -> dict[str, Chain]:
    """What `ebtables` filters: frames of another MAC, and to the guest those of other networks' MACs.

    MACs of a network have their first five bytes in common, as 5.12 has it.
    """
    (mac, *_) = macs_of(vm, nic)
    number = parse_mac(mac)
    network = mac_text(number & ~0xFF)
    names = {way: f"one-{vm.id}-{nic['NIC_ID']}-{way}" for way in (_FROM, _TO)}
    return {
        names[_FROM]: Chain(_FROM, port, (f"ether saddr != {mac} drop",)),
        names[_TO]: Chain(_TO, port, (f"ether saddr & {_NETWORK_MASK} != {network} drop",)),
    }


def macs_of(vm: VM, nic: Vector) -> list[str]:
    """The MACs that are the NIC's: its own, and the one that a router's VMs pass on."""
    found = [nic[name] for name in ("MAC", "VROUTER_MAC") if nic.get(name)]
    try:
        macs = [mac_text(parse_mac(each)) for each in found]
    except ValueError as error:
        raise DriverError(f"{what(vm, nic, 'MAC')}: {error}") from error
    if not macs:
        raise DriverError(f"{what(vm, nic, 'MAC')} is missing")
    return macs


def addresses_of(vm: VM, nic: Vector) -> tuple[list[str], list[str]]:
    """IPv4 and IPv6 addresses that are the NIC's: its own, its aliases', those that a router passes on."""
    found4: set[str] = set()
    found6 = {ip6_text(eui64(LINK_LOCAL, parse_mac(mac))) for mac in macs_of(vm, nic)}
    for each in (nic, *aliases_of(vm, nic)):
        for prefix in ("", "VROUTER_"):
            if each.get(f"{prefix}IP"):
                found4.add(_address(IPv4Address, vm, each, f"{prefix}IP"))
            for name in ("IP6", "IP6_LINK", "IP6_ULA", "IP6_GLOBAL"):
                if each.get(f"{prefix}{name}"):
                    found6.add(_address(IPv6Address, vm, each, f"{prefix}{name}"))
    return sorted(found4), sorted(found6)


def _address(kind: type[IPv4Address] | type[IPv6Address], vm: VM, nic: Vector, name: str) -> str:
    try:
        return str(kind(nic[name]))
    except AddressValueError as error:
        raise DriverError(f"{what(vm, nic, name)} is '{nic[name]}', expected an address") from error


def _set(words: Iterable[str]) -> str:
    return f"{{ {', '.join(words)} }}"


def read(tool: Tool) -> dict[str, Chain]:
    """The chains that the host has, and the ports that lead to them; rules are not read."""
    if not is_installed("nft"):
        return {}
    found: dict[str, Chain] = {}
    ports: dict[str, tuple[str, str]] = {}
    names: list[str] = []
    for entry in json.loads(tool(["nft", "-j", "list", "tables", "bridge"]) or "{}").get("nftables", ()):
        if entry.get("table", {}).get("name") == TABLE:
            break
    else:
        return {}
    for entry in json.loads(tool(["nft", "-j", "list", "table", "bridge", TABLE]))["nftables"]:
        if "chain" in entry and "hook" not in entry["chain"]:
            names.append(entry["chain"]["name"])
        for port, verdict in entry.get("map", {}).get("elem", ()):
            ports[verdict["goto"]["target"]] = (entry["map"]["name"], port)
    for name in names:
        way, port = ports.get(name, ("", ""))
        found[name] = Chain(way, port, ())
    return found


def transaction(present: Chains, put: Chains, gone: Iterable[str]) -> str:
    """The input of `nft -f -` that puts chains in place and removes others, in one step; empty for none."""
    removed = sorted((set(gone) & set(present)) - set(put))
    if not put and not removed:
        return ""
    if not put and set(removed) == set(present):
        return f"delete table bridge {TABLE}\n"
    lines = _frame()
    for name, chain in put.items():
        before = present.get(name)
        lines += [f"add chain bridge {TABLE} {name}", f"flush chain bridge {TABLE} {name}"]
        lines += [f"add rule bridge {TABLE} {name} {rule}" for rule in chain.rules]
        if before is not None and before.port and before != chain:
            lines.append(_element("delete", before, name))
        lines.append(_element("add", chain, name))
    for name in removed:
        if present[name].port:
            lines.append(_element("delete", present[name], name))
        lines += [f"flush chain bridge {TABLE} {name}", f"delete chain bridge {TABLE} {name}"]
    return "\n".join([*lines, ""])


def _frame() -> list[str]:
    """What all chains need; it is the same every time, and the rules that lead to them are there once."""
    lines = [f"add table bridge {TABLE}"]
    for way, (hook, key) in _HOOKS.items():
        lines += [
            f"add map bridge {TABLE} {way} {{ type ifname : verdict; }}",
            f"add chain bridge {TABLE} {hook} {{ type filter hook {hook} priority {_PRIORITY}; }}",
            f"flush chain bridge {TABLE} {hook}",
            f"add rule bridge {TABLE} {hook} {key} vmap @{way}",
        ]
    return lines


def _element(verb: str, chain: Chain, name: str) -> str:
    if not _SAFE_PORT.fullmatch(chain.port):
        raise DriverError(f"'{chain.port}' is no name of a link")
    verdict = f" : goto {name}" if verb == "add" else ""
    return f'{verb} element bridge {TABLE} {chain.way} {{ "{chain.port}"{verdict} }}'


def write(tool: Tool, text: str) -> None:
    tool(["nft", "-f", "-"], text)


def names_of(vm_id: int, nic_ids: Sequence[str]) -> set[str]:
    return {f"one-{vm_id}-{number}-{way}" for number in nic_ids for way in (_FROM, _TO)}
