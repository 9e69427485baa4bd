"""Security groups: commands, and the check of their rules. How rules reach VMs is in security_group_rules.

Source: spec templates.yaml `security_group`.
"""

import re
from collections.abc import Callable

from merope.core import acl, generic, security_group_rules
from merope.core.methods import Need, boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.model.addresses import parse_ip4, parse_ip6
from merope.model.document import Document
from merope.model.permissions import ObjectType, Op
from merope.model.security_group import SecurityGroup
from merope.model.template import Template, Vector

DEFAULT_GROUP = 0

PROTOCOLS = ("ALL", "TCP", "UDP", "ICMP", "ICMPV6", "IPSEC")
WAYS = ("INBOUND", "OUTBOUND")

_PORTS = re.compile(r"(\d{1,5})(?::(\d{1,5}))?", re.ASCII)
_LAST_PORT = 65535
_LAST_ICMP_TYPE = 255


class _RuleError(ValueError):
    """A rule that cannot be; the text is a sentence."""


@method("one.secgroup.allocate", text("template"), needs=(Need(Op.CREATE, SecurityGroup),))
def allocate(tx: Transaction, source: str) -> int:
    """Makes a group of the rules of its template."""
    template = generic.parse_template(source)
    if not template.get("NAME"):
        raise generic.allocate_error("No NAME in template for Security Group.")
    name = generic.take_name(tx, SecurityGroup, template, tx.caller.uid)
    try:
        check_rules(template)
    except _RuleError as fault:
        raise generic.allocate_error(str(fault)) from fault
    return _add(tx, name, template)


@method(
    "one.secgroup.clone",
    integer("id"),
    text("name"),
    needs=(Need(Op.CREATE, SecurityGroup), Need(Op.USE, SecurityGroup, "id")),
)
def clone(tx: Transaction, oid: int, name: str) -> int:
    """Makes a group of the caller's with the same rules and no VMs."""
    original = tx.get(SecurityGroup, oid)
    generic.check_new_name(tx, SecurityGroup, name, tx.caller.uid)
    return _add(tx, name, original.template.copy())


def _add(tx: Transaction, name: str, template: Template) -> int:
    group = SecurityGroup(
        id=tx.new_id(SecurityGroup),
        name=name,
        **generic.owned_by_caller(tx),
        template=template,
    )
    tx.add(group)
    return group.id


@method("one.secgroup.delete", integer("id"), needs=(Need(Op.MANAGE, SecurityGroup, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a group that no VM uses."""
    group = tx.get(SecurityGroup, oid)
    if oid == DEFAULT_GROUP:
        raise generic.delete_error(group, "The default security group (ID 0) cannot be deleted.")
    if security_group_rules.members(group):
        raise generic.delete_error(group, "The security group has VMs using it")
    acl.drop_rules_about(tx, ObjectType.SECGROUP, oid)
    tx.delete(group)
    return oid


@method(
    "one.secgroup.commit",
    integer("id"),
    boolean("recover"),
    needs=(Need(Op.MANAGE, SecurityGroup, "id"),),
)
def commit(tx: Transaction, oid: int, recover: bool) -> int:
    """Brings the rules to its VMs again: to all, or (`recover`) to those that have not got the newest."""
    security_group_rules.spread(tx, tx.edit(SecurityGroup, oid), everybody=not recover)
    return oid


@generic.checks_updates(SecurityGroup)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """Checks the new rules; VMs that have the old ones get the new ones."""
    assert isinstance(value, SecurityGroup)
    new.remove("NAME")
    try:
        check_rules(new)
    except _RuleError as fault:
        raise generic.update_error(str(fault), value.id) from fault
    if new.values("RULE") != value.template.values("RULE"):
        group = tx.edit(SecurityGroup, value.id)
        group.template = new
        security_group_rules.spread(tx, group, everybody=True)
    return new


def check_rules(template: Template) -> None:
    """Raises _RuleError for the first RULE that cannot be."""
    for number, value in enumerate(template.values("RULE")):
        if not isinstance(value, Vector):
            raise _RuleError(f"RULE {number} must be a vector: RULE = [ PROTOCOL = …, RULE_TYPE = … ].")
        try:
            _check_rule(value)
        except ValueError as fault:
            raise _RuleError(f"RULE {number}: {fault}") from fault


def _check_rule(rule: Vector) -> None:
    protocol = _one_of(rule, "PROTOCOL", PROTOCOLS)
    _one_of(rule, "RULE_TYPE", WAYS)
    for name, owners, check in _FOR_PROTOCOLS:
        if rule.get(name):
            if protocol not in owners:
                raise ValueError(f"{name} is for PROTOCOL {' or '.join(owners)}, not {protocol}.")
            check(name, rule[name])
    if rule.get("NETWORK_ID"):
        _check_number("NETWORK_ID", rule["NETWORK_ID"], (1 << 31) - 1)
        if rule.get("IP"):
            raise ValueError("NETWORK_ID stands for addresses: IP cannot be given with it.")
    elif rule.get("IP"):
        _check_address(rule["IP"])
        _check_number("SIZE", rule.get("SIZE", ""), 1 << 32, lowest=1)
    elif rule.get("SIZE"):
        raise ValueError("SIZE needs IP, the first of the addresses.")


def _one_of(rule: Vector, name: str, words: tuple[str, ...]) -> str:
    word = rule.get(name, "").upper()
    if word not in words:
        raise ValueError(f"{name} must be one of {', '.join(words)}, not {rule.get(name, '')[:32]!r}.")
    return word


def _check_ports(name: str, text: str) -> None:
    """Ports and ranges of ports as iptables takes them: 22,53,80:90."""
    for part in text.split(","):
        found = _PORTS.fullmatch(part.strip())
        first = int(found[1]) if found else _LAST_PORT + 1
        last = int(found[2]) if found and found[2] else first
        if not first <= last <= _LAST_PORT:
            raise ValueError(f"{name} is a list of ports such as 22,53,80:90; {part[:32]!r} is none.")


def _check_icmp(name: str, text: str) -> None:
    _check_number(name, text, _LAST_ICMP_TYPE)


def _check_number(name: str, text: str, highest: int, *, lowest: int = 0) -> None:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and lowest <= int(text) <= highest):
        raise ValueError(f"{name} must be a number from {lowest} to {highest}, not {text[:32]!r}.")


def _check_address(text: str) -> None:
    try:
        (parse_ip6 if ":" in text else parse_ip4)(text)
    except ValueError:
        raise ValueError(f"IP must be an IPv4 or IPv6 address, not {text[:64]!r}.") from None


_FOR_PROTOCOLS: tuple[tuple[str, tuple[str, ...], Callable[[str, str], None]], ...] = (
    ("RANGE", ("TCP", "UDP"), _check_ports),
    ("ICMP_TYPE", ("ICMP",), _check_icmp),
    ("ICMPV6_TYPE", ("ICMPV6",), _check_icmp),
)
