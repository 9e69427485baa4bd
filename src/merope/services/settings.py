"""The configuration file of a service: what is written there, defaults for the rest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from merope.model.option import Option
from merope.model.yaml_options import OptionsError, Problems, Table, parse, values


def read(path: Path) -> tuple[Table, Problems]:
    """An empty table where there is no such file. Raises OptionsError."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Table({}, {}, 1), Problems(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise OptionsError(f"{path} cannot be read: {reason}") from error
    return parse(path, text)


def plain(path: Path, declared: Mapping[str, Option]) -> dict[str, Any]:
    """The values of a file whose options are all single ones, without those that have none."""
    table, problems = read(path)
    found = values(table, declared, problems)
    problems.done()
    return {name: value for name, value in found.items() if value is not None}
