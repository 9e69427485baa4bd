"""The scheduler's two languages: requirements (does this host fit?) and ranks (which one fits best?).

Grammar and meaning are those of OpenNebula 5.12.  In requirements `!`, `&` and `|` share one level and
are read from the left: `a & b | c` is `(a & b) | c`, `! a & b` is `(!a) & b`.  The right operand's type
decides the comparison: a number compares with the number at the beginning of the attribute, a string is
a shell pattern (fnmatch) for it.  What is not found, or is not a number where one is needed, makes the
comparison false, `!=` too.  Deliberate differences, on input that 5.12 misreads silently: characters
outside the grammar are errors, `A -5` in a rank is a subtraction, and a division by zero counts as 0.

An expression is compiled once to closures; its text is never evaluated as Python.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from merope.model.expression_reader import (
    END,
    FLOAT,
    INTEGER,
    QUOTED,
    SYMBOL,
    WORD,
    ExpressionError,
    Reader,
)

__all__ = [
    "CURRENT_VMS",
    "ExpressionError",
    "Rank",
    "Requirement",
    "View",
    "compile_rank",
    "compile_requirements",
]

CURRENT_VMS = "CURRENT_VMS"
"""In requirements: the ids of the VMs on the host, as a set (`=` is "one of them", `!=` "none of them")."""

MAX_PATTERN = 512
"""Characters of the longest shell pattern: what reads one takes time by the square of its length."""


class View(Protocol):
    """An object as expressions see it.  Names are attributes or XPath suffixes such as CLUSTERS/ID."""

    def first(self, name: str) -> str | None:
        """The first match of `name` in the object's lookup paths, None when there is none."""

    def all(self, path: str) -> list[str]:
        """Every match, in document order; CURRENT_VMS gives the ids of the VMs there."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A compiled requirement.  `names` are the attributes it looks at."""

    text: str
    names: frozenset[str]
    matches: Callable[[View], bool]


@dataclass(frozen=True, slots=True)
class Rank:
    """A compiled rank.  `value` is truncated to an integer; `names` are the attributes it looks at."""

    text: str
    names: frozenset[str]
    value: Callable[[View], int]


@lru_cache(maxsize=4096)
def compile_requirements(text: str) -> Requirement:
    """Compile a requirements expression; the empty one is always true.  Raises ExpressionError."""
    reader = Reader(text)
    matches = _always if reader.kind == END else _disjunction(reader)
    reader.finish("'&' or '|'")
    return Requirement(text, frozenset(reader.names), matches)


@lru_cache(maxsize=4096)
def compile_rank(text: str) -> Rank:
    """Compile a rank expression; the empty one is 0.  Raises ExpressionError."""
    reader = Reader(text)
    number = _constant(0.0) if reader.kind == END else _sum(reader)
    reader.finish("an operator")
    return Rank(text, frozenset(reader.names), lambda view: _truncate(number(view)))


_Test = Callable[[View], bool]
_Number = Callable[[View], float]


def _disjunction(reader: Reader) -> _Test:
    """A chain of `&` and `|`, as one closure: a chain of thousands must not nest calls."""
    first = _condition(reader)
    rest: list[tuple[bool, _Test]] = []
    while reader.kind == SYMBOL and reader.lexeme in "&|":
        conjunction = reader.lexeme == "&"
        reader.advance()
        rest.append((conjunction, _condition(reader)))
    if not rest:
        return first

    def chain(view: View) -> bool:
        result = first(view)
        for conjunction, test in rest:
            if result is conjunction:
                result = test(view)
        return result

    return chain


def _condition(reader: Reader) -> _Test:
    if reader.symbol("!"):
        reader.enter()
        inner = _condition(reader)
        reader.leave()
        return lambda view: not inner(view)
    if reader.symbol("("):
        reader.enter()
        inner = _disjunction(reader)
        reader.expect(")")
        reader.leave()
        return inner
    if reader.kind not in (WORD, QUOTED):
        reader.fail("STRING, '!' or '('")
    return _comparison(reader)


def _comparison(reader: Reader) -> _Test:
    name = reader.name()
    for operator in ("=", "!", "@", ">", "<"):
        if reader.symbol(operator):
            break
    else:
        reader.fail("'=', '!=', '@>', '>' or '<'")
    if operator in "!@":
        reader.expect("=" if operator == "!" else ">")
    string = reader.kind in (WORD, QUOTED)
    if not (string or reader.kind in (INTEGER, FLOAT)) or (string and operator in "<>"):
        reader.fail("INTEGER or FLOAT" if operator in "<>" else "INTEGER, FLOAT or STRING")
    kind, operand = reader.kind, reader.lexeme
    reader.advance()
    if name == CURRENT_VMS:
        return _current_vms(operator, operand)
    if not string:
        return _compare_number(name, operator, operand, kind == FLOAT)
    if not operand or not name:
        return _never  # 5.12's null string: no comparison with it is true
    return _compare_string(name, operator, _glob(operand))


