"""Running one method on one transaction: its declared rights first, then its command."""

from collections.abc import Sequence
from typing import Any

from merope.core import authorization, hook_calls, vm_rights
from merope.core.methods import Access, Method, Need, Result
from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.kinds import BY_API

#: Last words of the methods that make an object of another one, and refuse with code ALLOCATE and the kind
#: of that one in front ("Error allocating a new virtual machine template. …" for instantiate). All the
#: others refuse with the reason alone, code INTERNAL: 5.12 says "[one.user.allocate] NAME is already …"
#: (recorded cli.txt).
_FROM_ANOTHER = frozenset({"clone", "instantiate", "reserve"})


def execute(tx: Transaction, method: Method, arguments: Sequence[Any]) -> Result:
    """Raises ApiError, and then nothing has changed. `arguments` are complete and of the declared types."""
    permit(tx, method, arguments)
    watched = hook_calls.watched(tx.state, tx.context.heard, method.name)
    extra = hook_calls.before(tx, method, arguments) if watched else ""
    try:
        result = method.run(tx, *arguments)
    except ApiError as error:
        if error.code is not Code.ALLOCATE:
            raise
        raise _not_allocated(method, error) from error
    if watched:
        hook_calls.succeeded(tx, method, arguments, result, extra)
    return result


def permit(tx: Transaction, method: Method, arguments: Sequence[Any]) -> Result:
    """Raises ApiError when the caller has not the rights that the method declares."""
    _check_access(tx, method)
    if method.needs:
        _check_needs(tx, method, arguments)
    return True


def _not_allocated(method: Method, error: ApiError) -> ApiError:
    _, api, action = method.name.split(".")
    if action not in _FROM_ANOTHER:
        return ApiError(Code.INTERNAL, error.message, error.oid)
    label = BY_API[api].label
    return ApiError(Code.ALLOCATE, f"Error allocating a new {label}. {error.message}", error.oid)


def _check_access(tx: Transaction, method: Method) -> None:
    if method.access is Access.ANYONE:
        return
    caller = tx.caller
    if (caller.uid if method.access is Access.ONEADMIN else caller.gid) != 0:
        api = method.name.split(".")[1].removesuffix("quota").removesuffix("pool").removesuffix("log")
        kind = BY_API.get(api)
        raise authorization.not_allowed(caller, api if kind is None else kind.label)


def _check_needs(tx: Transaction, method: Method, arguments: Sequence[Any]) -> None:
    targets = []
    for need in method.needs:
        oid = _oid(method, need, arguments)
        if oid is None:
            targets.append(authorization.create(need.kind))
        elif not need.lock and tx.caller.is_admin:
            tx.entry(need.kind, oid)
        elif oid >= 0:
            op = vm_rights.right(tx, need.action) if need.action else need.op
            targets.append(authorization.on(op, tx.get(need.kind, oid), lock=need.lock))
        elif need.default >= 0:
            targets.append(authorization.on(need.op, tx.get(need.kind, need.default), lock=need.lock))
        else:
            tx.get(need.kind, oid)
    authorization.require(tx, *targets)


def _oid(method: Method, need: Need, arguments: Sequence[Any]) -> int | None:
    if not need.argument:
        return None
    place = next(place for place, param in enumerate(method.params) if param.name == need.argument)
    return int(arguments[place])
