"""docs/reference/methods.md: every method of the API, from the table that the door looks calls up in, and
which tests show what it does, from tests/methods.tsv (`make method-tests`)."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import merope.core.commands  # noqa: F401 - declares them
from merope.core.methods import METHODS, Access, Method, Need, Param, Type
from merope.model.kinds import BY_DOCUMENT

_ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(_ROOT))
from tests import method_tests  # noqa: E402 - the tests are beside the scripts, and in no package

_INTRODUCTION = """\
# Methods of the API

XML-RPC on `/RPC2`. The first argument of every call is the session, `user:secret`; it is left out below. An
argument with `=` may be left out, from the end of the call. An answer is `(true, value, 0)`, or
`(false, message, code, id, -1)` for a refusal.

The rights are those on permission bits and access rules; whoever is in the group oneadmin has them all. A
locked object refuses what its lock covers, but where "also while locked" is said.

This page is generated from the declarations beside the commands in `src/merope/core/` (`make generate`).
"""

#: Methods that cannot answer but with a refusal, and why.
_NEVER = {
    "one.hook.retry": "nothing runs hooks yet",
    "one.zone.fedreplicate": "a zone that stands alone is no slave",
    "one.zone.voterequest": "a zone that stands alone votes for nobody",
}

_TESTS = """
## Tests

For each method a test that shows it answer, one that shows it refuse, and the release that it came with.
These are found by running the tests, and kept in `tests/methods.tsv` (`make method-tests`); the build fails
when a method has none of one kind.

| Method | Answers | Refuses | Since |
|---|---|---|---|
"""

_TYPES = {
    Type.STRING: "string",
    Type.INTEGER: "integer",
    Type.BOOLEAN: "boolean",
    Type.INTEGER8: "64-bit integer",
    Type.ARRAY: "array",
}


def markdown() -> str:
    parts = [_INTRODUCTION, f"\n{len(METHODS)} methods.\n"]
    for group, names in groupby(sorted(METHODS), key=lambda name: name.split(".")[1]):
        parts.append(
            f"\n## one.{group}\n\n| Method | Arguments | Answers | Rights | |\n|---|---|---|---|---|\n"
        )
        parts += [_line(METHODS[name]) for name in names]
    parts.append(_TESTS)
    known = method_tests.read()
    parts += [_tested(name, known[name]) for name in sorted(known)]
    return "".join(parts)


def untested() -> Iterator[str]:
    """What the tests do not show of each method, as sentences."""
    known = method_tests.read()
    yield from (f"{name} is no method any more" for name in known.keys() - METHODS.keys())
    for name in sorted(METHODS):
        shown = known.get(name, method_tests.Shown(""))
        for outcome, test in ((method_tests.ANSWERS, shown.answers), (method_tests.REFUSES, shown.refuses)):
            if not test:
                if outcome == method_tests.REFUSES or name not in _NEVER:
                    yield f"no test shows that {name} {outcome}"
            elif not _exists(test):
                yield f"{test}, which is to show that {name} {outcome}, is not there"


def _exists(test: str) -> bool:
    file, _, function = test.partition("::")
    return function.rpartition("::")[2] in _functions(file)


@cache
def _functions(file: str) -> frozenset[str]:
    if not (_ROOT / file).exists():
        return frozenset()
    tree = ast.parse((_ROOT / file).read_text())
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def _tested(name: str, shown: method_tests.Shown) -> str:
    answers = _link(shown.answers) or _NEVER.get(name, "**none**")
    return f"| `{name}` | {answers} | {_link(shown.refuses) or '**none**'} | {shown.since} |\n"


def _link(test: str) -> str:
    """A link to the test's file that reads like the sentence that the test's name is."""
    file, _, function = test.partition("::")
    words = function.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    return f"[{words}](../../{file})" if test else ""


def _line(method: Method) -> str:
    words = (method.run.__doc__ or _COMMON.get(method.name.rpartition(".")[2], "")).strip().split("\n\n")[0]
    cells = (
        f"`{method.name}`",
        "<br>".join(map(_param, method.params)) or "none",
        _TYPES[method.returns],
        "<br>".join(_rights(method)),
        " ".join(words.split()),
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _param(param: Param) -> str:
    default = "" if param.default is ... else f" = `{_value(param.default)}`"
    return f"{param.name}: {_TYPES[param.type]}{default}{' (never logged)' if param.hidden else ''}"


def _value(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f'"{default}"' if isinstance(default, str) else str(default)


def _rights(method: Method) -> list[str]:
    rights = [_right(need) for need in method.needs]
    if method.access is not Access.ANYONE:
        rights.append(method.access.value)
    if method.also:
        rights.append(method.also)
    return rights or ["any user"]


def _right(need: Need) -> str:
    text = f"{need.op.name} {BY_DOCUMENT[need.kind].type.name}"
    if need.argument:
        text += f" [{need.argument}]"
    if need.default >= 0:
        text += f" ({need.default} for a negative one)"
    return text if need.lock else f"{text}, also while locked"


#: What the methods that most kinds have in common do.
_COMMON = {
    "update": "Replaces the attributes (type 0), or merges them (type 1).",
    "rename": "Gives the object another name.",
    "chown": "Gives the object to another user or group; -1 keeps one.",
    "chmod": "Changes the permission bits: -1 keeps a bit, 0 and 1 set it.",
    "lock": "Locks the object: 1 USE, 2 MANAGE, 4 ADMIN and what is above.",
    "unlock": "Takes the lock off.",
    "info": "The object's document.",
}
