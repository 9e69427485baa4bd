"""From a call to its answer: arguments, durability, finished objects, what is logged."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from tests.api.dispatch_harness import ADMIN, PEER, VM, Sandbox

from merope.api.backend import Fault, FaultCode, Foreign, Outcome, Value
from merope.core.transaction import Caller
from merope.model.errors import Code
from merope.model.state import Entry
from merope.store.errors import InDoubtError


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    made = Sandbox(tmp_path)
    await made.settle()
    yield made
    await made.close()


def fault(sandbox: Sandbox, method: str, *params: Value) -> tuple[FaultCode, str]:
    with pytest.raises(Fault) as caught:
        sandbox.dispatcher.call(method, list(params), PEER)
    return caught.value.code, caught.value.text


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("one.vm.vanish", (ADMIN,), FaultCode.NO_SUCH_METHOD, "Method 'one.vm.vanish' not defined"),
        ("system.shutdown", (), FaultCode.NO_SUCH_METHOD, "Method 'system.shutdown' not defined"),
        ("one.vm.info", (), FaultCode.TYPE, "Not enough parameters"),
        ("one.vm.info", (ADMIN,), FaultCode.TYPE, "Not enough parameters"),
        ("one.vm.info", (7, 0), FaultCode.TYPE, "Parameter that is supposed to be string is not"),
        ("one.vm.info", (ADMIN, "0"), FaultCode.TYPE, "Parameter that is supposed to be integer is not"),
        ("one.vm.info", (ADMIN, True), FaultCode.TYPE, "Parameter that is supposed to be integer is not"),
        ("one.vm.info", (ADMIN, 1 << 31), FaultCode.TYPE, "Parameter that is supposed to be integer is not"),
        (
            "one.vm.info",
            (ADMIN, Foreign("double", "1.5")),
            FaultCode.TYPE,
            "Parameter that is supposed to be integer is not",
        ),
        (
            "one.vm.allocate",
            (ADMIN, "CPU=1", 1),
            FaultCode.TYPE,
            "Parameter that is supposed to be boolean is not",
        ),
        (
            "one.user.allocate",
            (ADMIN, "ann", "x", "", 1),
            FaultCode.TYPE,
            "Parameter that is supposed to be array is not",
        ),
    ],
)
async def test_a_call_that_is_none_is_a_fault(
    sandbox: Sandbox, method: str, params: tuple[Value, ...], code: FaultCode, text: str
) -> None:
    assert fault(sandbox, method, *params) == (code, text)


async def test_a_method_name_is_told_back_in_part_only(sandbox: Sandbox) -> None:
    assert len(fault(sandbox, "x" * 100_000, ADMIN)[1]) < 300


async def test_what_a_client_may_leave_out_has_its_default(sandbox: Sandbox) -> None:
    oid = await sandbox.value("one.vm.allocate", VM)
    assert "<STATE>1</STATE>" in await sandbox.value("one.vm.info", oid)


async def test_what_a_client_gives_beyond_the_declared_parameters_is_ignored(sandbox: Sandbox) -> None:
    oid = await sandbox.value("one.vm.allocate", VM)
    assert f"<ID>{oid}</ID>" in await sandbox.value("one.vm.info", oid, False, -1, "more")


async def test_an_error_names_the_method_and_the_object(sandbox: Sandbox) -> None:
    outcome = await sandbox.call("one.vm.info", 77)
    assert (outcome.code, outcome.message, outcome.oid) == (
        Code.NO_EXISTS,
        "[one.vm.info] Error getting virtual machine [77].",
        77,
    )


# Durability


async def test_a_change_is_answered_when_it_is_stored_and_not_before(sandbox: Sandbox) -> None:
    await sandbox.value("one.system.version")
    sandbox.store.open.clear()
    asked = asyncio.ensure_future(sandbox.call("one.vm.allocate", VM, True))
    done, _ = await asyncio.wait([asked], timeout=0.05)
    assert not done
    sandbox.store.open.set()
    assert (await asked).value == 0


async def test_a_read_does_not_show_what_is_not_stored_yet(sandbox: Sandbox) -> None:
    oid = await sandbox.value("one.vm.allocate", VM, True)
    sandbox.store.open.clear()
    renamed = asyncio.ensure_future(sandbox.call("one.vm.rename", oid, "other"))
    await asyncio.sleep(0)
    reads = [
        asyncio.ensure_future(sandbox.value("one.vm.info", oid)),
        asyncio.ensure_future(sandbox.value("one.vmpool.info", -2, -1, -1, -1)),
    ]
    done, _ = await asyncio.wait(reads, timeout=0.05)
    assert not done
    sandbox.store.open.set()
    assert (await renamed).code == 0
    assert ["<NAME>other</NAME>" in await read for read in reads] == [True, True]


async def test_a_read_of_what_is_stored_does_not_wait_for_others(sandbox: Sandbox) -> None:
    first = await sandbox.value("one.vm.allocate", VM, True)
    second = await sandbox.value("one.vm.allocate", VM, True)
    sandbox.store.open.clear()
    renamed = asyncio.ensure_future(sandbox.call("one.vm.rename", second, "other"))
    await asyncio.sleep(0)
    assert isinstance(sandbox.dispatcher.call("one.vm.info", [ADMIN, first], PEER), Outcome)
    sandbox.store.open.set()
    await renamed


async def test_a_refusal_that_rests_on_a_change_waits_for_it(sandbox: Sandbox) -> None:
    await sandbox.value("one.system.version")
    sandbox.store.open.clear()
    made = asyncio.ensure_future(sandbox.call("one.cluster.allocate", "east"))
    again = asyncio.ensure_future(sandbox.call("one.cluster.allocate", "east"))
    done, _ = await asyncio.wait([again], timeout=0.05)
    assert not done
    sandbox.store.open.set()
    assert ((await made).code, "NAME is already taken" in (await again).message) == (0, True)


async def test_a_change_that_cannot_be_stored_was_not_made_and_the_next_one_is(sandbox: Sandbox) -> None:
    before = await sandbox.value("one.vmpool.info", -2, -1, -1, -1)
    sandbox.store.failures = 1
    outcome = await sandbox.call("one.vm.allocate", VM, True)
    assert (outcome.code, outcome.message) == (
        Code.INTERNAL,
        "[one.vm.allocate] The change could not be stored and was not made. "
        "Cannot write to the database: the disk is full.",
    )
    assert sandbox.cloud.trouble == "Cannot write to the database: the disk is full."
    assert await sandbox.value("one.vmpool.info", -2, -1, -1, -1) == before
    assert await sandbox.value("one.vm.allocate", VM, True) == 0
    assert sandbox.cloud.trouble == ""


async def test_a_change_of_which_nobody_knows_whether_it_is_stored_is_answered_so(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sandbox.value("one.system.version")

    def lost(_: object) -> None:
        raise InDoubtError("The connection was lost.")

    monkeypatch.setattr(sandbox.store, "commit", lost)
    outcome = await sandbox.call("one.vm.allocate", VM, True)
    assert (outcome.code, outcome.message) == (
        Code.INTERNAL,
        "[one.vm.allocate] It is not known yet whether the change was made. The connection was lost.",
    )


async def test_who_read_what_was_lost_is_told_so(sandbox: Sandbox) -> None:
    oid = await sandbox.value("one.vm.allocate", VM, True)
    sandbox.store.open.clear()
    sandbox.store.failures = 1
    renamed = asyncio.ensure_future(sandbox.call("one.vm.rename", oid, "other"))
    await asyncio.sleep(0)
    read = asyncio.ensure_future(sandbox.call("one.vm.info", oid))
    await asyncio.sleep(0)
    sandbox.store.open.set()
    assert [(await renamed).code, (await read).code] == [Code.INTERNAL, Code.INTERNAL]
    assert "<NAME>one-0</NAME>" in await sandbox.value("one.vm.info", oid)


# Finished VMs, which are in the database only


async def test_a_finished_vm_is_shown_with_its_state(sandbox: Sandbox) -> None:
    oid = await sandbox.finished_vm()
    assert "<STATE>6</STATE>" in await sandbox.value("one.vm.info", oid)


async def test_a_finished_vm_shows_its_whole_history(sandbox: Sandbox) -> None:
    loop = asyncio.get_running_loop()
    sandbox.start_engine(loop.call_later)
    await sandbox.value("one.host.allocate", "node", "dummy", "dummy", -1)
    oid = await sandbox.value("one.vm.allocate", VM, False)
    for method, arguments in (
        ("one.vm.deploy", (oid, 0)),
        ("one.vm.action", ("poweroff", oid)),
        ("one.vm.action", ("resume", oid)),
        ("one.vm.action", ("terminate-hard", oid)),
    ):
        await sandbox.value(method, *arguments)
        await sandbox.rest()
    shown = await sandbox.value("one.vm.info", oid)
    assert [f"<SEQ>{seq}</SEQ>" in shown for seq in (0, 1, 2)] == [True, True, False]
    assert shown.count("<VM>") == 1


@pytest.mark.parametrize(("state", "listed"), [(-2, [0, 1]), (-1, [1]), (6, [0]), (2, [1]), (3, [])])
async def test_a_list_has_finished_vms_where_they_are_asked_for(
    sandbox: Sandbox, state: int, listed: list[int]
) -> None:
    await sandbox.finished_vm()
    await sandbox.value("one.vm.allocate", VM, True)
    for method in ("one.vmpool.info", "one.vmpool.infoextended"):
        pool = await sandbox.value(method, -2, -1, -1, state)
        assert [oid for oid in (0, 1) if f"<VM><ID>{oid}</ID>" in pool] == listed


async def test_a_finished_vm_of_another_is_not_shown(sandbox: Sandbox) -> None:
    await sandbox.value("one.user.allocate", "ann", "secret", "", [1])
    await sandbox.finished_vm()
    outcome = await sandbox.call("one.vm.info", 0, session="ann:secret")
    assert outcome.code == Code.AUTHORIZATION
    assert await sandbox.value("one.vmpool.info", -2, -1, -1, 6, session="ann:secret") == "<VM_POOL/>"


async def test_an_id_that_was_never_given_is_not_looked_for_in_the_database(sandbox: Sandbox) -> None:
    await sandbox.value("one.system.version")
    assert isinstance(sandbox.dispatcher.call("one.vm.info", [ADMIN, 5], PEER), Outcome)


async def test_a_vm_that_finishes_while_the_database_is_read_is_in_the_list(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no longer among the living, and was not among the finished when these were read."""
    oid = await sandbox.value("one.vm.allocate", VM, True)
    loop = asyncio.get_running_loop()
    read: Callable[[int | None], list[Entry]] = sandbox.store.archived_vms

    def read_slowly(wanted: int | None = None) -> list[Entry]:
        found = read(wanted)
        if wanted is None:
            ending = sandbox.call("one.vm.action", "terminate", oid)
            asyncio.run_coroutine_threadsafe(ending, loop).result(10)
        return found

    monkeypatch.setattr(sandbox.store, "archived_vms", read_slowly)
    assert f"<VM><ID>{oid}</ID>" in await sandbox.value("one.vmpool.info", -2, -1, -1, -2)


