"""docs/reference/methods.md: every method of the API, from the table that the door looks calls up in."""

from itertools import groupby

import merope.core.commands  # noqa: F401 - declares them
from merope.core.methods import METHODS, Access, Method, Need, Param, Type
from merope.model.kinds import BY_DOCUMENT

_INTRODUCTION = """\
# Methods of the API

XML-RPC on `/RPC2`. The first argument of every call is the session, `user:secret`; it is left out below. An
argument with `=` may be left out, from the end of the call. An answer is `(true, value, 0)`, or
`(false, message, code, id, -1)` for a refusal.

The rights are those on permission bits and access rules; whoever is in the group oneadmin has them all. A
locked object refuses what its lock covers, but where "also while locked" is said.

This page is generated from the declarations beside the commands in `src/merope/core/` (`make generate`).
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
    return "".join(parts)


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
