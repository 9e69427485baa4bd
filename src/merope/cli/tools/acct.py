"""oneacct: what virtual machines have used."""

from merope.cli import accounting
from merope.cli.declare import FORMAT_OPTIONS, TABLE_OPTIONS, Tool, flag, opt

_TABLE = tuple(
    o for o in TABLE_OPTIONS if o.name not in ("--delay", "--size", "--listconf", "--numeric", "--no-pager")
)

TOOL = Tool(
    "oneacct",
    "vm",
    "what virtual machines have used, by user",
    (),
    accounting.COLUMNS,
    accounting.MORE_COLUMNS,
    (
        opt("--start", "TIME", "from this time on (2026-09-23 14:15, or an epoch)", "-s"),
        opt("--end", "TIME", "until this time", "-e"),
        opt("--userfilter", "user", "machines of this user", "-u"),
        opt("--group", "group", "machines of this group", "-g"),
        opt("--host", "HOST", "time on this host (id or name)", "-H"),
        opt(
            "--xpath", "XPATH_EXPRESSION", "records that fulfil this XPath expression, for example VM[UID=3]"
        ),
        flag("--split", "a table for each machine"),
        *FORMAT_OPTIONS,
        *_TABLE,
    ),
    accounting.run,
)
