"""Expressions of elasticity policies: `(ATT > 50) && !(OTHER_ATT = 5.5 || ABC <= 30)`.

An attribute stands for its average over the role's running VMs that have it, `SERVICE/NAME` for the custom
attribute NAME of the service. Where none has it, a comparison knows nothing, and an expression whose outcome
rests on such comparisons is false.

Source: seed 000 §1.4.4; spec drivers.yaml `oneflow.policy_expression`.
"""

import operator
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

#: The average of an attribute, or the service's value; None where there is none.
Average = Callable[[str], float | None]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<name>[A-Za-z_][\w/\-]*)"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[=<>&|!()]))"
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
    "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_DEEPEST = 50


class ExpressionError(ValueError):
    """What is wrong, and where (the position counts from 1)."""


class Outcome(NamedTuple):
    """`value` is None where it is not known; `shown` has the averages that were used."""

    value: bool | None
    shown: str


class Expression(Protocol):
    def evaluate(self, average: Average) -> Outcome: ...


class Comparison(NamedTuple):
    name: str
    sign: str
    number: float

    def evaluate(self, average: Average) -> Outcome:
        found = average(self.name)
        text = "--" if found is None else f"{found:.6g}"
        shown = f"{self.name}[{text}] {self.sign} {self.number:g}"
        return Outcome(None if found is None else _COMPARE[self.sign](found, self.number), shown)


class Not(NamedTuple):
    inner: Expression

    def evaluate(self, average: Average) -> Outcome:
        value, shown = self.inner.evaluate(average)
        return Outcome(None if value is None else not value, f"!({shown})")


class Joined(NamedTuple):
    """`decisive` is the value that settles it whatever the others are: False for &&, True for ||."""

    sign: str
    decisive: bool
    parts: tuple[Expression, ...]

    def evaluate(self, average: Average) -> Outcome:
        outcomes = [part.evaluate(average) for part in self.parts]
        values = [outcome.value for outcome in outcomes]
        value = self.decisive if self.decisive in values else None if None in values else not self.decisive
        return Outcome(value, "(" + f" {self.sign} ".join(outcome.shown for outcome in outcomes) + ")")


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


def parse(text: str) -> Expression:
    """Raises ExpressionError."""
    reader = _Reader(_tokens(text))
    made = reader.either()
    if reader.now.kind != "end":
        raise reader.wrong("&&, || or the end")
    return made


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ExpressionError(f"{text[place:].strip()[:20]!r} is not understood (position {place + 1})")
        assert match.lastgroup
        found.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        place = match.end()
    return [*found, _Token("end", "", len(text))]


class _Reader:
    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    @property
    def now(self) -> _Token:
        return self._tokens[self._place]

    def wrong(self, expected: str) -> ExpressionError:
        found = repr(self.now.text) if self.now.kind != "end" else "the end"
        return ExpressionError(f"{expected} is expected, not {found} (position {self.now.place + 1})")

    def _take(self, *signs: str) -> str:
        """The sign that comes next if it is one of these, else ""."""
        token = self.now
        if token.kind == "sign" and token.text in signs:
            self._place += 1
            return token.text
        return ""

    def either(self) -> Expression:
        parts = [self._all()]
        while self._take("||", "|"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Joined("||", True, tuple(parts))

    def _all(self) -> Expression:
        parts = [self._one()]
        while self._take("&&", "&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Joined("&&", False, tuple(parts))

    def _one(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError(f"it is nested more than {_DEEPEST} deep")
        try:
            if self._take("!"):
                return Not(self._one())
            if self._take("("):
                made = self.either()
                if not self._take(")"):
                    raise self.wrong("a closing parenthesis")
                return made
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Comparison:
        name = self.now
        if name.kind != "name":
            raise self.wrong("the name of an attribute")
        self._place += 1
        sign = self._take(*_COMPARE)
        if not sign:
            raise self.wrong("one of = == != < > <= >=")
        number = self.now
        if number.kind != "number":
            raise self.wrong("a number")
        self._place += 1
        return Comparison(name.text, sign, float(number.text))
