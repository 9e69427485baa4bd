"""Numbers and times as the tables print them (sizes, durations, dates; 5.12's rounding)."""

import math
import time

_UNITS = "BKMGTPE"


def size(value: float, unit: str = "K") -> str:
    """A size of `value` units as `256M` or `1.5G`; up to 1024 of a unit stay in it (`1024M`)."""
    index = _UNITS.index(unit)
    while value > 1024 and index < len(_UNITS) - 1:
        value /= 1024
        index += 1
    return f"{decimal(value)}{_UNITS[index]}"


def decimal(value: float) -> str:
    """One decimal, none when it is 0; a half rounds up."""
    tenths = math.floor(value * 10 + 0.5)
    return str(tenths // 10) if tenths % 10 == 0 else f"{tenths / 10:.1f}"


def number(text: str | None, default: float = 0.0) -> float:
    """A document's number; what is empty or no finite number is `default`."""
    try:
        value = float(text or "")
    except ValueError:
        return default
    return value if math.isfinite(value) else default


def integer(text: str | None, default: int = 0) -> int:
    return int(number(text, default))


def date(epoch: int, never: str = "-") -> str:
    """`11/21 02:12:22` in local time; `never` for 0 and below."""
    return time.strftime("%m/%d %H:%M:%S", time.localtime(epoch)) if epoch > 0 else never


def minute(epoch: int, never: str = "-") -> str:
    """`11/21 02:12`, right aligned in 12."""
    return time.strftime("%m/%d %H:%M", time.localtime(epoch)) if epoch > 0 else never


def duration(seconds: float) -> str:
    """`  0d 00h00m`."""
    minutes = max(int(seconds), 0) // 60
    return f"{minutes // 1440:3d}d {minutes // 60 % 24:02d}h{minutes % 60:02d}m"


def clock(seconds: float) -> str:
    """`  0h00m00s`."""
    whole = max(int(seconds), 0)
    return f"{whole // 3600:3d}h{whole // 60 % 60:02d}m{whole % 60:02d}s"


def percent(part: float, whole: float) -> int:
    """Rounded down; 0 of nothing."""
    return int(part * 100 / whole) if whole > 0 else 0
