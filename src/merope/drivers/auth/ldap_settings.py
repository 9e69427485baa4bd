"""auth/ldap_auth.conf: the servers, and which of them are asked for whom."""

import re
from collections.abc import Sequence as Several
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from merope.drivers.auth import options
from merope.drivers.auth.options import Problems, Scalar, Sequence, Symbol, Table, Tree, TrueFalse
from merope.model.option import Integer, Option, Text

FILE = "ldap_auth.conf"
_ATTRIBUTE = Text(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)*", "the name of an attribute")
_NAME = Text(r".+", "a distinguished name (DN)")
_FILTER = Text(r"\(.+\)", "a filter in parentheses, such as (objectClass=person)")
_ABSOLUTE = Text(r"/.+", "an absolute path")

#: Options of a server, by name without the colon. Those marked `ours` are not in OpenNebula 5.12.
OPTIONS = {
    option.name: option
    for option in (
        Option("host", Text(r"[^\s/]+", "a host name or address"), "localhost", "The server."),
        Option(
            "port",
            Integer(1, 65535),
            None,
            "Its port; default: 389, and 636 with `:encryption: :simple_tls`.",
            note="5.12 has 389 for both.",
        ),
        Option(
            "encryption",
            Symbol(("simple_tls", "start_tls")),
            None,
            "`:simple_tls` (ldaps) or `:start_tls`. The server's certificate and its name are verified.",
            note="5.12 verifies neither.",
        ),
        Option(
            "ca_file",
            _ABSOLUTE,
            None,
            "Authorities whose certificates are accepted, in PEM; default: those of the system.",
            ours=True,
        ),
        Option("timeout", Integer(1, 300), "15", "Seconds that a login may take at this server."),
        Option("auth_method", Symbol(("simple",)), "simple", "How to bind."),
        Option("user", _NAME, None, "DN of the account that searches; without it the search is anonymous."),
        Option("password", Text(), None, "Its password.", secret=True),
        Option("base", _NAME, None, "DN of the tree in which users (and groups) are. Must be given."),
        Option("user_field", _ATTRIBUTE, "cn", "Attribute that holds the name that people log in with."),
        Option("user_filter", _FILTER, None, "What else an entry must match to be a user.", ours=True),
        Option("group", _NAME, None, "DN of a group that users must be in; without it any user will do."),
        Option("group_base", _NAME, None, "DN of the tree in which groups are; default: `:base:`."),
        Option("group_field", _ATTRIBUTE, "member", "Attribute of a group that holds its members."),
        Option(
            "user_group_field",
            _ATTRIBUTE,
            "dn",
            "Attribute of a user that stands in `:group_field:`; `dn` is the entry's name.",
        ),
        Option(
            "rfc2307bis",
            TrueFalse(),
            "true",
            "true: a user's groups are in its attribute `memberOf`; false: they are searched by "
            "`:group_field:`.",
        ),
        Option(
            "nested_groups",
            TrueFalse(),
            "false",
            "Whether members of a group are members of the groups that it is in, too.",
            ours=True,
        ),
        Option(
            "mapping_generate",
            TrueFalse(),
            "true",
            "true: groups are found by `:mapping_key:` in the templates of the cloud's groups, as they are "
            "at that moment; false: by the file.",
            note="5.12 writes the file from the templates from time to time.",
        ),
        Option("mapping_key", Text(r"\w+", "the name of an attribute"), "GROUP_DN", "That attribute."),
        Option(
            "mapping_filename",
            Text(r"[^/\s][^/]*", "the name of a file without a directory"),
            "server1.yaml",
            "File in the cloud's home with lines `DN: id of the group`.",
        ),
        Option("mapping_timeout", Integer(0), "300", "Without effect: the mapping is never old."),
        Option(
            "mapping_default",
            Integer(0),
            None,
            "Group (id) of users who are in no group that is mapped; without it they are refused.",
        ),
        Option(
            "group_admin_group_dn",
            _NAME,
            None,
            "DN of a group whose members administer the groups that they are mapped to.",
        ),
    )
}


@dataclass(frozen=True)
class Server:
    """One server; the fields are the options."""

    name: str
    host: str
    port: int | None
    encryption: str | None
    ca_file: str | None
    timeout: int
    auth_method: str
    user: str | None
    password: str | None = field(repr=False)
    base: str
    user_field: str
    user_filter: str | None
    group: str | None
    group_base: str | None
    group_field: str
    user_group_field: str
    rfc2307bis: bool
    nested_groups: bool
    mapping_generate: bool
    mapping_key: str
    mapping_filename: str
    mapping_timeout: int
    mapping_default: int | None
    group_admin_group_dn: str | None

    @property
    def url(self) -> str:
        scheme = "ldaps" if self.encryption == "simple_tls" else "ldap"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port_number}"

    @property
    def port_number(self) -> int:
        return self.port or (636 if self.encryption == "simple_tls" else 389)


