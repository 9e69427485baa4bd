"""Hooks: what they wait for, and the log of what they ran."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema

from merope.core import check_groups, hook, hook_log
from merope.core.transaction import SYSTEM
from merope.model.errors import Code
from merope.model.hook import Execution, Hook
from merope.model.states import LcmState, VmState

STATE = (
    "NAME=on-error\nTYPE=state\nRESOURCE=HOST\nSTATE=ERROR\nREMOTE=no\n"
    'COMMAND=ft.sh\nARGUMENTS="$TEMPLATE -m"'
)
API = 'NAME=on-create\nTYPE=api\nCALL=one.vm.allocate\nCOMMAND=log.sh\nARGUMENTS="$API"'
VM = "NAME=vm\nTYPE=state\nRESOURCE=VM\nCOMMAND=x\n"


def allocate(core: Core, text: str) -> Hook:
    return core.get(Hook, core.call(0, "one.hook.allocate", text))


@pytest.fixture
def core() -> Core:
    """The recorded hooks: 0 for the state of a host, 1 for a method."""
    made = Core()
    assert [allocate(made, text).id for text in (STATE, API)] == [0, 1]
    return made


def ran(core: Core, oid: int, code: int = 0, *, remote_host: str = "", stdin: str = "") -> int:
    """A run of the hook, ten seconds after what was before."""
    core.now += 10
    tx = core.transaction(SYSTEM)
    run = Execution("/x/ft.sh", "<HOST/>", "b3V0", "", code, stdin=stdin, remote_host=remote_host)
    number = hook_log.note(tx, oid, run)
    core.commit(tx)
    return number


def logged(core: Core, *bounds: int) -> list[tuple[int, int]]:
    """(hook, execution) of what one.hooklog.info lists."""
    log = ElementTree.fromstring(core.call(0, "one.hooklog.info", *bounds))
    assert log.tag == "HOOKLOG"
    return [(int(run.findtext("HOOK_ID") or -1), int(run.findtext("EXECUTION_ID") or -1)) for run in log]


@pytest.mark.parametrize(("oid", "recorded"), [(0, "hook-state.xml"), (1, "hook-api.xml")])
def test_a_hook_is_the_recorded_one(core: Core, oid: int, recorded: str) -> None:
    ours = ElementTree.fromstring(core.call(0, "one.hook.info", oid))
    assert flat(ours) == flat(example(recorded))


def test_documents_are_valid(core: Core) -> None:
    core.call(0, "one.hook.lock", 0, 2)
    ran(core, 0, 1, remote_host="node0", stdin="eA==")
    ran(core, 0)
    assert core.call(0, "one.hook.info", 0).count("<HOOK_EXECUTION_RECORD>") == 2
    # The schema has no LOCK, which 5.12 writes all the same, and no STDIN.
    lock = f"<LOCK><LOCKED>2</LOCKED><OWNER>0</OWNER><TIME>{core.now - 20}</TIME><REQ_ID>-1</REQ_ID></LOCK>"
    document = core.call(0, "one.hook.info", 0)
    assert lock in document
    check_schema(document.replace(lock, "").replace("<STDIN>eA==</STDIN>", ""), "hook")
    core.call(0, "one.hook.unlock", 0)
    pool = core.call(0, "one.hookpool.info", -2, -1, -1)
    assert "HOOKLOG" not in pool
    check_schema(pool, "hook_pool")


@pytest.mark.parametrize(("on", "states"), sorted(hook.ON.items()))
def test_what_on_says_of_a_vm_becomes_its_states(
    core: Core, on: str, states: tuple[VmState, LcmState]
) -> None:
    template = allocate(core, f"{VM}ON={on.lower()}").template
    assert "ON" not in template
    assert (template.get("STATE"), template.get("LCM_STATE")) == tuple(state.name for state in states)


def test_states_of_ones_own_are_stored_in_upper_case(core: Core) -> None:
    template = allocate(core, f"{VM}ON=custom\nSTATE=active\nLCM_STATE=hotplug_nic").template
    assert (template.get("STATE"), template.get("LCM_STATE")) == ("ACTIVE", "HOTPLUG_NIC")


HEAD = "NAME=h\nCOMMAND=x\n"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("TYPE=api\nCOMMAND=x\nCALL=one.vm.allocate", "No NAME in template for Hook."),
        ("NAME=a/b\nCOMMAND=x", "Invalid NAME, char '/' is not allowed"),
        ("NAME=on-error\nCOMMAND=x", "NAME is already taken by Hook 0."),
        ("NAME=h\nTYPE=api\nCALL=one.vm.allocate", "No COMMAND in template for Hook."),
        (f"{HEAD}CALL=one.vm.allocate", "No TYPE or invalid one in template for Hook."),
        (f"{HEAD}TYPE=clock", "No TYPE or invalid one in template for Hook."),
        (f"{HEAD}TYPE=api", "API call does not exist or is not supported: "),
        (f"{HEAD}TYPE=api\nCALL=one.vm.fly", "API call does not exist or is not supported: one.vm.fly"),
        (f"{HEAD}TYPE=api\nCALL=one.vm.info", "API call does not exist or is not supported: one.vm.info"),
        (
            f"{HEAD}TYPE=api\nCALL=one.vmpool.infoextended",
            "API call does not exist or is not supported: one.vmpool.infoextended",
        ),
        (f"{HEAD}TYPE=api\nCALL=one.vm.allocate\nTIMEOUT=soon", "TIMEOUT must be a number of seconds."),
        (f"{HEAD}TYPE=state\nSTATE=ERROR", "RESOURCE attribute is required for STATE hooks."),
        (f"{HEAD}TYPE=state\nRESOURCE=IMAGE", "Invalid resource type: IMAGE"),
        (f"{HEAD}TYPE=state\nRESOURCE=HOST", "Invalid STATE: "),
        (f"{HEAD}TYPE=state\nRESOURCE=HOST\nSTATE=RUNNING", "Invalid STATE: RUNNING"),
        (f"{HEAD}TYPE=state\nRESOURCE=VM\nSTATE=ACTIVE", "Unknown state condition: "),
        (f"{HEAD}TYPE=state\nRESOURCE=VM\nON=MOON", "Unknown state condition: MOON"),
        (f"{HEAD}TYPE=state\nRESOURCE=VM\nON=CUSTOM\nSTATE=UP", "Wrong STATE: UP"),
        (f"{HEAD}TYPE=state\nRESOURCE=VM\nON=CUSTOM\nSTATE=ACTIVE", "Wrong LCM_STATE: "),
    ],
)
def test_what_makes_no_hook_is_refused(core: Core, template: str, words: str) -> None:
    assert sentence(core.fails(0, "one.hook.allocate", template)) == (Code.INTERNAL, words)


def test_an_update_is_merged_and_completed(core: Core) -> None:
    core.call(0, "one.hook.update", 0, "STATE=offline\nNAME=x\nTYPE=api", 1)
    changed = core.get(Hook, 0)
    assert (changed.name, changed.type) == ("on-error", "state")
    assert changed.template.get("STATE") == "OFFLINE"
    assert not {"NAME", "TYPE", "ON"} & set(changed.template.names())
    core.call(0, "one.hook.update", 0, "COMMAND=y\nSTATE=ERROR", 0)
    assert core.get(Hook, 0).template.names() == ["COMMAND", "REMOTE", "RESOURCE", "STATE"]


@pytest.mark.parametrize(
    ("oid", "template", "words"),
    [
        (0, "STATE=ERROR", "The COMMAND attribute is not defined."),
        (0, "COMMAND=x", "Invalid STATE: "),
        (0, "COMMAND=x\nRESOURCE=NET\nSTATE=ERROR", "Invalid resource type: NET"),
        (1, "COMMAND=x\nCALL=one.vm.info", "API call does not exist or is not supported: one.vm.info"),
    ],
)
def test_an_update_that_makes_no_hook_is_refused(core: Core, oid: int, template: str, words: str) -> None:
    error = core.fails(0, "one.hook.update", oid, template, 0)
    assert sentence(error) == (Code.INTERNAL, f"Cannot update template. {words}")


def test_names_are_unique(core: Core) -> None:
    assert sentence(core.fails(0, "one.hook.rename", 0, "on-create")) == (
        Code.ACTION,
        "hook cannot be renamed to on-create because it collides with hook 1",
    )
    core.call(0, "one.hook.rename", 0, "fresh")
    assert core.get(Hook, 0).name == "fresh"


def test_hooks_are_for_administrators(core: Core) -> None:
    ann = core.user("ann")
    for name, arguments in (
        ("allocate", (API,)),
        ("info", (0,)),
        ("delete", (0,)),
        ("lock", (0, 1)),
        ("retry", (0, 0)),
    ):
        assert core.fails(ann, f"one.hook.{name}", *arguments).code is Code.AUTHORIZATION
    assert core.call(ann, "one.hookpool.info", -2, -1, -1) == "<HOOK_POOL/>"
    assert sentence(core.fails(ann, "one.hooklog.info", -1, -1, -1, 0)) == (
        Code.AUTHORIZATION,
        "User [2] not authorized to perform action on hook.",
    )


@pytest.mark.parametrize(("level", "refused"), [(1, True), (2, True), (3, False), (4, False)])
def test_a_lock_refuses_by_its_level(core: Core, level: int, refused: bool) -> None:
    core.call(0, "one.hook.lock", 0, level)
    if refused:
        assert sentence(core.fails(0, "one.hook.delete", 0)) == (
            Code.AUTHORIZATION,
            "User [0] : HOOK is locked. [0].",
        )
    else:
        core.call(0, "one.hook.delete", 0)
        assert not core.exists(Hook, 0)


# The log


def test_the_document_of_a_hook_shows_what_it_ran(core: Core) -> None:
    assert "<HOOKLOG/>" in core.call(0, "one.hook.info", 0)
    ran(core, 0, 3)
    assert core.call(0, "one.hook.info", 0).endswith(
        "<HOOKLOG><HOOK_EXECUTION_RECORD><HOOK_ID>0</HOOK_ID><EXECUTION_ID>0</EXECUTION_ID>"
        f"<TIMESTAMP>{core.now}</TIMESTAMP><ARGUMENTS>&lt;HOST/&gt;</ARGUMENTS><EXECUTION_RESULT>"
        "<COMMAND>/x/ft.sh</COMMAND><STDOUT>b3V0</STDOUT><STDERR></STDERR><CODE>3</CODE>"
        "</EXECUTION_RESULT></HOOK_EXECUTION_RECORD></HOOKLOG></HOOK>"
    )
    assert "EXECUTION" not in core.call(0, "one.hook.info", 1)


def test_the_oldest_executions_make_way() -> None:
    core = Core(hook_log_retention=3)
    allocate(core, API)
    assert [ran(core, 0) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert logged(core, -1, -1, 0, 0) == [(0, 2), (0, 3), (0, 4)]


def test_the_log_is_listed_by_time_hook_and_outcome(core: Core) -> None:
    start = core.now
    for oid, code in ((0, 0), (1, 1), (0, 2), (1, 0)):
        ran(core, oid, code)
    assert logged(core, -1, -1, -1, 0) == [(1, 0), (1, 1), (0, 0), (0, 1)]
    assert logged(core, -1, -1, 0, 0) == [(0, 0), (0, 1)]
    assert logged(core, -1, -1, -1, -1) == [(1, 0), (0, 1)]
    assert logged(core, -1, -1, -1, 1) == [(1, 1), (0, 0)]
    assert logged(core, start + 10, start + 40, -1, 0) == [(1, 0), (0, 1)]
    assert core.call(0, "one.hooklog.info", core.now, -1, -1, 0) == "<HOOKLOG/>"


def test_the_log_of_a_hook_goes_with_it(core: Core) -> None:
    ran(core, 0)
    core.call(0, "one.hook.delete", 0)
    assert logged(core, -1, -1, -1, 0) == []


def test_an_execution_that_is_not_there_is_not_run_again(core: Core) -> None:
    assert sentence(core.fails(0, "one.hook.retry", 0, 5)) == (
        Code.INTERNAL,
        "Invalid HookLog body. Arguments not found.",
    )
    assert core.fails(0, "one.hook.retry", 9, 0).code is Code.NO_EXISTS


def test_a_log_without_its_hook_is_found_and_removed(core: Core) -> None:
    ran(core, 0)
    tx = core.transaction(SYSTEM)
    tx.delete(tx.get(Hook, 0))
    core.commit(tx)
    [found] = list(check_groups.hook_logs(core.state))
    assert found.sentence == "1 executions are logged of hook 0, which is not there"
    assert found.repair is not None
    tx = core.transaction(SYSTEM)
    found.repair(tx)
    core.commit(tx)
    assert logged(core, -1, -1, -1, 0) == []
