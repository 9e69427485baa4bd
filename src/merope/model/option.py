"""How a configuration option is declared: its name in the file, its kind, default and meaning.

A settings class (see `settings.py`) is a frozen dataclass whose fields are made by `option`, `names` and
`sections`; reading a file, checking it, printing it and documenting it all walk these declarations.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Protocol, TypeVar, cast, overload

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Kind(Protocol[T_co]):
    """The type of an option: text in the file to a value."""

    @property
    def allowed(self) -> str:
        """What a user may write, as the end of a sentence ("expected …")."""

    def parse(self, text: str) -> T_co:
        """The value of `text`; ValueError when it is not allowed."""


@dataclass(frozen=True)
class Text:
    """Any text, or text of a form that a pattern gives."""

    pattern: str = ""
    allowed: str = "text"

    def parse(self, text: str) -> str:
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class Integer:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int | None = None

    @property
    def allowed(self) -> str:
        if self.high is None:
            return f"a whole number, {self.low} or more"
        return f"a whole number from {self.low} to {self.high}"

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text, re.ASCII):
            raise ValueError(text)
        number = int(text)
        if number < self.low or (self.high is not None and number > self.high):
            raise ValueError(text)
        return number


@dataclass(frozen=True)
class Cost:
    """A price: a number, 0 or more."""

    allowed: str = "a number, 0 or more"

    def parse(self, text: str) -> float:
        if not re.fullmatch(r"\s*[0-9]{1,15}(\.[0-9]{1,15})?\s*", text, re.ASCII):
            raise ValueError(text)
        return float(text)


@dataclass(frozen=True)
class YesNo:
    """YES or NO in any case."""

    allowed: str = "YES or NO"

    def parse(self, text: str) -> bool:
        word = text.strip().upper()
        if word not in ("YES", "NO"):
            raise ValueError(text)
        return word == "YES"


@dataclass(frozen=True)
class MaybeYesNo:
    """YES, NO, or blank (None) where the decision is left to something else."""

    allowed: str = "YES, NO or blank"

    def parse(self, text: str) -> bool | None:
        return YesNo().parse(text) if text.strip() else None


@dataclass(frozen=True)
class Choice:
    """One of some words, in any case; the value is the word as declared."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(self.words)

    def parse(self, text: str) -> str:
        for word in self.words:
            if word.upper() == text.strip().upper():
                return word
        raise ValueError(text)


@dataclass(frozen=True)
class Octal:
    """A mode of three octal digits."""

    allowed: str = "three octal digits"

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"0?[0-7]{3}", text.strip(), re.ASCII):
            raise ValueError(text)
        return int(text, 8)


@dataclass(frozen=True)
class Words:
    """A comma-separated list; when `words` is given, only these may stand in it (any case)."""

    words: frozenset[str] = frozenset()

    @property
    def allowed(self) -> str:
        return "a comma-separated list" + (f" of {', '.join(sorted(self.words))}" if self.words else "")

    def parse(self, text: str) -> tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(",") if part.strip())
        if not self.words:
            return parts
        lowered = tuple(part.lower() for part in parts)
        if not self.words.issuperset(lowered):
            raise ValueError(text)
        return lowered


@dataclass(frozen=True)
class Rights:
    """Rights joined by +, blank or - for none: the value is a tuple such as ("USE", "MANAGE")."""

    allowed: str = "USE, MANAGE, ADMIN or CREATE joined by +, or - for none"

    def parse(self, text: str) -> tuple[str, ...]:
        if text.strip() in ("", "-"):
            return ()
        rights = tuple(part.strip().upper() for part in text.split("+"))
        if not {"USE", "MANAGE", "ADMIN", "CREATE"}.issuperset(rights):
            raise ValueError(text)
        return rights


