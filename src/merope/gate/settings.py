"""onegate-server.conf: 5.12's options in its syntax (spec oned_conf.yaml `onegate-server`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from merope.model.option import Choice, Integer, Option, Text
from merope.model.yaml_options import Problems, Scalar, Sequence, Table, Tree, TrueFalse, values
from merope.services.settings import read

#: What may be done, as 5.12 groups it.
PERMISSIONS: dict[str, tuple[str, ...]] = {
    "vm": ("show", "show_by_id", "update", "update_by_id", "action_by_id"),
    "service": ("show", "change_cardinality"),
    "vrouter": ("show",),
    "vnet": ("show_by_id",),
}


@dataclass(frozen=True)
class GateSettings:
    """`vm_rate` requests a second of one VM, `vm_burst` at once; `max_body` in bytes,
    `max_connections` of one address.

    `forbidden` are pairs such as ("vm", "update"); names of attributes are in upper case.
    """

    one_xmlrpc: str = "http://localhost:2633/RPC2"
    host: str = "127.0.0.1"
    port: int = 5030
    ssl_server: str = ""
    oneflow_server: str = "http://localhost:2474"
    debug_level: int = 3
    concurrency: int = 32
    vm_rate: int = 50
    vm_burst: int = 200
    max_body: int = 65536
    max_connections: int = 64
    ssl_cert: str = ""
    ssl_key: str = ""
    forbidden: frozenset[tuple[str, str]] = frozenset()
    restricted_attrs: frozenset[str] = frozenset(("SCHED_REQUIREMENTS", "SERVICE_ID", "ROLE_NAME"))
    restricted_actions: frozenset[str] = field(default_factory=frozenset)


OPTIONS: dict[str, Option] = {
    "one_xmlrpc": Option("one_xmlrpc", Text("https?://.+", "a URL"), None, "The core's endpoint."),
    "host": Option("host", Text(), "127.0.0.1", "Address to listen at, which guests must reach."),
    "port": Option("port", Integer(1, 65535), "5030", "Port to listen at."),
    "ssl_server": Option("ssl_server", Text(), None, "URL that guests are told, of a proxy."),
    "debug_level": Option("debug_level", Integer(0, 3), "2", "0 errors, 1 warnings, 2 information, 3 all."),
    "auth": Option("auth", Choice(("onegate",)), "onegate", "How guests are known: by their token."),
    "core_auth": Option("core_auth", Choice(("cipher",)), "cipher", "How the server logs in to the core."),
    "oneflow_server": Option("oneflow_server", Text("https?://.+", "a URL"), None, "OneFlow's URL."),
    "concurrency": Option("concurrency", Integer(1, 1000), "32", "Requests to the core at a time."),
    "vm_rate": Option("vm_rate", Integer(1, 10**6), "50", "Requests a second of one VM."),
    "vm_burst": Option("vm_burst", Integer(1, 10**6), "200", "Requests of one VM at once."),
    "max_body": Option("max_body", Integer(1024, 2**24), "65536", "Bytes of a request's body."),
    "max_connections": Option(
        "max_connections", Integer(1, 10**5), "64", "Connections of one address; more are closed."
    ),
    "ssl_cert": Option("ssl_cert", Text(), None, "Certificate (PEM) to serve HTTPS with; with ssl_key."),
    "ssl_key": Option("ssl_key", Text(), None, "Its private key (PEM)."),
}
_LISTS = ("restricted_attrs", "restricted_actions")


def load(path: Path) -> dict[str, Any]:
    """The fields of GateSettings that a file gives. Raises OptionsError."""
    table, problems = read(path)
    own = {
        key: tree for key, tree in table.items.items() if key.removeprefix(":") in (*_LISTS, "permissions")
    }
    rest = Table({k: v for k, v in table.items.items() if k not in own}, table.lines, table.line)
    known = {f.name for f in fields(GateSettings)}
    found = {k: v for k, v in values(rest, OPTIONS, problems).items() if v is not None and k in known}
    for key, tree in own.items():
        if key == ":permissions":
            found["forbidden"] = frozenset(_forbidden(tree, problems))
        else:
            found[key.removeprefix(":")] = frozenset(_names(key, tree, problems))
    problems.done()
    return found


def _names(key: str, tree: Tree, problems: Problems) -> list[str]:
    if isinstance(tree, Scalar) and tree.text is None:
        return []
    items = tree.items if isinstance(tree, Sequence) else ()
    if not isinstance(tree, Sequence) or not all(isinstance(item, Scalar) and item.text for item in items):
        problems.add(tree.line, f"{key} must be a list of names, each in a line of its own after a dash")
        return []
    upper = key == ":restricted_attrs"
    texts = [item.text or "" for item in items if isinstance(item, Scalar)]
    return [text.upper() if upper else text.lower().replace("-", "_") for text in texts]


def _forbidden(tree: Tree, problems: Problems) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for group, inner in _mapping(tree, problems).items():
        allowed = PERMISSIONS.get(group.removeprefix(":"))
        if allowed is None:
            problems.add(inner.line, f"{group} is none of {', '.join(f':{name}' for name in PERMISSIONS)}")
            continue
        for name, value in _mapping(inner, problems).items():
            text = value.text if isinstance(value, Scalar) else None
            if name.removeprefix(":") not in allowed:
                problems.add(value.line, f"{name} is none of {', '.join(f':{a}' for a in allowed)}")
                continue
            try:
                if not TrueFalse().parse(text or ""):
                    found.append((group.removeprefix(":"), name.removeprefix(":")))
            except ValueError:
                problems.add(value.line, f"{name} must be true or false")
    return found


def _mapping(tree: Tree, problems: Problems) -> Mapping[str, Tree]:
    if isinstance(tree, Table):
        return tree.items
    problems.add(tree.line, "lines of the form :option: value are expected")
    return {}
