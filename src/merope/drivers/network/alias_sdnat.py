"""Addresses from outside for guests that have private ones: the driver `alias_sdnat` of networks of aliases.

What comes to an external alias' address is led to the address of the alias' NIC, and what that sends beyond
its bridge leaves with the alias' address; the guest knows nothing of it. The rules are in two chains of the
host's nat table, changed in one step, each with the alias in its comment. That the address comes to this
host, and that it forwards, is the site's to arrange. Source: seed 000, 9.4.5 (NAT mapping for aliased NICs).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from merope.drivers.errors import DriverError
from merope.drivers.network.nics import has, what
from merope.drivers.network.packet_filter import locked
from merope.drivers.network.site import Site
from merope.drivers.network.tool import is_installed
from merope.model.template import Vector
from merope.model.vm import VM

VN_MAD = "alias_sdnat"
_IN, _OUT = "one-sdnat-in", "one-sdnat-out"
_HOOKS = {"PREROUTING": _IN, "OUTPUT": _IN, "POSTROUTING": _OUT}
_OWNER = re.compile(r"--comment \"?one-(\d+)-(\d+)\"?", re.ASCII)
_WAIT = "-w"

Rules = dict[str, list[str]]
"""Of each chain."""


@dataclass(frozen=True, slots=True)
class _State:
    rules: Rules
    hooks: frozenset[str]


class AliasNat:
    """The NetworkDriver of one host for aliases whose VN_MAD is `alias_sdnat` and that are EXTERNAL."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @classmethod
    def of_site(cls, site: Site) -> "AliasNat":
        return cls(site)

    def pre(self, vm: VM, nic_id: int | None = None) -> None:
        """Nothing: an alias is no interface, and its NIC's network prepares that."""

    def post(self, vm: VM, deploy_id: str, nic_id: int | None = None) -> None:  # noqa: ARG002 - not its name
        aliases = _aliases(vm, nic_id)
        if aliases:
            self._change(vm, aliases, [rule for alias in aliases for rule in _rules(vm, alias)])

    def update(self, vm: VM, deploy_id: str, security_group: int) -> None:
        """Nothing: groups filter at the NIC."""

    def clean(self, vm: VM, nic_id: int | None = None) -> None:
        aliases = _aliases(vm, nic_id)
        if aliases and is_installed("iptables"):
            self._change(vm, aliases, [])

    def _change(self, vm: VM, aliases: Sequence[Vector], put: Sequence[tuple[str, str]]) -> None:
        with locked(self._site):
            present = self._read()
            numbers = {(str(vm.id), alias["NIC_ID"]) for alias in aliases}
            wanted = {
                chain: [rule for rule in rules if _owner(rule) not in numbers]
                + [rule for of, rule in put if of == chain]
                for chain, rules in present.rules.items()
            }
            text = _transaction(present, {chain: sorted(rules) for chain, rules in wanted.items()})
            if text:
                self._site.tool(["iptables-restore", _WAIT, "--noflush"], text)

    def _read(self) -> _State:
        rules: Rules = {_IN: [], _OUT: []}
        hooks = set()
        for line in self._site.tool(["iptables", _WAIT, "-t", "nat", "-S"]).splitlines():
            command, _, rest = line.partition(" ")
            name, _, rule = rest.partition(" ")
            if command == "-A" and name in rules:
                rules[name].append(rule)
            elif command == "-A" and rule == f"-j {_HOOKS.get(name, '')}":
                hooks.add(name)
        return _State(rules, frozenset(hooks))


def _aliases(vm: VM, nic_id: int | None) -> list[Vector]:
    ours = [
        alias
        for alias in vm.template.vectors("NIC_ALIAS")
        if alias.get("VN_MAD", "").lower() == VN_MAD and has(alias, "EXTERNAL")
    ]
    return [alias for alias in ours if nic_id is None or alias.get("NIC_ID") == str(nic_id)]


def _rules(vm: VM, alias: Vector) -> Iterator[tuple[str, str]]:
    """Chain and rule, as `iptables -S` shows it."""
    nics = vm.template.vectors("NIC")
    parent = next((nic for nic in nics if nic.get("NIC_ID") == alias.get("PARENT_ID")), None)
    if parent is None:
        raise DriverError(
            f"{what(vm, alias, 'PARENT_ID')} is '{alias.get('PARENT_ID', '')}', which is no NIC"
        )
    outside, inside = _address(vm, alias), _address(vm, parent)
    comment = f"-m comment --comment one-{vm.id}-{int(alias['NIC_ID'])}"
    yield _IN, f"-d {outside}/32 {comment} -j DNAT --to-destination {inside}"
    # What the bridge forwards between guests has an address that all of them know.
    bridged = "-m physdev ! --physdev-is-bridged"
    yield _OUT, f"-s {inside}/32 {bridged} {comment} -j SNAT --to-source {outside}"


def _address(vm: VM, nic: Vector) -> str:
    try:
        return str(IPv4Address(nic.get("IP", "")))
    except AddressValueError as error:
        raise DriverError(
            f"{what(vm, nic, 'IP')} is '{nic.get('IP', '')}', expected an IPv4 address"
        ) from error


def _owner(rule: str) -> tuple[str, str] | None:
    match = _OWNER.search(rule)
    return (match[1], match[2]) if match else None


def _transaction(present: _State, wanted: Rules) -> str:
    """The input of `iptables-restore --noflush`; empty for no change."""
    needed = any(wanted.values())
    if wanted == present.rules and (not needed or present.hooks == set(_HOOKS)):
        return ""
    lines = ["*nat", *(f":{chain} - [0:0]" for chain in wanted)]
    lines += [f"-A {chain} {rule}" for chain, rules in wanted.items() for rule in rules]
    if needed:
        lines += [f"-I {hook} -j {chain}" for hook, chain in _HOOKS.items() if hook not in present.hooks]
    else:
        lines += [f"-D {hook} -j {_HOOKS[hook]}" for hook in sorted(present.hooks)]
        lines += [f"-X {chain}" for chain in wanted]
    return "\n".join([*lines, "COMMIT", ""])
