"""What effects answer: each operation has one handler, which a kind's own module registers."""

from collections.abc import Callable
from datetime import UTC, datetime

from merope.core.transaction import Transaction
from merope.model.effect import Effect
from merope.model.template import Template

Handler = Callable[[Transaction, Effect, bool, str, dict[str, str]], None]
"""Gets the effect, whether it succeeded, the driver's message and what else it told."""

_HANDLERS: dict[str, Handler] = {}
_LONGEST_MESSAGE = 2000


def on_result(op: str) -> Callable[[Handler], Handler]:
    """Declares the decorated function to be what takes the results of effect `op`."""

    def declare(handler: Handler) -> Handler:
        if op in _HANDLERS:
            raise ValueError(f"Results of {op} are taken by two handlers")
        _HANDLERS[op] = handler
        return handler

    return declare


def handled() -> frozenset[str]:
    """Every operation that has a handler, for the engine to check at start that it knows them all."""
    return frozenset(_HANDLERS)


def take_result(
    tx: Transaction, effect_id: int, ok: bool, message: str = "", data: dict[str, str] | None = None
) -> bool:
    """Takes the answer of an effect and completes it. False, and nothing changes, when nobody waits for it:
    it was answered already, or is no longer wanted."""
    effect = tx.state.effects.get(effect_id)
    if effect is None:
        return False
    tx.complete_effect(effect_id)
    _HANDLERS[effect.op](tx, effect, ok, message, data or {})
    return True


def note_error(tx: Transaction, template: Template, message: str) -> None:
    """ERROR of a template: "<date> : <message>" as 5.12 writes it; the date is UTC."""
    when = datetime.fromtimestamp(tx.now, UTC).strftime("%a %b %d %H:%M:%S %Y")
    clean = "".join(char if char.isprintable() else " " for char in message[:_LONGEST_MESSAGE])
    template.set("ERROR", f"{when} : {clean.replace(']]>', ']] >').strip()}")
