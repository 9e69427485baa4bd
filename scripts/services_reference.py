"""docs/reference/services.md: the life of services and roles from their tables, and the servers' options."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from merope.flow.role_table import ROLE_TABLE, RoleRow
from merope.flow.service_table import SERVICE_TABLE, ServiceRow
from merope.flow.settings import OPTIONS as FLOW_OPTIONS
from merope.gate.settings import OPTIONS as GATE_OPTIONS
from merope.model.option import Option

_INTRODUCTION = """\
# The life of services and roles

A service is looked at whenever something has happened to it: first its roles, then the service itself,
until nothing changes. Of a state's rows the first whose conditions all hold is followed. Where it stays in
its state and asks for something to be done, what becomes of that is waited for; else the next row is looked
at.

This page is generated from `src/merope/flow/role_table.py`, `service_table.py` and the declarations of the
options (`make generate`). Each row is tested by `tests/flow/test_tables.py`. [flow.md](../flow.md) tells it
to people.
"""
_OPTION_HEAD = "| option | default | what it is | allowed |\n| --- | --- | --- | --- |\n"
_NESTED = """
Besides, of onegate-server.conf, `:permissions:`, `:restricted_attrs:` and `:restricted_actions:`, as in 5.12.
"""


def markdown() -> str:
    parts = [_INTRODUCTION]
    for title, rows in (("Roles", ROLE_TABLE), ("Services", SERVICE_TABLE)):
        parts.append(f"\n## {title}\n\n| in | when | does | goes to |\n| --- | --- | --- | --- |\n")
        parts += _lines(rows)
    for title, options in (("oneflow-server.conf", FLOW_OPTIONS), ("onegate-server.conf", GATE_OPTIONS)):
        parts.append(
            f"\n## {title}\n\n| option | default | what it is | allowed |\n| --- | --- | --- | --- |\n"
        )
        parts += _options(options)
    parts.append(_NESTED)
    return "".join(parts)


def _lines(rows: Iterable[RoleRow | ServiceRow]) -> Iterator[str]:
    before = None
    for row in rows:
        state = row.state.name if row.state is not before else ""
        before = row.state
        when = " ".join(_told(condition) for condition in row.when) or "Always."
        yield f"| {state} | {when} | {_told(row.does)} | {'stays' if row.to is None else row.to.name} |\n"


def _told(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").partition("\n")[0]


def _options(options: Mapping[str, Option]) -> Iterator[str]:
    for name, option in options.items():
        default = "" if option.default is None else f"`{option.default}`"
        yield f"| `:{name}:` | {default} | {option.meaning} | {option.kind.allowed} |\n"
