"""Security groups on a host: chains of iptables and ip6tables, changed in one step for each family.

What bridges forward goes through the chain `opennebula`, from there for each NIC through `one-<vm>-<nic>-i`
(to the guest) and `-o` (from it); the names are those of 5.12, whose chains are taken over. A packet that a
NIC's chain lets pass returns, and is accepted when every NIC that it concerns has let it pass. The rules are
written as `iptables -S` shows them, so that what is there can be compared with what is wanted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from merope.drivers.network.packet_rules import Allowed, Protocol, Way
from merope.drivers.network.tool import Tool

TOP = "opennebula"
FAMILIES = {4: "iptables", 6: "ip6tables"}

_HOOK = f"-A FORWARD -m physdev --physdev-is-bridged -j {TOP}"
_KNOWN_FLOWS = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
_CHAIN = re.compile(r"one-(\d+)-(\d+)-[io]", re.ASCII)
_FOR_NIC = re.compile(
    r"-m physdev --physdev-(?:in|out) (?P<device>\S+) --physdev-is-bridged "
    r"-j (?P<target>ACCEPT|one-\d+-\d+-[io])",
    re.ASCII,
)
_MOST_PORTS = 15
_SIDE = {Way.INBOUND: ("i", "out", "src"), Way.OUTBOUND: ("o", "in", "dst")}
"""Of the chain's name, of the bridge's port that the packet passes, of the other's address."""

_DISCOVERY = {
    Way.INBOUND: ("130", "134", "135", "136"),
    Way.OUTBOUND: ("131", "132", "133", "135", "136", "143"),
}
"""ICMPv6 types without which there is no IPv6 on a link (RFC 4861, 2710, 3810); a guest that is a router
needs a rule for what routers say."""

Chains = dict[str, tuple[str, ...]]
"""The rules of each chain, without its name."""


@dataclass(frozen=True, slots=True)
class State:
    """What a host has of ours in one family: `devices` are the bridge's port of each chain."""

    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    """Rules of `opennebula` that are not ours, which stay behind ours."""
    top: tuple[str, ...] = ()
    hooked: bool = False

    def with_nics(
        self, chains: Mapping[str, tuple[str, ...]], devices: Mapping[str, str], gone: set[str]
    ) -> "State":
        """What is wanted when these chains are put and `gone` are removed."""
        kept = {name: rules for name, rules in self.chains.items() if name not in gone} | dict(chains)
        ports = {name: port for name, port in self.devices.items() if name in kept} | dict(devices)
        top = tuple(_top(ports, self.others)) if ports else self.others
        return State(kept, ports, self.others, top, hooked=bool(top))


def chain_name(vm_id: int, nic_id: int, way: Way) -> str:
    return f"one-{vm_id}-{nic_id}-{_SIDE[way][0]}"


