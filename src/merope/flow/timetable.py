"""Times of scheduled policies: cron's syntax, and single times as people write them.

Across a change of daylight saving time the rules are those of Debian's cron: what falls into the hour that is
left out runs at once after it, what falls into the hour that comes twice runs once.
"""

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

_FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M",
    "%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%d %b %Y", "%d %B %Y %H:%M", "%b %d %Y %H:%M", "%b %d, %Y %H:%M",
    "%m/%d/%Y %H:%M", "%Y/%m/%d %H:%M",
)  # fmt: skip
_ORDINAL = re.compile(r"(\d)(?:st|nd|rd|th)\b", re.IGNORECASE)


class TimeError(ValueError):
    """What is wrong with a time."""


def check_recurrence(text: str) -> None:
    """Raises TimeError."""
    from cronsim import CronSim, CronSimError

    if len(text.split()) != 5:
        raise TimeError(f"recurrence {text!r} must have five fields: minute hour day month weekday")
    try:
        next(CronSim(text, datetime(2020, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise TimeError(f"recurrence {text!r} is not cron's syntax: {error}") from error


def next_time(recurrence: str, after: int, zone: tzinfo) -> int | None:
    """The first time (epoch) after `after`, by the clocks of `zone`; None for none in fifty years."""
    from cronsim import CronSim

    found = next(CronSim(recurrence, datetime.fromtimestamp(after, zone)), None)
    return None if found is None else int(found.timestamp())


@lru_cache(maxsize=1024)
def read_time(text: str, zone: tzinfo = UTC) -> int:
    """A time as an epoch: seconds, ISO 8601, or words as `2nd oct 2017 15:45`. Raises TimeError."""
    plain = _ORDINAL.sub(r"\1", text.strip())
    if re.fullmatch(r"\d{1,12}", plain):
        return int(plain)
    try:
        made = datetime.fromisoformat(plain)
        return int((made if made.tzinfo else made.replace(tzinfo=zone)).timestamp())
    except ValueError:
        pass
    for form in _FORMATS:
        try:
            return int(datetime.strptime(plain, form).replace(tzinfo=zone).timestamp())
        except ValueError:
            continue
    raise TimeError(f"start_time {text!r} is no time such as 2017-10-02 15:45 or 2nd oct 2017 15:45")
