"""Calls of the API as events: the hooks that they are due to, and the message that subscribers get.

Source: spec drivers.yaml `hm`, xml.yaml `HOOK_MESSAGE api`. Values that the method declares hidden, and the
session, are never in a message.
"""

from collections.abc import Sequence
from typing import Any

from merope.core import views
from merope.core.hook_matching import API_WORD, api_key, hooks_on_call, run_hook
from merope.core.methods import Method, Pieces, Result, Type
from merope.core.transaction import Transaction
from merope.model.document import Document, escape, unescape
from merope.model.errors import ApiError
from merope.model.event import Heard
from merope.model.hook import QUIET
from merope.model.kinds import BY_API, BY_DOCUMENT
from merope.model.secret_attributes import conceal
from merope.model.state import State
from merope.model.user import User

_HIDDEN = "****"


def watched(state: State, heard: Heard, call: str) -> bool:
    """Whether anybody wants to know that a method was called."""
    if call.rpartition(".")[2] in QUIET:
        return False
    if state.pools["hook_pool"].entries and hooks_on_call(state, call):
        return True
    return heard(api_key(call, success=True)) or heard(api_key(call, success=False))


def before(tx: Transaction, method: Method, arguments: Sequence[Any]) -> str:
    """The document of what is about to be deleted, "" for every other call."""
    kind = _kind(method, "delete")
    if kind is None:
        return ""
    try:
        return _document(tx, tx.get(kind, int(arguments[0])))
    except ApiError:
        return ""


def succeeded(
    tx: Transaction, method: Method, arguments: Sequence[Any], result: Result, extra: str = ""
) -> None:
    kind = _kind(method, "allocate")
    if kind is not None and isinstance(result, int):
        made = tx.find(kind, result)
        extra = "" if made is None else _document(tx, made)
    _note(tx, method, arguments, True, ("true", _result(method, result), "0"), extra)


def refused(tx: Transaction, method: Method, arguments: Sequence[Any], error: ApiError) -> int:
    told = f"[{method.name}] {error.message}"
    _note(tx, method, arguments, False, ("false", told, str(int(error.code)), str(error.oid)), "")
    return 0


def _note(
    tx: Transaction,
    method: Method,
    arguments: Sequence[Any],
    success: bool,
    out: Sequence[str],
    extra: str,
) -> None:
    shown = (
        _HIDDEN,
        *(_HIDDEN if p.hidden else _text(v) for p, v in zip(method.params, arguments, strict=False)),
    )
    info = (
        f"<CALL_INFO><RESULT>{int(success)}</RESULT><PARAMETERS>{_parameters('IN', shown)}"
        f"{_parameters('OUT', out)}</PARAMETERS><EXTRA>{extra}</EXTRA></CALL_INFO>"
    )
    for hook in hooks_on_call(tx.state, method.name):
        run_hook(tx, hook, API_WORD, info)
    key = api_key(method.name, success=success)
    if tx.context.heard(key):
        message = f"<HOOK_TYPE>API</HOOK_TYPE><CALL>{method.name}</CALL>{info}"
        tx.tell((key,), f"<HOOK_MESSAGE>{message}</HOOK_MESSAGE>")


def _parameters(direction: str, values: Sequence[str]) -> str:
    return "".join(
        f"<PARAMETER><POSITION>{place}</POSITION><TYPE>{direction}</TYPE>"
        f"<VALUE>{escape(value)}</VALUE></PARAMETER>"
        for place, value in enumerate(values, 1)
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)


def _result(method: Method, result: Result) -> str:
    if method.returns is Type.STRING and any(param.hidden for param in method.params):
        # A method that takes a secret and answers a text answers a secret: a login token.
        return _HIDDEN
    if isinstance(result, Pieces):
        return ""
    return unescape(result) if isinstance(result, bytes) else _text(result)


def _kind(method: Method, action: str) -> type[Document] | None:
    _, api, last = method.name.split(".")
    kind = BY_API.get(api)
    return kind.document if kind is not None and last == action else None


def _document(tx: Transaction, value: Document) -> str:
    """As it is stored, but for what would let a reader act as a user."""
    if isinstance(value, User):
        return views.without_secrets(value)
    if value.id in tx.state.pools[BY_DOCUMENT[type(value)].table].entries:
        return value.to_xml()
    conceal(value, tx.settings)
    return value.to_xml()