# The log


async def test_what_is_hidden_is_in_no_log(sandbox: Sandbox) -> None:
    await sandbox.value("one.user.allocate", "ann", "pa55word", "", [1])
    await sandbox.value("one.user.passwd", 2, "pa55word2")
    await sandbox.value("one.user.chauth", 2, "core", "pa55word3")
    await sandbox.value("one.user.login", "ann", "pa55token", 60, -1)
    made = await sandbox.value("one.user.login", "ann", "", 60, -1)
    await sandbox.call("one.user.info", 0, session="oneadmin:pa55wrong")
    logged = sandbox.logged()
    assert "one.user.passwd" in logged
    assert "pa55" not in logged
    assert made[:8] not in logged
    assert "opennebula" not in logged


async def test_a_call_and_its_result_are_logged_as_5_12_does(sandbox: Sandbox) -> None:
    await sandbox.value("one.vm.allocate", VM, True)
    await sandbox.call("one.vm.info", 9)
    lines = [line.partition("[D]: ")[2] for line in sandbox.logged().splitlines()]
    assert lines == [
        'Req:1 UID:0 IP:127.0.0.1 one.vm.allocate invoked , "CPU = 0.1 MEMORY = ..., true',
        "Req:1 UID:0 one.vm.allocate result SUCCESS, 0",
        "Req:2 UID:0 IP:127.0.0.1 one.vm.info invoked , 9, false",
        "Req:2 UID:0 one.vm.info result FAILURE [one.vm.info] Error getting virtual machine [9].",
    ]


async def test_a_password_that_is_kept_as_it_is_costs_no_derivation(sandbox: Sandbox) -> None:
    derived: list[str] = []
    prepare = sandbox.dispatcher._prepare["password"]

    async def counted(arguments: Mapping[str, object], caller: Caller) -> dict[str, str | int]:
        derived.append(str(arguments["name"]))
        return await prepare(arguments, caller)

    sandbox.dispatcher._prepare = {**sandbox.dispatcher._prepare, "password": counted}
    for name, driver in (("ann", ""), ("bob", "core"), ("eve", "plain"), ("max", "x509")):
        oid = await sandbox.value("one.user.allocate", name, "secret-of-mine", driver, [1])
        stored = sandbox.state.pools["user_pool"].entries[oid].body
        assert ("secret-of-mine" in stored) is (driver in ("plain", "x509"))
    assert derived == ["ann", "bob"]