def nic_chains(vm_id: int, nic_id: int, rules: Sequence[Allowed], family: int) -> Chains:
    """The two chains of a NIC."""
    found: Chains = {}
    for way in Way:
        lines = [f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN" for kind in _DISCOVERY[way]]
        passing = [each for each in rules if each.way is way and family in each.families]
        found[chain_name(vm_id, nic_id, way)] = (
            *(lines if family == 6 else ()),
            *(line for each in passing for line in _lines(each, family)),
            "-j DROP",
        )
    return found


def _lines(each: Allowed, family: int) -> Iterator[str]:
    span = f"-m iprange --{_SIDE[each.way][2]}-range {each.span}" if each.span is not None else ""
    for protocol, match in _matches(each, family):
        yield " ".join(filter(None, (protocol, span, match, "-j RETURN")))


def _matches(each: Allowed, family: int) -> Iterator[tuple[str, str]]:
    if each.protocol is Protocol.ALL:
        yield "", ""
    elif each.protocol is Protocol.IPSEC:
        yield "-p udp", "-m multiport --dports 500,4500"
        yield "-p esp", ""
        yield ("-p ah", "") if family == 4 else ("", "-m ah")
    elif each.protocol is Protocol.ICMP:
        yield "-p icmp", f"-m icmp --icmp-type {each.icmp_type}" if each.icmp_type else ""
    elif each.protocol is Protocol.ICMPV6:
        yield "-p ipv6-icmp", f"-m icmp6 --icmpv6-type {each.icmp_type}" if each.icmp_type else ""
    else:
        for ports in _grouped(each.ports) or [""]:
            yield f"-p {each.protocol.value.lower()}", f"-m multiport --dports {ports}" if ports else ""


def _grouped(ports: Sequence[str]) -> list[str]:
    """Lists that one rule takes: 15 ports, where first:last count as two."""
    groups: list[list[str]] = []
    room = 0
    for port in ports:
        size = 1 + (":" in port)
        if size > room:
            groups.append([])
            room = _MOST_PORTS
        groups[-1].append(port)
        room -= size
    return [",".join(group) for group in groups]


def _top(devices: Mapping[str, str], others: Sequence[str]) -> Iterator[str]:
    yield _KNOWN_FLOWS
    nics = sorted(devices.items(), key=lambda entry: _place(entry[0]))
    ports = {
        name: f"-m physdev --physdev-{_port(name)} {device} --physdev-is-bridged" for name, device in nics
    }
    yield from (f"{port} -j {name}" for name, port in ports.items())
    yield from (f"{port} -j ACCEPT" for port in ports.values())
    yield from others


def _port(chain: str) -> str:
    return "out" if chain.endswith("-i") else "in"


def _place(chain: str) -> tuple[int, int, str]:
    match = _CHAIN.fullmatch(chain)
    assert match is not None
    return int(match[1]), int(match[2]), chain


def read(tool: Tool, family: int) -> State:
    """What the host has."""
    return parsed(tool([FAMILIES[family], "-w", "-S"]))


def parsed(listing: str) -> State:
    """What `iptables -S` shows."""
    chains: dict[str, list[str]] = {}
    top: list[str] = []
    hooked = False
    for line in listing.splitlines():
        command, _, rest = line.partition(" ")
        name, _, rule = rest.partition(" ")
        if command == "-N" and _CHAIN.fullmatch(name):
            chains.setdefault(name, [])
        elif command == "-A" and name == TOP:
            top.append(rule)
        elif command == "-A" and name in chains:
            chains[name].append(rule)
        elif line == _HOOK:
            hooked = True
    ours = [match for rule in top if (match := _FOR_NIC.fullmatch(rule))]
    devices = {match["target"]: match["device"] for match in ours if match["target"] in chains}
    others = tuple(rule for rule in top if rule != _KNOWN_FLOWS and not _FOR_NIC.fullmatch(rule))
    return State({name: tuple(rules) for name, rules in chains.items()}, devices, others, tuple(top), hooked)


def transaction(present: State, wanted: State) -> str:
    """The input of `iptables-restore --noflush` that makes one of the other, in one step; empty for none."""
    gone = sorted(set(present.chains) - set(wanted.chains))
    changed = [name for name in sorted(wanted.chains) if wanted.chains[name] != present.chains.get(name)]
    written: dict[str, tuple[str, ...]] = {name: wanted.chains[name] for name in changed}
    if wanted.top != present.top:
        written[TOP] = wanted.top
    removed = [*gone, TOP] if present.top and not wanted.top else gone
    lines = [f":{name} - [0:0]" for name in {**written, **dict.fromkeys(removed)}]
    lines += [f"-A {name} {rule}" for name, rules in written.items() for rule in rules]
    if wanted.hooked and not present.hooked:
        lines.append(_HOOK.replace("-A FORWARD", "-I FORWARD"))
    if present.hooked and not wanted.hooked:
        lines.append(_HOOK.replace("-A ", "-D ", 1))
    lines += [f"-X {name}" for name in removed]
    return "\n".join(["*filter", *lines, "COMMIT", ""]) if lines else ""


def write(tool: Tool, family: int, text: str) -> None:
    tool([f"{FAMILIES[family]}-restore", "-w", "--noflush"], text)


def shown(state: State) -> list[str]:
    """The rules as `iptables -S` shows them, for people."""
    hook = [_HOOK] if state.hooked else []
    rules = [f"-A {TOP} {rule}" for rule in state.top]
    return (
        hook + rules + [f"-A {name} {rule}" for name in sorted(state.chains) for rule in state.chains[name]]
    )
