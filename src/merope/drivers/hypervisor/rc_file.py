"""`lxdrc` and `firecrackerrc` of 5.12: YAML of one kind only, `:name: value` in at most two levels.

Hosts have no library for YAML, and these files need none.
"""

import re
from pathlib import Path

from merope.drivers.errors import DriverError

_LINE = re.compile(
    r"""( *):?([A-Za-z_]\w*):(?:\s+(?:"([^"]*)"|'([^']*)'|([^"'#\s](?:.*?\S)?)))?\s*(?:\#.*)?""", re.ASCII
)


def read_rc(path: Path) -> dict[str, str]:
    """Values by `name`, or `group.name` in a group; no file, no values. Raises DriverError."""
    if not path.exists():
        return {}
    found, group = {}, ""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.strip() == "---" or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise DriverError(f"{path}, line {number}: expected `:name: value`")
        indent, name, *values = match.groups()
        value = next((each for each in values if each is not None), None)
        if not indent:
            group = "" if value is not None else f"{name}."
        if value is not None:
            found[f"{group if indent else ''}{name}"] = value
    return found


def number(values: dict[str, str], name: str, default: float) -> float:
    """Raises DriverError for what is no number."""
    text = values.get(name, "")
    try:
        return float(text) if text else default
    except ValueError as error:
        raise DriverError(f"{name} must be a number, not {text!r}") from error


def truth(values: dict[str, str], name: str, default: bool) -> bool:
    return values.get(name, "yes" if default else "no").lower() in ("yes", "true", "1")
