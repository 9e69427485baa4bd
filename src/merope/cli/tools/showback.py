"""oneshowback: what virtual machines cost, month by month."""

from merope.cli import showback
from merope.cli.declare import FORMAT_OPTIONS, TABLE_OPTIONS, Command, Tool, opt

_PERIOD = (
    opt("--start", "TIME", "the first month (01/2026, or any time in it)", "-s"),
    opt("--end", "TIME", "the last month", "-e"),
)
_TABLE = tuple(o for o in TABLE_OPTIONS if o.name not in ("--delay", "--numeric", "--no-pager"))

TOOL = Tool(
    "oneshowback",
    "vm",
    "what virtual machines cost",
    (
        Command(
            "list",
            "list the costs of machines, a table for each month",
            showback.show,
            (),
            (
                *_PERIOD,
                opt("--userfilter", "user", "machines of this user", "-u"),
                opt("--group", "group", "machines of this group", "-g"),
                *FORMAT_OPTIONS,
                # --start has the letter of 5.12's --size here.
                *(o._replace(short="") if o.short in ("-s", "-e") else o for o in _TABLE),
            ),
            ("list --userfilter ann --start 01/2026 --end 03/2026", "list --csv"),
        ),
        Command(
            "calculate",
            "compute the costs of past months (administrators only)",
            showback.calculate,
            (),
            _PERIOD,
            ("calculate", "calculate --start 01/2026 --end 06/2026"),
        ),
    ),
    showback.COLUMNS,
    showback.MORE_COLUMNS,
)
