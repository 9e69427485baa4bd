"""The engine: every effect is carried out and answered once, whatever fails on the way."""

from collections.abc import Callable, Iterator

import pytest
from tests.engine.bench import SMALL, Bench

from merope.core import results
from merope.core.results import Handler
from merope.core.transaction import Transaction
from merope.engine import policy
from merope.engine.cloud import NotDurable
from merope.engine.job import Answer
from merope.model.effect import TABLE, Effect
from merope.model.host import Host
from merope.model.phase import Phase

Make = Callable[[int], Bench]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Bench] = []

    def make_one(limit: int) -> Bench:
        made.append(Bench(limit))
        return made[-1]

    yield make_one
    for bench in made:
        bench.threads.shutdown()


@pytest.fixture
def bench(make: Make) -> Bench:
    return make(15)


async def fails(bench: Bench, message: str = "no", retry_safe: bool = False) -> None:
    await bench.answer(bench.hands.last, False, message, retry_safe=retry_safe)


async def test_an_effect_starts_when_its_change_is_stored_and_not_before(bench: Bench) -> None:
    oid = await bench.call("one.vm.allocate", SMALL, False)
    bench.store.open.clear()
    bench.ask("one.vm.deploy", oid, 0)
    assert bench.hands.started == []
    bench.store.open.set()
    await bench.settle()
    assert bench.hands.operations == [("vm.prolog", oid)]


async def test_an_effect_whose_change_is_lost_never_starts(bench: Bench) -> None:
    oid = await bench.call("one.vm.allocate", SMALL, False)
    bench.store.failures = 1
    with pytest.raises(NotDurable, match="the disk is full"):
        await bench.call("one.vm.deploy", oid, 0)
    assert bench.hands.started == []
    assert isinstance(oid, int)
    assert bench.phase(oid) is Phase.PENDING


async def test_each_answer_takes_a_vm_a_step_further(bench: Bench) -> None:
    oid = await bench.running()
    assert bench.phase(oid) is Phase.RUNNING
    assert bench.world.state.effects == {}
    assert bench.engine.in_flight == 0


async def test_so_many_operations_run_on_a_host_at_a_time_and_the_rest_in_order(make: Make) -> None:
    bench = make(2)
    vms = [await bench.starting() for _ in range(4)]
    other = await bench.starting(host=1)
    assert bench.hands.operations == [("vm.prolog", oid) for oid in (*vms[:2], other)]
    assert bench.engine.waiting == 2
    await bench.answer(bench.hands.started[1], False, "no")
    assert bench.hands.operations[3:] == [("vm.prolog", vms[2])]
    await bench.answer(bench.hands.started[0], False, "no")
    assert bench.hands.operations[4:] == [("vm.prolog", vms[3])]
    assert bench.engine.waiting == 0


async def test_an_operation_has_the_time_that_the_policy_gives_it(bench: Bench) -> None:
    oid = await bench.running()
    assert [started.seconds for started in bench.hands.started] == [7200.0, policy.DEFAULT_TIMEOUT]
    await bench.call("one.vm.action", "poweroff", oid)
    assert bench.hands.last.seconds == 900.0


async def test_a_boot_that_took_too_long_fails_with_the_reason_on_the_vm(bench: Bench) -> None:
    oid = await bench.starting()
    await bench.answer(bench.hands.last)
    await fails(bench, "the operation did not end within 600 seconds and was stopped")
    assert bench.phase(oid) is Phase.BOOT_FAILURE
    assert bench.error(oid) == "the operation did not end within 600 seconds and was stopped"
    await bench.call("one.vm.action", "terminate", oid)
    host = bench.world.get(Host, 0)
    assert (host.vms, host.host_share.running_vms, host.host_share.mem_usage) == (set(), 0, 0)


async def test_a_shutdown_that_took_too_long_leaves_the_vm_running(bench: Bench) -> None:
    oid = await bench.running()
    await bench.call("one.vm.action", "poweroff", oid)
    await fails(bench, "too long")
    assert (bench.phase(oid), bench.error(oid)) == (Phase.RUNNING, "too long")


