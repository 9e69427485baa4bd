"""Columns as their users want them: `~/.one/cli/onevm.yaml`, else `/etc/one/cli/onevm.yaml`.

The files are those of 5.12: `:default` lists the columns to show, `:default_conf` named selections for
`--listconf` (or ONE_LISTCONF), `:default_actions` what `onehost flush` does, every other key is a column
with `:size`, `:left`, `:adjust`, `:expand` and `:desc`.  What they say of columns that do not exist is
ignored, as 5.12 does.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from merope.cli.declare import Column, Tool
from merope.cli.errors import CliError

SYSTEM_DIRECTORY = "/etc/one/cli"


class Selection(NamedTuple):
    """The columns of a tool (all, and those shown by default), named selections of them, and the shares of
    the terminal's free width for columns whose `:expand` is a number."""

    every: tuple[Column, ...]
    default: tuple[Column, ...]
    named: Mapping[str, tuple[Column, ...]]
    shares: Mapping[str, float]


def selection(tool: Tool, environ: Mapping[str, str]) -> Selection:
    """The declared columns with the user's file over them.  Raises CliError for a file that is wrong."""
    declared = Selection((*tool.columns, *tool.more), tool.columns, {}, {})
    path = _find(tool.name, environ)
    return declared if path is None else _read(declared, path)


def default_action(tool: Tool, name: str, environ: Mapping[str, str]) -> str | None:
    """What `:default_actions` of the file says of an action (`:flush: resched`), None when nothing.

    Raises CliError for a file that is wrong.
    """
    path = _find(tool.name, environ)
    keys = {} if path is None else _mapping(_load(path), path)
    actions = next((value for key, value in keys.items() if _name(key) == "DEFAULT_ACTIONS"), None)
    for action in actions if isinstance(actions, list) else [actions]:
        for key, value in _mapping(action, path or "").items():
            if _name(key) == name.upper():
                return str(value)
    return None


def _find(tool: str, environ: Mapping[str, str]) -> str | None:
    places = [os.path.join(environ["HOME"], ".one", "cli")] if environ.get("HOME") else []
    location = environ.get("ONE_LOCATION")
    places.append(os.path.join(location, "etc", "cli") if location else SYSTEM_DIRECTORY)
    files = (os.path.join(place, f"{tool}.yaml") for place in places)
    return next((f for f in files if os.path.exists(f)), None)


def _read(declared: Selection, path: str) -> Selection:
    keys = {_name(key): value for key, value in _mapping(_load(path), path).items()}
    chosen, named = keys.pop("DEFAULT", None), keys.pop("DEFAULT_CONF", None)
    shares: dict[str, float] = {}
    every = tuple(_column(c, keys.get(c.name), path, shares) for c in declared.every)
    by_name = {c.name: c for c in every}
    shown = [c.name for c in declared.default]
    return Selection(
        every,
        _chosen(chosen, by_name, path) or _pick(shown, by_name),
        {str(k).lstrip(":"): _chosen(v, by_name, path) for k, v in _mapping(named or {}, path).items()},
        shares,
    )


def _load(path: str) -> object:
    try:
        import yaml
    except ImportError as e:
        raise CliError(f"{path} is there, but to read it PyYAML is needed: install merope[yaml].") from e
    try:
        with open(path, encoding="utf-8") as file:
            return yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise CliError(f"{path} cannot be read: {e}") from e


def _mapping(value: object, path: str) -> dict[object, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CliError(f"{path}: names and their values are expected, not '{value}'.")
    return value


def _name(key: object) -> str:
    """Symbols of Ruby begin with a colon."""
    return str(key).lstrip(":").upper()


def _column(column: Column, wanted: object, path: str, shares: dict[str, float]) -> Column:
    settings = {_name(key): value for key, value in _mapping(wanted, path).items()}
    size, expand = settings.get("SIZE", column.size), settings.get("EXPAND", column.expand)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise CliError(f"{path}: the size of {column.name} should be a number above 0, not '{size}'.")
    if isinstance(expand, (int, float)) and not isinstance(expand, bool):
        shares[column.name] = float(expand)
    return column._replace(
        size=size,
        left=bool(settings.get("LEFT", column.left)),
        adjust=bool(settings.get("ADJUST", column.adjust)),
        expand=bool(expand),
        help=str(settings.get("DESC", column.help)),
    )


def _chosen(value: object, by_name: Mapping[str, Column], path: str) -> tuple[Column, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise CliError(f"{path}: a list of columns is expected, not '{value}'.")
    return _pick([_name(item) for item in value], by_name)


def _pick(names: Iterable[str], by_name: Mapping[str, Column]) -> tuple[Column, ...]:
    return tuple(by_name[name] for name in names if name in by_name)


def expanding(columns: Sequence[Column], shares: Mapping[str, float]) -> dict[str, float]:
    """The shares of those of `columns` that expand; those without a number count as one."""
    if not any(c.name in shares for c in columns):
        return {}
    return {c.name: shares.get(c.name, 1.0) for c in columns if c.expand}
