"""The tokens of requirements and rank expressions, and the errors that name a place among them."""

from __future__ import annotations

import re
from typing import NoReturn

MAX_DEPTH = 100
"""How deep parentheses, negations and signs may be nested."""
MAX_TEXT = 128 * 1024
"""Characters of the longest expression."""
MAX_NAMES = 4096
"""How often attributes may be named: each costs a look at each host, at every placement."""


class ExpressionError(ValueError):
    """An expression that cannot be read: "syntax error, … at line 1, columns a:b" (counted from 1)."""


_TOKEN = re.compile(
    r"""[ \t\r\n]*+(?: (-?[0-9]++\.[0-9]++) | (-?[0-9]++) | ([A-Za-z][0-9A-Za-z_]*+) | "([^"]*+)"
    | ([@!&|=><()*+/^-]) | (.) | \Z )""",
    re.VERBOSE,
)
END, FLOAT, INTEGER, WORD, QUOTED, SYMBOL, JUNK = range(7)
_KINDS = ("end of file", "FLOAT", "INTEGER", "STRING", "STRING", "symbol", "character")


class Reader:
    """The tokens of an expression, one ahead, and what has been seen of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()
        self.named = 0
        self.depth = 0
        self.end = 0
        if len(text) > MAX_TEXT:
            raise ExpressionError(
                f"an expression of {len(text)} characters is too long: it has at most {MAX_TEXT}"
            )
        self.advance()

    def advance(self) -> None:
        found = _TOKEN.match(self.text, self.end)
        assert found is not None, "the last alternatives take any character and the end"
        self.kind = found.lastindex or END
        self.lexeme: str = found[self.kind] if self.kind else ""
        self.end = found.end()
        quotes = 2 if self.kind == QUOTED else 0
        self.start = self.end - len(self.lexeme) - quotes

    def symbol(self, wanted: str) -> bool:
        """Take the symbol if it comes next."""
        if self.kind != SYMBOL or self.lexeme != wanted:
            return False
        self.advance()
        return True

    def expect(self, wanted: str) -> None:
        if not self.symbol(wanted):
            self.fail(f"'{wanted}'")

    def name(self) -> str:
        name = self.lexeme
        self.names.add(name)
        self.named += 1
        if self.named > MAX_NAMES:
            self.error(f"more than {MAX_NAMES} attributes")
        self.advance()
        return name

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.error(f"nested deeper than {MAX_DEPTH} levels")

    def leave(self) -> None:
        self.depth -= 1

    def finish(self, expected: str) -> None:
        if self.kind != END:
            self.fail(f"{expected} or end of file")

    def fail(self, expected: str) -> NoReturn:
        unexpected = f"'{self.lexeme}'" if self.kind in (SYMBOL, JUNK) else _KINDS[self.kind]
        self.error(f"unexpected {unexpected}, expecting {expected}")

    def error(self, what: str) -> NoReturn:
        line = self.text.count("\n", 0, self.start) + 1
        column = self.start - self.text.rfind("\n", 0, self.start)
        columns = f"{column}:{column + self.end - self.start}"
        raise ExpressionError(f"syntax error, {what} at line {line}, columns {columns}")