async def test_what_is_safe_to_repeat_is_repeated_later_and_later_and_then_fails(bench: Bench) -> None:
    oid = await bench.starting()
    for seconds in policy.RETRY_SECONDS:
        await fails(bench, "busy", retry_safe=True)
        assert bench.phase(oid) is Phase.PROLOG
        assert bench.engine.retrying == 1
        assert bench.clock.ring() == seconds
    await fails(bench, "busy", retry_safe=True)
    assert bench.clock.alarms == []
    assert (bench.phase(oid), bench.error(oid)) == (Phase.PROLOG_FAILURE, "busy")
    assert bench.hands.operations == [("vm.prolog", oid)] * 4


async def test_what_is_not_safe_to_repeat_fails_at_once(bench: Bench) -> None:
    oid = await bench.starting()
    await fails(bench)
    assert bench.clock.alarms == []
    assert bench.phase(oid) is Phase.PROLOG_FAILURE


async def test_who_waits_for_another_attempt_keeps_nobody_waiting(make: Make) -> None:
    bench = make(1)
    first, second = await bench.starting(), await bench.starting()
    await fails(bench, retry_safe=True)
    assert bench.hands.operations == [("vm.prolog", first), ("vm.prolog", second)]
    bench.clock.ring()
    assert len(bench.hands.started) == 2
    await fails(bench)
    bench.clock.ring()
    assert bench.hands.last.what == ("vm.prolog", first)


async def test_what_is_left_of_a_deleted_vm_is_cleaned_up_until_that_succeeds(bench: Bench) -> None:
    oid = await bench.running()
    await bench.call("one.vm.recover", oid, 3)
    pauses = []
    for _ in range(8):
        assert bench.hands.last.what == ("vm.delete", oid)
        await fails(bench, "the host does not answer")
        pauses.append(bench.clock.ring())
    assert pauses == [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 900.0, 900.0]
    await bench.answer(bench.hands.last)
    assert bench.world.state.effects == {}
    assert bench.clock.alarms == []


async def test_cleaning_up_goes_on_after_a_restart(bench: Bench) -> None:
    oid = await bench.running()
    await bench.call("one.vm.recover", oid, 3)
    await fails(bench)
    bench.engine.stop()
    bench.hands.started.clear()
    bench.new_engine().resume()
    assert bench.hands.operations == [("vm.delete", oid)]
    await fails(bench)
    assert [alarm.seconds for alarm in bench.clock.alarms if not alarm.cancelled] == [1.0]


async def test_nothing_is_cleaned_up_on_a_host_that_was_removed(bench: Bench) -> None:
    oid = await bench.running()
    await bench.call("one.vm.recover", oid, 3)
    await bench.call("one.host.delete", 0)
    await fails(bench)
    assert bench.clock.alarms == []
    assert bench.world.state.effects == {}


async def test_what_is_called_off_is_cancelled_and_its_late_answer_changes_nothing(bench: Bench) -> None:
    oid = await bench.starting()
    prolog = bench.hands.last
    await bench.call("one.vm.recover", oid, 4)
    assert prolog.cancelled
    assert bench.hands.last.what == ("vm.cleanup", oid)
    await bench.answer(prolog)
    assert bench.phase(oid) is Phase.CLEANUP_RESUBMIT
    await bench.answer(bench.hands.last)
    assert bench.phase(oid) is Phase.PENDING


async def test_an_answer_that_comes_twice_is_taken_once(bench: Bench) -> None:
    oid = await bench.starting()
    prolog = bench.hands.last
    await bench.answer(prolog)
    await bench.answer(prolog)
    await bench.answer(prolog, False, "no")
    assert bench.phase(oid) is Phase.BOOT
    assert bench.hands.operations == [("vm.prolog", oid), ("vm.deploy", oid)]


async def test_a_new_process_starts_what_is_open_oldest_first(bench: Bench) -> None:
    vms = [await bench.starting(host) for host in (0, 1, 0)]
    bench.engine.stop()
    bench.hands.started.clear()
    bench.new_engine().resume()
    assert bench.hands.operations == [("vm.prolog", oid) for oid in vms]


