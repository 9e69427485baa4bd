"""The method table: every method of the API, declared beside the command that carries it out.

The door looks a call up here, checks the arguments against the declaration, and runs the command. The
reference in the documentation is generated from it. There is no other list of methods.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from merope.model.document import Document
from merope.model.permissions import Op


class Type(Enum):
    """Parameter and result types, by the letters of the API's signatures."""

    STRING = "s"
    INTEGER = "i"
    BOOLEAN = "b"
    INTEGER8 = "i8"
    ARRAY = "A"


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter after the session. One with a default may be left out, from the end of the call."""

    name: str
    type: Type
    default: Any = ...
    hidden: bool = False


def text(name: str, default: Any = ..., *, hidden: bool = False) -> Param:
    return Param(name, Type.STRING, default, hidden)


def integer(name: str, default: Any = ...) -> Param:
    return Param(name, Type.INTEGER, default)


def boolean(name: str, default: Any = ...) -> Param:
    return Param(name, Type.BOOLEAN, default)


def array(name: str, default: Any = ...) -> Param:
    return Param(name, Type.ARRAY, default)


@dataclass(frozen=True, slots=True)
class Need:
    """A right that the caller must have: `op` on the object of `kind` whose id is parameter `argument`.

    Without an argument it is a right on the kind itself (CREATE). With `lock` False a locked object does
    not refuse it.
    """

    op: Op
    kind: type[Document]
    argument: str = ""
    lock: bool = True
    default: int = -1
    """The id that a negative argument stands for (the default cluster), -1 where it stands for nothing."""
    action: str = ""
    """An action on VMs, whose right the configuration may have moved (core/vm_rights.py)."""


class Access(Enum):
    """What a method asks of the caller beyond its needs."""

    ANYONE = "any user"
    ONEADMIN = "uid 0 only"
    ADMIN_GROUP = "effective group 0"


@dataclass(frozen=True, slots=True)
class Pieces:
    """A long document, escaped for the wire, that is made while it is gone through: whoever does that may
    see to others between two pieces. It shows the cloud as it was, but for figures of monitoring."""

    parts: Iterator[bytes]


Answer = bool | int | str | bytes
"""`bytes` is a document already escaped for the wire."""
Listing = bytes | Pieces
Result = Answer | Pieces


@dataclass(frozen=True, slots=True)
class Method:
    """A method. `needs` are checked by the door before the command runs; what depends on the objects that
    the command finds is checked in it and told in `also`."""

    name: str
    params: tuple[Param, ...]
    returns: Type
    run: Callable[..., Result]
    needs: tuple[Need, ...] = ()
    access: Access = Access.ANYONE
    read_only: bool = False
    also: str = ""
    prepare: str = ""
    """Something slow to be found out before the command runs ("image.stat"); its result is in the context."""
    prepare_for: str = ""
    """The parameter that asks for it: while it is empty there is nothing to be found out."""

    @property
    def required(self) -> int:
        return sum(param.default is ... for param in self.params)


METHODS: dict[str, Method] = {}

Run = TypeVar("Run", bound=Callable[..., Result])


def method(
    name: str,
    *params: Param,
    returns: Type = Type.INTEGER,
    needs: tuple[Need, ...] = (),
    access: Access = Access.ANYONE,
    read_only: bool = False,
    also: str = "",
    prepare: str = "",
    prepare_for: str = "",
) -> Callable[[Run], Run]:
    """Declares the decorated command as a method of the API."""

    def declare(run: Run) -> Run:
        register(Method(name, params, returns, run, needs, access, read_only, also, prepare, prepare_for))
        return run

    return declare


def register(declared: Method) -> None:
    if declared.name in METHODS:
        raise ValueError(f"{declared.name} is declared twice")
    METHODS[declared.name] = declared
