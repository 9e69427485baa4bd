"""`one status`: the services of a cloud, for people and for programs."""

import json
from typing import Any

from merope.daemon import control
from merope.daemon.layout import Layout
from merope.daemon.start import last_options

PUBLIC = ("name", "pid", "port", "uptime", "restarts")


def show(layout: Layout, as_json: bool, not_running: int) -> int:
    """Print the services; exit status 0 when all of them run, 1 when some do not, `not_running` when none."""
    try:
        rows = control.ask(layout, "status")["services"]
    except control.NotRunning:
        rows = []
    if as_json:
        print(json.dumps([{key: row[key] for key in PUBLIC} for row in rows], indent=2))
    elif rows:
        options = last_options(layout)
        print(f"The cloud in {layout.home} runs" + (f" at {options.endpoint}" if options else ""))
        _print_table(rows)
    else:
        print(f"The cloud in {layout.home} does not run")
    if not rows:
        return not_running
    return 0 if all(row["state"] == "running" for row in rows) else 1


def _print_table(rows: list[dict[str, Any]]) -> None:
    columns = (("SERVICE", 10), ("STATE", 9), ("PID", 8), ("PORT", 6), ("UPTIME", 11), ("RESTARTS", 8))
    print("  ".join(f"{title:<{width}}" for title, width in columns).rstrip())
    for row in rows:
        cells = (row["name"], row["state"], row["pid"], row["port"], _time(row["uptime"]), row["restarts"])
        line = ("-" if cell is None else str(cell) for cell in cells)
        print("  ".join(f"{cell:<{width}}" for cell, (_, width) in zip(line, columns, strict=True)).rstrip())


def _time(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}d {hour:02}:{minute:02}:{second:02}" if days else f"{hour:02}:{minute:02}:{second:02}"
