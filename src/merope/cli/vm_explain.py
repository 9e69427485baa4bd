"""`onevm explain`: why a machine waits for a host, reason by reason."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.listing import print_document
from merope.cli.vm_recovery import state_of
from merope.client import parse_document
from merope.model.states import VmState

_COPIED = ("ID", "NAME", "STATE", "LCM_STATE")
_TOLD = ("SCHED_MESSAGE", "SCHED_REASON")


def explain(ctx: Context) -> None:
    """With --json, --yaml or --xml: what the scheduler has written, SCHED_REASON once for each reason (CPU
    missing in percent of one CPU, memory in KB, disk in MB)."""
    vm = parse_document(ctx.client.info_text("vm", ctx.oid("vmid")))
    waits = _waits(vm)
    if print_document(ctx, ElementTree.tostring(_answer(vm, waits), encoding="unicode")):
        return
    name = f"{vm.findtext('ID')} ({vm.findtext('NAME')})"
    if not waits:
        ctx.print(f"VM {name} does not wait for a host: its state is {state_of(vm)}.")
        return
    when, _, message = vm.findtext("USER_TEMPLATE/SCHED_MESSAGE", "").partition(" : ")
    if not message:
        ctx.print(f"VM {name} waits for a host; the scheduler has not said why.")
        return
    headline, *parts = _texts(vm) or [message]
    ctx.print(f"VM {name} waits for a host ({when}):")
    ctx.print(headline)
    for part in parts:
        ctx.print(f"  - {part}")


def _waits(vm: Element) -> bool:
    return vm.findtext("STATE") == str(VmState.PENDING.value) or vm.findtext("RESCHED") == "1"


def _texts(vm: Element) -> list[str]:
    found = (el.text for el in vm.iterfind("USER_TEMPLATE/SCHED_REASON/TEXT"))
    return [text for text in found if text]


def _answer(vm: Element, waits: bool) -> Element:
    answer = Element("VM")
    answer.extend(el for name in _COPIED for el in vm.findall(name))
    ElementTree.SubElement(answer, "WAITS").text = "YES" if waits else "NO"
    if waits:
        answer.extend(el for name in _TOLD for el in vm.findall(f"USER_TEMPLATE/{name}"))
    return answer