def _compare_number(name: str, operator: str, operand: str, real: bool) -> _Test:
    parse: Callable[[str | None], float | None] = _leading_float if real else _leading_int
    wanted = float(operand) if real else _integer(operand)
    if operator == "@":
        return lambda view: any(parse(text) == wanted for text in view.all(name))
    if operator == "=":
        return lambda view: parse(view.first(name)) == wanted
    if operator == "!":
        return lambda view: (value := parse(view.first(name))) is not None and value != wanted
    if operator == ">":
        return lambda view: (value := parse(view.first(name))) is not None and value > wanted
    return lambda view: (value := parse(view.first(name))) is not None and value < wanted


def _compare_string(name: str, operator: str, match: Callable[[str], bool]) -> _Test:
    if operator == "@":
        return lambda view: any(map(match, view.all(name)))
    if operator == "=":
        return lambda view: (text := view.first(name)) is not None and match(text)
    return lambda view: (text := view.first(name)) is not None and not match(text)


def _current_vms(operator: str, operand: str) -> _Test:
    if operator == "!":
        return lambda view: operand not in view.all(CURRENT_VMS)
    if operator in "=@":
        return lambda view: operand in view.all(CURRENT_VMS)
    return _never


def _glob(pattern: str) -> Callable[[str], bool]:
    """fnmatch(3) without flags: `*`, `?`, `[…]`, `[!…]`, `[^…]`; a backslash quotes one character."""
    if not re.search(r"[*?\[\\]", pattern):
        return pattern.__eq__
    if len(pattern) > MAX_PATTERN:
        raise ExpressionError(
            f"a pattern of {len(pattern)} characters is too long: it has at most {MAX_PATTERN}"
        )
    escaped = re.sub(r"\\(.)", lambda m: f"[{m[1]}]" if m[1] in "*?[" else m[1], pattern, flags=re.DOTALL)
    return _matcher(re.compile(fnmatch.translate(escaped.replace("[^", "[!"))))


def _matcher(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.match(text) is not None


def _sum(reader: Reader) -> _Number:
    terms = [(1.0, _product(reader))]
    while True:
        if reader.symbol("+"):
            terms.append((1.0, _product(reader)))
        elif reader.symbol("-"):
            terms.append((-1.0, _product(reader)))
        elif reader.kind in (INTEGER, FLOAT) and reader.lexeme.startswith("-"):
            terms.append((1.0, _product(reader)))
        else:
            break
    if len(terms) == 1:
        return terms[0][1]
    return lambda view: sum(sign * term(view) for sign, term in terms)


def _product(reader: Reader) -> _Number:
    first = _factor(reader)
    rest: list[tuple[bool, _Number]] = []
    while reader.kind == SYMBOL and reader.lexeme in "*/":
        division = reader.lexeme == "/"
        reader.advance()
        rest.append((division, _factor(reader)))
    if not rest:
        return first

    def product(view: View) -> float:
        result = first(view)
        for division, factor in rest:
            value = factor(view)
            if not division:
                result *= value
            else:
                result = result / value if value else 0.0
        return result

    return product


def _factor(reader: Reader) -> _Number:
    if reader.symbol("-"):
        reader.enter()
        inner = _factor(reader)
        reader.leave()
        return lambda view: -inner(view)
    if reader.symbol("("):
        reader.enter()
        inner = _sum(reader)
        reader.expect(")")
        reader.leave()
        return inner
    if reader.kind in (WORD, QUOTED):
        name = reader.name()
        return lambda view: _leading_float(view.first(name)) or 0.0
    if reader.kind not in (INTEGER, FLOAT):
        reader.fail("STRING, INTEGER, FLOAT, '-' or '('")
    number = float(reader.lexeme)
    reader.advance()
    return _constant(number)


def _constant(number: float) -> _Number:
    return lambda view: number  # noqa: ARG005 - a number looks at nothing


def _always(view: View) -> bool:  # noqa: ARG001
    return True


def _never(view: View) -> bool:  # noqa: ARG001
    return False


_INT = re.compile(r"[ \t\n]*+([+-]?[0-9]++)")
_REAL = re.compile(r"[ \t\n]*+([+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)")
_RANK_LIMIT = 2**63 - 1


def _integer(digits: str) -> float:
    """Python refuses to read integers of thousands of digits."""
    return int(digits) if len(digits) < 1000 else float(digits)


# Hosts are asked for the same few figures again and again.
@lru_cache(maxsize=16384)
def _leading_int(text: str | None) -> float | None:
    found = _INT.match(text) if text else None
    return _integer(found[1]) if found else None


@lru_cache(maxsize=16384)
def _leading_float(text: str | None) -> float | None:
    found = _REAL.match(text) if text else None
    return float(found[1]) if found else None


def _truncate(value: float) -> int:
    if math.isnan(value):
        return 0
    return int(max(-_RANK_LIMIT, min(_RANK_LIMIT, value)))