async def test_an_engine_that_stopped_cancels_and_takes_no_more_answers(bench: Bench) -> None:
    oid = await bench.starting()
    bench.engine.stop()
    assert bench.hands.last.cancelled
    await bench.answer(bench.hands.last)
    assert bench.phase(oid) is Phase.PROLOG


async def test_an_answer_that_could_not_be_stored_comes_again(bench: Bench) -> None:
    oid = await bench.starting()
    bench.store.failures = 1
    with pytest.raises(NotDurable):
        await bench.answer(bench.hands.last)
    assert bench.phase(oid) is Phase.PROLOG
    assert bench.clock.ring() == policy.RETRY_SECONDS[0]
    await bench.settle()
    assert bench.phase(oid) is Phase.BOOT
    assert bench.hands.operations == [("vm.prolog", oid), ("vm.deploy", oid)]


async def test_what_was_called_off_by_a_change_that_is_lost_goes_on(make: Make) -> None:
    bench = make(1)
    first, second = await bench.starting(), await bench.starting()
    bench.store.open.clear()
    bench.ask("one.vm.recover", second, 4)
    # The place of the first is free while nobody knows yet whether the second is wanted.
    bench.store.failures = 1
    bench.hands.last.done(Answer(False, "no"))
    bench.store.open.set()
    with pytest.raises(NotDurable):
        await bench.settle()
    assert bench.phase(second) is Phase.PROLOG
    bench.clock.ring()
    await bench.settle()
    assert bench.phase(first) is Phase.PROLOG_FAILURE
    assert bench.hands.operations[-1] == ("vm.prolog", second)


async def test_a_reboot_that_hangs_makes_way_for_what_comes_after_it(bench: Bench) -> None:
    oid = await bench.running()
    await bench.call("one.vm.action", "reboot", oid)
    reboot = bench.hands.last
    await bench.call("one.vm.action", "poweroff-hard", oid)
    assert reboot.cancelled
    assert bench.hands.last.what == ("vm.cancel", oid)
    await bench.settle()
    assert "vm.cancel came after it" in bench.error(oid)
    await bench.answer(bench.hands.last)
    assert bench.phase(oid) is Phase.POWEROFF


async def test_a_vm_that_waits_for_what_is_not_under_way_is_taken_up_at_the_start(bench: Bench) -> None:
    """As it stands in the database of a 5.12 that was stopped in the middle of an operation."""
    oid = await bench.starting()
    bench.engine.stop()

    def forget(tx: Transaction) -> int:
        tx.drop_effects("vm", oid)
        return oid

    bench.world.commit(_ran(bench, forget))
    assert bench.world.state.effects == {}
    bench.hands.started.clear()
    bench.new_engine().resume()
    await bench.settle()
    assert bench.hands.operations == [("vm.prolog", oid)]


def _ran(bench: Bench, command: Callable[[Transaction], int]) -> Transaction:
    bench.world.index = bench.world.state.index
    tx = bench.world.transaction(bench.world.caller(0))
    command(tx)
    return tx


async def test_an_answer_that_a_bug_keeps_from_being_taken_fails_the_operation(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler: Handler = results._HANDLERS["vm.prolog"]

    def broken(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
        if ok:
            raise ZeroDivisionError
        handler(tx, effect, ok, message, data)

    monkeypatch.setitem(results._HANDLERS, "vm.prolog", broken)
    oid = await bench.starting()
    await bench.answer(bench.hands.last)
    assert (bench.phase(oid), bench.error(oid)) == (
        Phase.PROLOG_FAILURE,
        "vm.prolog (its answer could not be taken)",
    )


async def test_an_effect_for_what_is_gone_is_answered_without_starting_anything(bench: Bench) -> None:
    def ask(tx: Transaction) -> int:
        return tx.effect("vm.delete", 77, 0).id

    bench.world.commit(_ran(bench, ask))
    bench.engine.resume()
    await bench.settle()
    assert bench.hands.started == []
    assert bench.world.state.effects == {}


async def test_effects_are_rows_of_the_outbox_until_they_are_answered(bench: Bench) -> None:
    oid = await bench.starting()
    (effect,) = bench.world.state.effects.values()
    assert (effect.op, effect.oid, effect.host) == ("vm.prolog", oid, 0)
    assert bench.world.state.last_oids[TABLE] == effect.id
