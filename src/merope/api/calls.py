"""A call as the method table wants it: known method, right number of parameters, right types."""

from collections.abc import Sequence
from typing import Any

from merope.api.backend import Fault, FaultCode, Value
from merope.core.methods import METHODS, Method, Type

MOST_TEXT = 2 * 1024 * 1024
"""Characters of the longest parameter: what reads a template takes half a second for as many at worst, and
the core does nothing else meanwhile."""

_INT_RANGE = range(-(2**31), 2**31)
_LONG_RANGE = range(-(2**63), 2**63)
_NAMES = {
    Type.STRING: "string",
    Type.INTEGER: "integer",
    Type.BOOLEAN: "boolean",
    Type.INTEGER8: "64-bit integer",
    Type.ARRAY: "array",
}


def method_named(name: str) -> Method:
    """Raises Fault NO_SUCH_METHOD."""
    found = METHODS.get(name)
    if found is None:
        raise Fault(FaultCode.NO_SUCH_METHOD, f"Method '{name[:200]}' not defined")
    return found


def arguments(method: Method, params: Sequence[Value]) -> list[Any]:
    """The parameters after the session, complete with defaults; raises Fault TYPE, LIMIT_EXCEEDED.

    What follows the declared ones is ignored, as in 5.12, which reads just what it knows: clients give every
    pool the state filter that only that of VMs has.
    """
    declared = method.params
    given = len(params) - 1
    if given < 0:
        raise Fault(FaultCode.TYPE, "Not enough parameters")
    if not isinstance(params[0], str):
        raise wrong_type(Type.STRING)
    if any(isinstance(value, str) and len(value) > MOST_TEXT for value in params):
        raise Fault(FaultCode.LIMIT_EXCEEDED, f"A parameter has more than {MOST_TEXT} characters")
    if given < method.required:
        raise Fault(FaultCode.TYPE, "Not enough parameters")
    complete: list[Any] = []
    for place, param in enumerate(declared):
        if place >= given:
            complete.append(param.default)
            continue
        value = params[place + 1]
        if not _fits(param.type, value):
            raise wrong_type(param.type)
        complete.append(value)
    return complete


def wrong_type(wanted: Type) -> Fault:
    return Fault(FaultCode.TYPE, f"Parameter that is supposed to be {_NAMES[wanted]} is not")


def _fits(wanted: Type, value: Value) -> bool:
    if wanted is Type.STRING:
        return isinstance(value, str)
    if wanted is Type.BOOLEAN:
        return isinstance(value, bool)
    if wanted is Type.ARRAY:
        return isinstance(value, list)
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return value in (_INT_RANGE if wanted is Type.INTEGER else _LONG_RANGE)
