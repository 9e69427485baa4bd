"""Actions of guests on VMs of their service, by 5.12's names (spec drivers.yaml `onegate.actions`)."""

from collections.abc import Callable
from typing import Any

from merope.services.web import Refusal

Json = dict[str, Any]
#: Method of the API and its arguments, from the VM and the action's parameters.
Call = tuple[str, tuple[Any, ...]]


def _plain(name: str) -> Callable[[int, Json], Call]:
    return lambda vm, _: ("one.vm.action", (name, vm))


def _hard(name: str) -> Callable[[int, Json], Call]:
    return lambda vm, params: ("one.vm.action", (f"{name}-hard" if params.get("hard") else name, vm))


def _number(params: Json, name: str, default: int | None = None) -> int:
    value = params.get(name, default)
    try:
        return int(str(value))
    except ValueError:
        raise Refusal(400, f"params.{name} must be a whole number.") from None


def _text(params: Json, name: str) -> str:
    value = params.get(name, "")
    if not isinstance(value, str):
        raise Refusal(400, f"params.{name} must be text.")
    return value


def _octet(params: Json) -> tuple[int, ...]:
    text = str(params.get("octet", ""))
    if len(text) != 3 or any(digit not in "01234567" for digit in text):
        raise Refusal(400, "params.octet must be three octal digits.")
    return tuple(int(text[who]) >> shift & 1 for who in range(3) for shift in (2, 1, 0))


_PLAIN = ("resume", "stop", "suspend", "resched", "unresched", "hold", "release")
_ACTIONS: dict[str, Callable[[int, Json], Call]] = {
    **{name: _plain(name) for name in _PLAIN},
    **{name: _hard(name) for name in ("terminate", "reboot", "poweroff", "undeploy")},
    "deploy": lambda vm, p: ("one.vm.deploy", (vm, _number(p, "host_id"), bool(p.get("enforce")), -1, "")),
    "migrate": lambda vm, p: (
        "one.vm.migrate", (vm, _number(p, "host_id"), False, bool(p.get("enforce")), -1, 0),
    ),
    "livemigrate": lambda vm, p: (
        "one.vm.migrate", (vm, _number(p, "host_id"), True, bool(p.get("enforce")), -1, 0),
    ),
    "saveas": lambda vm, p: (
        "one.vm.disksaveas", (vm, _number(p, "disk_id"), _text(p, "name"), _text(p, "type"), -1),
    ),
    "snapshot_create": lambda vm, p: ("one.vm.snapshotcreate", (vm, _text(p, "name"))),
    "snapshot_revert": lambda vm, p: ("one.vm.snapshotrevert", (vm, _number(p, "snapshot_id"))),
    "snapshot_delete": lambda vm, p: ("one.vm.snapshotdelete", (vm, _number(p, "snapshot_id"))),
    "chown": lambda vm, p: ("one.vm.chown", (vm, _number(p, "owner_id", -1), _number(p, "group_id", -1))),
    "chmod": lambda vm, p: ("one.vm.chmod", (vm, *_octet(p))),
    "resize": lambda vm, p: ("one.vm.resize", (vm, _text(p, "template"), bool(p.get("enforce", True)))),
    "attachdisk": lambda vm, p: ("one.vm.attach", (vm, _text(p, "disk_template"))),
    "detachdisk": lambda vm, p: ("one.vm.detach", (vm, _number(p, "disk_id"))),
    "attachnic": lambda vm, p: ("one.vm.attachnic", (vm, _text(p, "nic_template"))),
    "detachnic": lambda vm, p: ("one.vm.detachnic", (vm, _number(p, "nic_id"))),
    "rename": lambda vm, p: ("one.vm.rename", (vm, _text(p, "name"))),
    "recover": lambda vm, p: ("one.vm.recover", (vm, _number(p, "result", 0))),
}  # fmt: skip


def call_of(vm: int, action: str, params: Json, restricted: frozenset[str]) -> Call:
    """Raises Refusal 400 for an action that is not known, 403 for one that is restricted."""
    name = action.lower().replace("-", "_")
    hard = name.endswith("_hard") and name.removesuffix("_hard") in _ACTIONS
    name = name.removesuffix("_hard") if hard else name
    if name not in _ACTIONS:
        raise Refusal(400, f"Action {action[:40]!r} is none of {', '.join(sorted(_ACTIONS))}.")
    if name in restricted:
        raise Refusal(403, f"Action {name} is restricted.")
    return _ACTIONS[name](vm, {**params, "hard": True} if hard else params)
