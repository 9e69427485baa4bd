"""Which hooks are due on what, and the messages of events."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
import xmlschema
from tests.core.conftest import Core
from tests.core.schemas import NAMESPACE, SCHEMAS

from merope.core import hook_calls, hook_log
from merope.core.execute import execute
from merope.core.methods import METHODS
from merope.core.transaction import SYSTEM, Transaction
from merope.model.change import Row
from merope.model.errors import ApiError
from merope.model.event import Event, Heard
from merope.model.hook import Execution
from merope.model.hook_run import HookRun
from merope.model.host import Host
from merope.model.states import HostState, LcmState, VmState
from merope.model.vm import VM, History

API = 'TYPE=api\nCALL={}\nCOMMAND=log.sh\nARGUMENTS="$API -v"'
ON_VM = 'TYPE=state\nRESOURCE=VM\nON=CUSTOM\nSTATE={}\nLCM_STATE={}\nCOMMAND=x\nARGUMENTS="$TEMPLATE $API -m"'


def everything(_key: str) -> bool:
    return True


def due(core: Core) -> list[HookRun]:
    return [run for _, run in sorted(core.state.hook_runs.items())]


def add(core: Core, name: str, text: str) -> int:
    oid = core.call(0, "one.hook.allocate", f"NAME={name}\n{text}")
    assert isinstance(oid, int)
    return oid


def document(run: HookRun) -> Element:
    """What the first word of the arguments stands for."""
    return ElementTree.fromstring(b64decode(run.arguments.split()[0]))


def heard(core: Core, command: Callable[[Transaction], Any], heard: Heard = everything) -> list[Event]:
    """The events that a command of oneadmin told to who hears everything."""
    tx = core.transaction(SYSTEM)
    tx.context = replace(tx.context, heard=heard)
    command(tx)
    core.index += 1
    change, parsed = tx.commit(core.index)
    core.state.apply(change, parsed)
    return list(change.events)


def calls(name: str, *arguments: Any) -> Callable[[Transaction], Any]:
    def command(tx: Transaction) -> Any:
        declared = METHODS[name]
        missing = declared.params[len(arguments) :]
        return execute(tx, declared, [*arguments, *(param.default for param in missing)])

    return command


def in_state(
    oid: int, state: VmState, lcm_state: LcmState = LcmState.LCM_INIT
) -> Callable[[Transaction], Any]:
    def command(tx: Transaction) -> None:
        vm = tx.edit(VM, oid)
        vm.state, vm.lcm_state = state, lcm_state

    return command


def vm(core: Core) -> int:
    oid = core.call(0, "one.vm.allocate", "NAME=v\nCPU=1\nMEMORY=16", True)
    assert isinstance(oid, int)
    return oid


def values(info: Element, direction: str) -> list[str]:
    return [p.findtext("VALUE", "") for p in info.iter("PARAMETER") if p.findtext("TYPE") == direction]


# Calls


def test_a_call_makes_its_hooks_due_in_the_change_that_it_makes(core: Core) -> None:
    first = add(core, "a", API.format("one.vm.allocate"))
    add(core, "b", API.format("one.vm.rename"))
    oid = vm(core)
    [run] = due(core)
    assert run.hook == first
    info = document(run)
    assert (info.tag, info.findtext("RESULT")) == ("CALL_INFO", "1")
    assert values(info, "IN") == ["****", "NAME=v\nCPU=1\nMEMORY=16", "true"]
    assert values(info, "OUT") == ["true", str(oid), "0"]
    assert info.findtext("EXTRA/VM/NAME") == "v"
    assert run.arguments.split()[1:] == ["-v"]


def test_a_deletion_shows_what_was_deleted(core: Core) -> None:
    add(core, "a", API.format("one.template.delete"))
    oid = core.call(0, "one.template.allocate", "NAME=gone\nCPU=1")
    core.call(0, "one.template.delete", oid)
    assert document(due(core)[0]).findtext("EXTRA/VMTEMPLATE/NAME") == "gone"


def test_a_call_that_was_refused_is_an_event_with_its_error(core: Core) -> None:
    add(core, "a", API.format("one.vm.rename"))
    error = core.fails(0, "one.vm.rename", 9, "x")
    tx = core.transaction(SYSTEM)
    hook_calls.refused(tx, METHODS["one.vm.rename"], [9, "x"], error)
    core.commit(tx)
    info = document(due(core)[0])
    assert info.findtext("RESULT") == "0"
    assert values(info, "OUT")[1:3] == ["[one.vm.rename] Error getting virtual machine [9].", "1024"]


def test_hidden_parameters_and_secret_answers_are_in_no_message(core: Core) -> None:
    add(core, "a", API.format("one.user.allocate"))
    add(core, "b", API.format("one.user.login"))
    ann = core.user("ann", password="Tr0ub4dor")
    token = core.call(0, "one.user.login", "ann", "", 100, -1)
    made, logged_in = (document(run) for run in due(core))
    assert values(made, "IN")[1:3] == ["ann", "****"]
    assert made.findtext("EXTRA/USER/ID") == str(ann)
    assert not made.findtext("EXTRA/USER/PASSWORD")
    assert values(logged_in, "OUT") == ["true", "****", "0"]
    assert token
    assert token not in ElementTree.tostring(logged_in, "unicode")


def test_what_users_write_does_not_change_the_message(core: Core) -> None:
    add(core, "a", API.format("one.vm.update"))
    oid = vm(core)
    core.call(0, "one.vm.update", oid, "A=</VALUE><X>&", 1)
    assert values(document(due(core)[0]), "IN") == ["****", str(oid), "A=</VALUE><X>&", "1"]


# States


def test_a_change_of_state_makes_its_hooks_due_and_no_others(core: Core) -> None:
    running = add(core, "a", ON_VM.format("ACTIVE", "RUNNING"))
    add(core, "b", ON_VM.format("ACTIVE", "PROLOG"))
    add(core, "c", "TYPE=state\nRESOURCE=HOST\nSTATE=ERROR\nCOMMAND=x")
    oid = vm(core)
    heard(core, in_state(oid, VmState.ACTIVE, LcmState.RUNNING))
    heard(core, lambda tx: tx.edit(VM, oid).user_template.set("NOTE", "x"))
    [run] = due(core)
    assert (run.hook, run.remote_host) == (running, "")
    assert document(run).findtext("LCM_STATE") == "3"
    assert run.arguments.split()[1:] == ["-m"]


def test_a_hook_on_a_host_is_told_its_name(core: Core) -> None:
    add(core, "a", "TYPE=state\nRESOURCE=HOST\nSTATE=ERROR\nCOMMAND=x\nARGUMENTS=$TEMPLATE")
    oid = core.call(0, "one.host.allocate", "node0", "dummy", "dummy", 0)

    def fail(tx: Transaction) -> None:
        tx.edit(Host, oid).state = HostState.ERROR

    heard(core, fail)
    [run] = due(core)
    assert run.remote_host == "node0"
    assert document(run).findtext("NAME") == "node0"


def test_the_document_of_a_vm_has_all_of_its_records(core: Core) -> None:
    add(core, "a", ON_VM.format("ACTIVE", "RUNNING"))
    oid = vm(core)

    def moved(tx: Transaction) -> None:
        own = tx.edit(VM, oid)
        own.history_records = [History(oid, 1, "node1", 1, 0, 20)]
        own.state, own.lcm_state = VmState.ACTIVE, LcmState.RUNNING
        closed = History(oid, 0, "node0", 0, 0, 10).to_xml()
        row: Row = {
            "vid": oid,
            "seq": 0,
            "body": closed.replace("</HISTORY>", "<VM><ID>0</ID></VM></HISTORY>"),
        }
        tx.put_row("history", (oid, 0), {**row, "stime": 10, "etime": 20})

    heard(core, moved)
    [run] = due(core)
    assert run.remote_host == "node1"
    assert [r.findtext("SEQ") for r in document(run).iterfind("HISTORY_RECORDS/HISTORY")] == ["0", "1"]


# Subscribers


def test_the_keys_of_events_are_those_of_5_12(core: Core) -> None:
    oid = core.call(0, "one.vm.allocate", "CPU=1\nMEMORY=1\nSERVICE_ID=7", True)
    [event] = heard(core, in_state(oid, VmState.ACTIVE, LcmState.RUNNING))
    assert event.keys == (
        "EVENT VM 0/ACTIVE/RUNNING ",
        "EVENT STATE VM/ACTIVE/RUNNING/0 ",
        "EVENT SERVICE 7 ",
    )
    host, call = heard(core, calls("one.host.allocate", "h", "dummy", "dummy", 0))[::-1]
    assert host.keys == ("EVENT HOST 0/INIT/ ", "EVENT STATE HOST/INIT//0 ")
    assert call.keys == ("EVENT API one.host.allocate 1",)


def test_nothing_is_made_that_nobody_hears(core: Core) -> None:
    assert heard(core, calls("one.host.allocate", "h", "dummy", "dummy", 0), lambda key: False) == []
    events = heard(core, calls("one.host.allocate", "g", "dummy", "dummy", 0), lambda key: " API " in key)
    assert [event.keys for event in events] == [("EVENT API one.host.allocate 1",)]


def test_methods_that_only_look_are_no_events(core: Core) -> None:
    assert heard(core, calls("one.user.info", 0)) == []
    assert [event.keys for event in heard(core, calls("one.vmpool.calculateshowback", -1, -1, -1, -1))]


# The published schemas


def valid(message: str, schema: str, *documents: str, extra: tuple[str, ...] = ()) -> None:
    """The schemas name elements of other files without including them, and have a comment before the XML
    declaration; RESOURCE_ID and SERVICE_ID, which 5.12 writes, are not in them."""
    file = SCHEMAS / f"hook_message_{schema}.xsd"
    if not file.exists():
        pytest.skip(f"{file.name} of ../shared/xsd is not there")
    text = file.read_text()
    text = text[text.index("<?xml") :].split("?>", 1)[1]
    included = "".join(
        f'<xs:include schemaLocation="{(SCHEMAS / name).as_uri()}.xsd"/>' for name in documents
    )
    first = text.index("<xs:element")
    call_info = "" if schema != "api" else '<xs:element name="CALL_INFO"/>'
    root = ElementTree.fromstring(message)
    for name in extra:
        found = root.find(name)
        assert found is not None
        root.remove(found)
    told = ElementTree.tostring(root, "unicode").replace(
        "<HOOK_MESSAGE>", f'<HOOK_MESSAGE xmlns="{NAMESPACE}">', 1
    )
    xmlschema.XMLSchema11(text[:first] + included + call_info + text[first:], validation="lax").validate(told)


def test_messages_of_states_are_valid(core: Core) -> None:
    oid = vm(core)
    [event] = heard(core, in_state(oid, VmState.POWEROFF))
    assert "<REMOTE_HOST/>" in event.message
    valid(event.message, "state", "vm", extra=("RESOURCE_ID",))
    events = heard(core, calls("one.host.allocate", "h", "dummy", "dummy", 0))
    [host] = [event for event in events if "HOST" in event.keys[0]]
    valid(host.message, "state", "host", extra=("RESOURCE_ID",))


def test_messages_of_calls_and_of_retries_are_valid(core: Core) -> None:
    hook = add(core, "a", API.format("one.vm.allocate"))
    [event] = heard(core, calls("one.host.allocate", "h", "dummy", "dummy", 0), lambda key: "API" in key)
    valid(event.message, "api")
    ran(core, hook, host="")
    [retry] = heard(core, calls("one.hook.retry", hook, 0), lambda key: key == "RETRY")
    valid(retry.message, "retry")
    found = ElementTree.fromstring(retry.message).findtext("ARGUMENTS", "")
    assert b64decode(found) == b"a b"


# What became of a run


def ran(core: Core, hook: int, host: str = "node0") -> None:
    tx = core.transaction(SYSTEM)
    hook_log.note(tx, hook, Execution("x", "a b", remote_host=host))
    core.commit(tx)


def test_a_run_is_cleared_in_the_change_that_logs_it_and_logged_once(core: Core) -> None:
    hook = add(core, "a", API.format("one.vm.allocate"))
    vm(core)
    [run] = due(core)
    for _ in range(2):
        tx = core.transaction(SYSTEM)
        hook_log.take(tx, run.id, Execution("x", run.arguments, code=3))
        core.commit(tx)
    assert due(core) == []
    assert [logged.code for logged in core.state.hook_log[hook].values()] == [3]


def test_an_execution_is_run_again_with_the_arguments_that_it_had(core: Core) -> None:
    hook = add(core, "a", API.format("one.vm.allocate"))
    ran(core, hook)
    core.call(0, "one.hook.retry", hook, 0)
    [run] = due(core)
    assert (run.hook, run.arguments, run.remote_host, run.retry) == (hook, "a b", "node0", True)


def test_what_is_due_of_a_hook_goes_with_it(core: Core) -> None:
    hook = add(core, "a", API.format("one.vm.allocate"))
    vm(core)
    core.call(0, "one.hook.delete", hook)
    assert due(core) == []


def test_a_call_that_fails_changes_nothing_and_makes_nothing_due(core: Core) -> None:
    add(core, "a", API.format("one.vm.rename"))
    with pytest.raises(ApiError):
        core.call(0, "one.vm.rename", 9, "x")
    assert due(core) == []