@dataclass(frozen=True)
class LdapSettings:
    """`order` has groups of servers: of each the first one that can be asked decides.

    `rules` take its place where `:match_user_regex:` is given: the first pattern that a name matches says
    which servers are asked, and what of the name is searched for.
    """

    servers: dict[str, Server]
    order: tuple[tuple[str, ...], ...]
    rules: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]

    def asked(self, name: str) -> tuple[str, list[list[Server]]]:
        """The name to search for, and the groups of servers to search in."""
        order = self.order
        for pattern, servers in self.rules:
            match = pattern.search(name)
            if match is not None:
                name = match[1] if pattern.groups and match[1] else name
                order = (servers,)
                break
        return name, [[self.servers[server] for server in group] for group in order]


def load(path: Path) -> LdapSettings:
    """Raises DriverError with all that is wrong."""
    table, problems = options.read(path)
    servers, order, rules = {}, None, None
    for key, tree in table.items.items():
        if key == ":order":
            order = _order(tree, problems)
        elif key == ":match_user_regex":
            rules = _rules(tree, problems)
        elif isinstance(tree, Table):
            servers[key] = _server(key, tree, problems)
        else:
            problems.add(
                table.lines[key],
                f"{key} must be a server with its options below, :order or :match_user_regex",
            )
    _check_order(table, order, rules, problems)
    known = frozenset(servers)
    found_order = _known(order or [], known, problems)
    found_rules = [(pattern, _known([group], known, problems)) for pattern, group in rules or []]
    problems.done()
    return LdapSettings(
        {name: server for name, server in servers.items() if server is not None},
        found_order,
        tuple((pattern, groups[0]) for pattern, groups in found_rules),
    )


def _server(name: str, table: Table, problems: Problems) -> Server | None:
    before = len(problems.found)
    found: dict[str, Any] = options.values(table, OPTIONS, problems)
    if found["base"] is None:
        problems.add(table.line, f"the server {name} needs a :base:")
    if found["user"] is not None and not found["password"]:
        problems.add(table.line, f"the server {name} has a :user: without a :password:")
    if found["ca_file"] is not None and found["encryption"] is None:
        problems.add(table.line, f"the server {name} has a :ca_file: without :encryption:")
    if not found["rfc2307bis"] and found["nested_groups"] and found["user_group_field"] != "dn":
        problems.add(table.line, "groups that hold names, not DNs, cannot be nested (:nested_groups:)")
    if len(problems.found) > before:
        return None
    return Server(**{item.name: found.get(item.name, name) for item in fields(Server)})


def _check_order(table: Table, order: object, rules: object, problems: Problems) -> None:
    if order is None and rules is None:
        problems.add(table.line, "either :order or :match_user_regex must say which servers are asked")
    elif order is not None and rules is not None:
        problems.add(table.line, ":order and :match_user_regex exclude each other")


Group = tuple[tuple[str, ...], int]


def _order(tree: Tree, problems: Problems) -> list[Group]:
    if not isinstance(tree, Sequence):
        problems.add(tree.line, ":order must be a list of servers, or of lists of servers")
        return []
    return [_group(item, problems) for item in tree.items]


def _rules(tree: Tree, problems: Problems) -> list[tuple[re.Pattern[str], Group]]:
    if not isinstance(tree, Table) or not tree.items:
        problems.add(tree.line, ":match_user_regex must have lines of the form: regular expression: server")
        return []
    found = []
    for text, servers in tree.items.items():
        try:
            pattern = re.compile(text, re.IGNORECASE)
        except re.error as error:
            problems.add(tree.lines[text], f"{text!r} is no regular expression: {error}")
            continue
        found.append((pattern, _group(servers, problems)))
    return found


def _group(tree: Tree, problems: Problems) -> Group:
    if isinstance(tree, Table) and len(tree.items) == 1:
        # A list with a name of its own, which 5.12 takes too.
        tree = next(iter(tree.items.values()))
    items: Several[Tree] = tree.items if isinstance(tree, Sequence) else [tree]
    names = tuple(item.text for item in items if isinstance(item, Scalar) and item.text)
    if len(names) != len(items) or not names:
        problems.add(tree.line, "the name of a server, or a list of names, is expected")
    return names, tree.line


def _known(groups: list[Group], servers: frozenset[str], problems: Problems) -> tuple[tuple[str, ...], ...]:
    for names, line in groups:
        for name in names:
            if name not in servers:
                problems.add(line, f"there is no server {name!r} in this file")
    return tuple(names for names, _ in groups)