@dataclass(frozen=True)
class Ranges:
    """Numbers and ranges a:b, comma-separated: the value is pairs (first, last), both included."""

    high: int
    allowed: str = "numbers and ranges a:b, comma-separated"

    def parse(self, text: str) -> tuple[tuple[int, int], ...]:
        number = Integer(0, self.high)
        pairs = []
        for part in text.split(","):
            if not part.strip():
                continue
            first, colon, last = part.partition(":")
            pair = (number.parse(first), number.parse(last if colon else first))
            if pair[0] > pair[1]:
                raise ValueError(text)
            pairs.append(pair)
        return tuple(pairs)


@dataclass(frozen=True)
class MacPrefix:
    """The first two bytes of the MAC addresses that leases get, as a number (02:00 is 0x0200)."""

    allowed: str = "two bytes such as 02:00"

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"[0-9a-fA-F]{1,2}:[0-9a-fA-F]{1,2}", text.strip(), re.ASCII):
            raise ValueError(text)
        first, _, second = text.partition(":")
        return int(first, 16) << 8 | int(second, 16)


# The keys that a section may have; a key that ends in * stands for every key with that beginning.
SectionKeys = Mapping[str, Kind[object]]
Section = Mapping[str, str]


@dataclass(frozen=True)
class Option:
    """One option of a configuration file.

    `name` is NAME, or SECTION/KEY for a key of a section that has one occurrence. `default` is None where the
    original leaves the option out. `shown` tells whether an untouched default is part of what
    one.system.config answers (the original's own file leaves some out). `ours` marks an option that
    OpenNebula 5.12 does not have; `note` says where our default or meaning departs from it.
    """

    name: str
    kind: Kind[object]
    default: str | None
    meaning: str
    secret: bool = False
    shown: bool = True
    ours: bool = False
    note: str = ""


@dataclass(frozen=True)
class NameList:
    """An option that is written once for each entry, such as VM_RESTRICTED_ATTR; value: tuple of text."""

    name: str
    default: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class SectionList:
    """A driver section, such as VM_MAD; value: dict from NAME to its keys (key "" where it has no NAME).

    Those that are `merged` keep the defaults whose NAME a file does not mention; the others are replaced as
    a whole by what a file gives.
    """

    name: str
    keys: SectionKeys
    default: tuple[Section, ...]
    meaning: str
    merged: bool = False


Declaration = Option | NameList | SectionList
_KEY = "declaration"


@overload
def option(name: str, kind: Kind[T], default: str, meaning: str, **more: Any) -> T: ...
@overload
def option(name: str, kind: Kind[T], default: None, meaning: str, **more: Any) -> T | None: ...
def option(name: str, kind: Kind[T], default: str | None, meaning: str, **more: Any) -> T | None:
    """A field for one option; `more` are further fields of `Option`."""
    declared = Option(name, cast(Kind[object], kind), default, meaning, **more)
    value = None if default is None else kind.parse(default)
    return field(default=value, metadata={_KEY: declared})


def names(name: str, default: Iterable[str], meaning: str) -> tuple[str, ...]:
    """A field for an option that is written once for each entry."""
    declared = NameList(name, tuple(default), meaning)
    return field(default=declared.default, metadata={_KEY: declared})


def sections(
    name: str, keys: SectionKeys, default: Iterable[Section], meaning: str, merged: bool = False
) -> Mapping[str, Section]:
    """A field for a driver section, a dict keyed by NAME."""
    declared = SectionList(name, keys, tuple(default), meaning, merged)
    made: Callable[[], Mapping[str, Section]] = lambda: by_name(declared.default)  # noqa: E731
    return field(default_factory=made, metadata={_KEY: declared})


def by_name(given: Iterable[Section]) -> dict[str, Section]:
    """Sections keyed by their NAME, in order; the last of a NAME counts."""
    return {section.get("NAME", ""): section for section in given}


def declarations(settings: type[Any]) -> dict[str, Declaration]:
    """Field name to declaration, in the order of the class."""
    declared = cast(Iterable[Field[Any]], fields(settings))
    return {f.name: f.metadata[_KEY] for f in declared if _KEY in f.metadata}
