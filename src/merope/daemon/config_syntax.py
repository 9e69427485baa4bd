"""Reads the text of a configuration file: every attribute with the line on which it stands.

The grammar is the template language's and `Template.parse` decides what is well-formed; this scan runs
only on text that it accepted, so it has no errors of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from merope.model.template import Template, TemplateError

_TOKEN = re.compile(
    r"""
    (?P<space>   [ \t\n]++ | \#[^\n]*+ )
  | (?P<name>    [A-Za-z0-9_]++ ) (?:[ \t\n]++|\#[^\n]*+)*+ = [ \t]*+
    (?: " (?P<quoted> (?:[^"\\]++|\\"|\\)*+ ) " | (?P<open> \[ ) | (?P<plain> [^=\#\x20\t\n,\[\]]*+ ) )
  | (?P<close> \] )
  | (?P<comma> , )
    """.replace("[ \\t", "[\\x20\\t"),
    re.VERBOSE,
)


@dataclass(frozen=True)
class Pair:
    """A key of a section, or a single attribute: upper-case name, text and line (from 1)."""

    name: str
    text: str
    line: int


@dataclass(frozen=True)
class Block:
    """A section: its name, its line and its keys in order."""

    name: str
    line: int
    pairs: tuple[Pair, ...]


def read(text: str) -> list[Pair | Block]:
    """The attributes in the order of the text. Raises TemplateError (with line and column)."""
    if text.startswith("<"):
        raise TemplateError("Parse error: a configuration file is not XML at line 1, columns 1:1", 1, 1)
    Template.parse(text)
    return list(_attributes(text.replace("\r\n", "\n").replace("\r", "\n")))


def _attributes(text: str) -> Iterator[Pair | Block]:
    line = 1
    opened: Pair | None = None
    pairs: list[Pair] = []
    for token in _TOKEN.finditer(text):
        if token["open"]:
            opened, pairs = Pair(token["name"].upper(), "", line), []
        elif token["close"] and opened:
            yield Block(opened.name, opened.line, tuple(pairs))
            opened = None
        elif token["name"]:
            pair = Pair(token["name"].upper(), _value(token), line)
            if opened:
                pairs.append(pair)
            else:
                yield pair
        line += token[0].count("\n")


def _value(token: re.Match[str]) -> str:
    quoted = token["quoted"]
    return (token["plain"] or "") if quoted is None else quoted.replace('\\"', '"')
