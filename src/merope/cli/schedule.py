"""Scheduled actions: `onevm poweroff 0 --schedule "09/23 14:15" --weekly 1,5 --end 10`.

An action is a SCHED_ACTION in the machine's user template (spec scheduler `scheduled_actions`).
"""

import re
import time

from merope.cli.context import Context
from merope.cli.declare import opt
from merope.cli.errors import UsageError
from merope.client.wire import Argument
from merope.model.template import Template, Vector

OPTIONS = (
    opt(
        "--schedule",
        "TIME",
        "do it later: '2026-09-23 14:15', '09/23 14:15', an epoch, or +seconds from creation",
    ),
    opt("--weekly", "days", "repeat on these days of the week, 0 (Sunday) to 6"),
    opt("--monthly", "days", "repeat on these days of the month, 1 to 31"),
    opt("--yearly", "days", "repeat on these days of the year, 0 to 365"),
    opt("--hourly", "hour", "repeat after so many hours"),
    opt("--end", "number|TIME", "the last repetition: how often, or a time"),
)

_FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%m/%d/%Y %H:%M",
    "%m/%d %H:%M:%S",
    "%m/%d %H:%M",
)
_REPEATS = (("weekly", 0, 6), ("monthly", 1, 31), ("yearly", 0, 365), ("hourly", 1, 168))
_DAYS = re.compile(r"\d+(,\d+)*")
#: Numbers below are counts, from here on they are points in time.
_FIRST_EPOCH = 100_000_000


def epoch(text: str, now: float | None = None) -> int:
    """A time of a person as seconds since 1970; a date without a year is of this year."""
    if text.isdecimal() and int(text) >= _FIRST_EPOCH:
        return int(text)
    this_year = time.localtime(now).tm_year
    for form in _FORMATS:
        full, stamp = (form, text) if "%Y" in form else (f"%Y {form}", f"{this_year} {text}")
        try:
            return int(time.mktime(time.strptime(stamp, full)))
        except (ValueError, OverflowError):
            continue
    raise UsageError(f"'{text}' is no time; write it as 2026-09-23 14:15.")


def action_from_options(ctx: Context, action: str, arguments: tuple[Argument, ...] = ()) -> Vector | None:
    """The SCHED_ACTION that --schedule asks for, None without it."""
    when = ctx.option("schedule", str)
    if when is None:
        if any(ctx.flag(name) for name, *_ in _REPEATS) or ctx.flag("end"):
            raise UsageError("A repetition needs --schedule, the time of the first one.")
        return None
    relative = when.startswith("+") and when[1:].isdecimal()
    vector = Vector({"ACTION": action, "TIME": when if relative else str(epoch(when))})
    if arguments:
        vector["ARGS"] = ",".join(str(a) for a in arguments)
    _add_repetition(ctx, vector)
    return vector


def _add_repetition(ctx: Context, vector: Vector) -> None:
    chosen = [(code, name, low, high) for code, (name, low, high) in enumerate(_REPEATS) if ctx.flag(name)]
    if len(chosen) > 1:
        raise UsageError("Only one of --weekly, --monthly, --yearly and --hourly can be given.")
    for code, name, low, high in chosen:
        days = ctx.option(name, str) or ""
        if not _DAYS.fullmatch(days) or not all(low <= int(d) <= high for d in days.split(",")):
            raise UsageError(f"--{name}: numbers from {low} to {high} are expected, not '{days}'.")
        vector["REPEAT"] = str(code)
        vector["DAYS"] = days
    if (end := ctx.option("end", str)) is not None:
        if not chosen:
            raise UsageError("--end needs a repetition (--weekly, --monthly, --yearly or --hourly).")
        times = end.isdecimal() and int(end) < _FIRST_EPOCH
        vector["END_TYPE"] = "1" if times else "2"
        vector["END_VALUE"] = end if times else str(epoch(end))
    elif chosen:
        vector["END_TYPE"] = "0"


def add_action(ctx: Context, oid: int, action: Vector) -> None:
    """Append the action to the machine's others; an update replaces all of one name, so all are sent."""
    before = ctx.client.info("vm", oid).find("USER_TEMPLATE")
    template = Template() if before is None else Template.from_element(before)
    actions = template.vectors("SCHED_ACTION")
    used = [int(a["ID"]) for a in actions if a.get("ID", "").isdecimal()]
    new = Vector({"ID": str(max(used, default=-1) + 1), **action})
    update = Template(("SCHED_ACTION", a) for a in (*actions, new))
    ctx.client.call("one.vm.update", oid, update.to_text(), 1)
