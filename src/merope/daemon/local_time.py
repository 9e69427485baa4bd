"""The time zone of this machine: months of the showback and days of scheduled actions are by its clock."""

import os
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

_SYSTEM = Path("/etc/localtime")


def local_zone(name: str | None = None) -> tzinfo:
    """The zone of that name (TZ of the environment where there is none), else the system's, else UTC."""
    wanted = (os.environ.get("TZ", "") if name is None else name).removeprefix(":")
    if wanted:
        try:
            return ZoneInfo(wanted)
        except (KeyError, ValueError, OSError):
            # Also what POSIX writes in place of a name ("CET-1CEST"): the system's zone is nearer than none.
            return _system_zone()
    return _system_zone()


def _system_zone() -> tzinfo:
    try:
        with _SYSTEM.open("rb") as file:
            return ZoneInfo.from_file(file, key="localtime")
    except (OSError, ValueError):
        return UTC
