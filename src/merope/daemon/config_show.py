"""`one config`: what is in force, and where each value came from."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from merope.daemon.config import DEFAULT, HOME, ConfigError, Entry, load
from merope.daemon.layout import Layout
from merope.daemon.service import BAD_CONFIGURATION
from merope.daemon.start import Wanted, command_line, last_options


def show(layout: Layout, wanted: Wanted, style: str, diff: bool) -> int:
    """Print as "table", "json" or "yaml", secrets masked; without options those of the last start count."""
    wanted = _as_started(layout, wanted)
    file = wanted.config.absolute() if wanted.config else layout.config_file
    try:
        config = load(layout.home, file, command_line(wanted), wanted.sandbox)
    except ConfigError as error:
        print(f"one: the configuration is wrong:\n{error}", file=sys.stderr)
        return BAD_CONFIGURATION
    entries = [entry for entry in config.entries if not diff or entry.origin not in (DEFAULT, HOME)]
    print(_STYLES[style](entries), end="")
    return 0


def _as_started(layout: Layout, wanted: Wanted) -> Wanted:
    last = last_options(layout)
    if wanted != Wanted() or last is None:
        return wanted
    return Wanted(last.port, last.listen, Path(last.config) if last.config else None, last.drivers)


def _table(entries: list[Entry]) -> str:
    width = max(60, shutil.get_terminal_size((160, 24)).columns) if sys.stdout.isatty() else None
    rows = [(entry.file, _label(entry), _text(entry), entry.origin) for entry in entries]
    lines = []
    for file in dict.fromkeys(row[0] for row in rows):
        mine = [row[1:] for row in rows if row[0] == file]
        name_width = max(len(row[0]) for row in mine)
        origin_width = max(len(row[2]) for row in mine)
        room = width - name_width - origin_width - 4 if width else None
        lines.append(f"# {file}: option, where its value is from, value")
        for name, text, origin in mine:
            cut = text if room is None or len(text) <= room else text[: max(room - 1, 10)] + "…"
            lines.append(f"{name:<{name_width}}  {origin:<{origin_width}}  {cut}")
    return "".join(line.rstrip() + "\n" for line in lines)


def _label(entry: Entry) -> str:
    return (
        f"{entry.name} {entry.value.get('NAME', '')}".strip() if isinstance(entry.value, dict) else entry.name
    )


def _text(entry: Entry) -> str:
    value = entry.masked
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, tuple):
        return " ".join(value)
    return ", ".join(f"{key}={text}" for key, text in value.items() if key != "NAME")


def _plain(entries: list[Entry]) -> list[dict[str, Any]]:
    return [
        {"file": e.file, "option": e.name, "value": _jsonable(e.masked), "origin": e.origin} for e in entries
    ]


def _jsonable(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value if isinstance(value, str) else dict(value)


def _json(entries: list[Entry]) -> str:
    return json.dumps(_plain(entries), indent=2) + "\n"


def _yaml(entries: list[Entry]) -> str:
    # JSON values are YAML values, so that no library is needed.
    rows = (
        "".join(f"  {key}: {json.dumps(value)}\n" for key, value in row.items()) for row in _plain(entries)
    )
    return "".join("-" + row[1:] for row in rows) or "[]\n"


_STYLES = {"table": _table, "json": _json, "yaml": _yaml}
