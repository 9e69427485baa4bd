"""Configuration files in YAML with the original's symbols (`:ca_dir: /etc/…`): of drivers and of services.

What is wrong is said all at once, each with file, line, option and what is allowed.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from merope.model.option import Choice, Option

MISSING = "the library PyYAML is missing, which reads it: install merope[auth] or merope[flow]"


class OptionsError(Exception):
    """What is wrong with a file, a line for each thing."""


@dataclass(frozen=True)
class TrueFalse:
    """true or false, as YAML has them."""

    allowed: str = "true or false"

    def parse(self, text: str) -> bool:
        word = text.strip().lower()
        if word in ("true", "yes", "on"):
            return True
        if word in ("false", "no", "off"):
            return False
        raise ValueError(text)


@dataclass(frozen=True)
class Symbol:
    """One of some words, with the colon of a Ruby symbol in front or without it."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(f":{word}" for word in self.words)

    def parse(self, text: str) -> str:
        return Choice(self.words).parse(text.strip().removeprefix(":"))


@dataclass
class Problems:
    """What is wrong with a file; `done` raises it, as `error`."""

    path: Path
    error: type[Exception] = OptionsError
    found: list[str] = field(default_factory=list)

    def add(self, line: int, sentence: str) -> None:
        self.found.append(f"{self.path}:{line}: {sentence}")

    def done(self) -> None:
        if self.found:
            raise self.error("\n".join(self.found))


@dataclass(frozen=True)
class Scalar:
    """A single value, as text; None for YAML's null."""

    text: str | None
    line: int


@dataclass(frozen=True)
class Sequence:
    items: tuple["Tree", ...]
    line: int


@dataclass(frozen=True)
class Table:
    """A mapping; keys that are written twice are problems."""

    items: Mapping[str, "Tree"]
    lines: Mapping[str, int]
    line: int


Tree = Scalar | Sequence | Table


def parse(path: Path, text: str, error: type[Exception] = OptionsError) -> tuple[Table, Problems]:
    """The mapping that the text of a file is. Raises `error` where it is no YAML mapping."""
    problems = Problems(path, error)
    root = _composed(problems, text)
    if root is None:
        return Table({}, {}, 1), problems
    tree = _tree(root, problems, 0)
    if not isinstance(tree, Table):
        raise error(f"{path}:{tree.line}: lines of the form :option: value are expected")
    return tree, problems


def _composed(problems: Problems, text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise problems.error(f"{problems.path}: {MISSING}") from error
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise problems.error(f"{problems.path}:{line}: this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise problems.error(f"{problems.path}: this is not YAML") from error


#: Deeper than any file needs; an alias may make a node that holds itself.
_DEEPEST = 8


def _tree(node: Any, problems: Problems, depth: int) -> Tree:
    line = node.start_mark.line + 1
    if depth > _DEEPEST:
        raise problems.error(f"{problems.path}:{line}: this is nested too deeply")
    if node.id == "mapping":
        return _table(node, problems, depth)
    if node.id == "sequence":
        return Sequence(tuple(_tree(item, problems, depth + 1) for item in node.value), line)
    return Scalar(None if node.tag == "tag:yaml.org,2002:null" else node.value, line)


def _table(node: Any, problems: Problems, depth: int) -> Table:
    items: dict[str, Tree] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.id != "scalar":
            problems.add(line, "the name of an option must be a single word")
        elif key.value in items:
            problems.add(line, f"{key.value} is set twice, first in line {lines[key.value]}")
        else:
            items[key.value], lines[key.value] = _tree(value, problems, depth + 1), line
    return Table(items, lines, node.start_mark.line + 1)


def values(table: Table, declared: Mapping[str, Option], problems: Problems) -> dict[str, Any]:
    """The values of the options that are `declared` (by name without the colon), defaults included."""
    found: dict[str, Any] = {
        name: None if option.default is None else option.kind.parse(option.default)
        for name, option in declared.items()
    }
    for key, tree in table.items.items():
        option = declared.get(key.removeprefix(":")) if key.startswith(":") else None
        if option is None:
            problems.add(table.lines[key], f"unknown option {key}{_hint(key, declared)}")
        else:
            _put(found, key, option, tree, problems)
    return found


def _put(found: dict[str, Any], key: str, option: Option, tree: Tree, problems: Problems) -> None:
    name, text = key.removeprefix(":"), tree.text if isinstance(tree, Scalar) else None
    if isinstance(tree, Scalar) and text is None and option.default is None:
        found[name] = None
        return
    try:
        if text is None:
            raise ValueError(key)
        found[name] = option.kind.parse(text)
    except ValueError:
        # The value is not repeated: it may be a password.
        problems.add(tree.line, f"{key} must be {option.kind.allowed}")


def _hint(key: str, declared: Mapping[str, Option]) -> str:
    near = difflib.get_close_matches(key.strip(":"), declared, 1)
    return f" (did you mean :{near[0]}:?)" if near else ""
