"""Reading the drivers' own files under etc/auth (`merope.model.yaml_options`)."""

from pathlib import Path

from merope.drivers.errors import DriverError
from merope.model.yaml_options import (
    MISSING,
    Problems,
    Scalar,
    Sequence,
    Symbol,
    Table,
    Tree,
    TrueFalse,
    parse,
    values,
)

__all__ = [
    "MISSING",
    "Problems",
    "Scalar",
    "Sequence",
    "Symbol",
    "Table",
    "Tree",
    "TrueFalse",
    "read",
    "values",
]


def read(path: Path) -> tuple[Table, Problems]:
    """The mapping that a file is. Raises DriverError when there is no such file or it is no YAML mapping."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DriverError(f"{path} cannot be read: {reason}") from error
    return parse(path, text, DriverError)
