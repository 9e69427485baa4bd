"""What helps a machine that is in trouble: the hint of `onevm show` and `onevm recover --interactive`.

What each way of recovery does in a state is spec states.yaml `recover_map`, `retry_map` and `actions`.
"""

from typing import TYPE_CHECKING, NamedTuple
from xml.etree.ElementTree import Element

from merope.cli.page import enum_name
from merope.model.states import LcmState, VmState

if TYPE_CHECKING:
    from merope.cli.context import Context


class Advice(NamedTuple):
    """What happened, what to look at first, and the sub-commands of onevm that help (with their words)."""

    what: str
    first: str
    commands: tuple[str, ...]


_RETRY, _RECREATE, _DELETE = "recover {} --retry", "recover {} --recreate", "recover {} --delete"
_SUCCESS = "recover {} --success"
_HYPERVISOR = "look at the hypervisor and the log of its host"
_STORAGE = "look for a full disk, a missing file, or rights"
_NEW_HOST = "its disks could not be brought to the new host"
_NO_HOST = "its disks could not be brought back to a host"
_OFF_HOST = "its disks could not be taken off the host"

#: Beginning anew is no advice where it loses what a machine had saved.
_BY_LCM = {
    "BOOT_FAILURE": Advice("it could not be started", _HYPERVISOR, (_RETRY, _RECREATE, _DELETE)),
    "BOOT_MIGRATE_FAILURE": Advice("it could not be started on the new host", _HYPERVISOR, (_RETRY, _DELETE)),
    "BOOT_UNDEPLOY_FAILURE": Advice("it could not be started again", _HYPERVISOR, (_RETRY, _DELETE)),
    "BOOT_STOPPED_FAILURE": Advice("its saved state could not be restored", _HYPERVISOR, (_RETRY, _DELETE)),
    "PROLOG_FAILURE": Advice(
        "its disks could not be brought to the host", _STORAGE, (_RETRY, _RECREATE, _DELETE)
    ),
    "PROLOG_MIGRATE_FAILURE": Advice(_NEW_HOST, _STORAGE, (_RETRY, _DELETE)),
    "PROLOG_MIGRATE_POWEROFF_FAILURE": Advice(_NEW_HOST, _STORAGE, (_RETRY, _DELETE)),
    "PROLOG_MIGRATE_SUSPEND_FAILURE": Advice(_NEW_HOST, _STORAGE, (_RETRY, _DELETE)),
    "PROLOG_MIGRATE_UNKNOWN_FAILURE": Advice(_NEW_HOST, _STORAGE, (_RETRY, _DELETE)),
    "PROLOG_RESUME_FAILURE": Advice(_NO_HOST, _STORAGE, (_RETRY, _DELETE)),
    "PROLOG_UNDEPLOY_FAILURE": Advice(_NO_HOST, _STORAGE, (_RETRY, _DELETE)),
    "EPILOG_FAILURE": Advice(
        "its disks could not be saved or removed", _STORAGE, (_RETRY, _SUCCESS, _DELETE)
    ),
    "EPILOG_STOP_FAILURE": Advice(_OFF_HOST, _STORAGE, (_RETRY, _DELETE)),
    "EPILOG_UNDEPLOY_FAILURE": Advice(_OFF_HOST, _STORAGE, (_RETRY, _DELETE)),
    "UNKNOWN": Advice(
        "its host does not report it any more",
        "look whether the host is up",
        ("resume {}", "poweroff {} --hard", _RECREATE, _DELETE),
    ),
}
_CLONING = Advice(
    "an image that it waits for failed", "look at its images (oneimage show)", (_SUCCESS, _DELETE)
)


def advice(vm: Element) -> Advice | None:
    """For a machine that does not go on by itself, None for the others."""
    state = enum_name(VmState, vm.findtext("STATE"))
    if state == VmState.CLONING_FAILURE.name:
        return _CLONING
    if state != VmState.ACTIVE.name:
        return None
    return _BY_LCM.get(enum_name(LcmState, vm.findtext("LCM_STATE")))


def error(vm: Element) -> str | None:
    """What a driver reported last; only of a machine that is in trouble."""
    if advice(vm) is None:
        return None
    return vm.findtext("USER_TEMPLATE/ERROR") or None


def what_happened(vm: Element) -> str | None:
    found = advice(vm)
    return f"{found.what}; {found.first}" if found else None


def what_to_do(vm: Element) -> str | None:
    if (found := advice(vm)) is None:
        return None
    oid = vm.findtext("ID", "")
    return ", or ".join(f"onevm {c.format(oid)}" for c in found.commands)


def state_of(vm: Element) -> str:
    """The state of the life-cycle while it is active."""
    state = enum_name(VmState, vm.findtext("STATE"))
    return state if state != VmState.ACTIVE.name else enum_name(LcmState, vm.findtext("LCM_STATE"))


#: Letter, what it does, the number of one.vm.recover.
_CHOICES = (
    ("r", "retry the operation", 2),
    ("s", "say that it succeeded", 1),
    ("f", "say that it failed", 0),
    ("d", "delete the machine", 3),
    ("c", "delete and create it anew", 4),
)


def interactive(ctx: "Context", oid: int, first: int | None = None) -> None:
    """Show what is wrong and ask what to do, until the person quits or nothing is wrong any more.

    `first` is done before anybody is asked (`recover --retry --interactive`).
    """
    if first is not None:
        ctx.client.call("one.vm.recover", oid, first)
    while True:
        vm = ctx.client.info("vm", oid)
        ctx.print(f"VM {oid} {vm.findtext('NAME', '')}: {state_of(vm)}")
        if (found := advice(vm)) is None:
            ctx.print("  nothing to recover, or something is under way")
            if first is not None:
                return
        else:
            ctx.print(f"  {found.what}; {found.first}")
            if message := error(vm):
                ctx.print(f"  {message}")
        for letter, text, _ in _CHOICES:
            ctx.print(f"({letter}) {text}")
        ctx.print("(q) quit")
        answer = ctx.terminal.ask("Your choice: ").strip().lower()
        if answer == "q":
            return
        number = next((n for letter, _, n in _CHOICES if letter == answer), None)
        if number is not None:
            ctx.client.call("one.vm.recover", oid, number)
            first = number
