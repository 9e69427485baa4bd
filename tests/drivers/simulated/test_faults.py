"""Faults come by seed, as data, and independent of what else is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.drivers.simulated.faults import NO_FAULTS, ROUGH, Fault, FaultRates, Faults, Plan

CALLS = st.lists(
    st.tuples(st.sampled_from(["deploy", "clone"]), st.sampled_from(["vm 1", "vm 2"])), max_size=30
)


def only(fault: Fault) -> Plan:
    return Faults(1, FaultRates({fault: 1.0}, typical_delay=2.0, timeout=60.0)).next("deploy")


def test_without_faults_every_call_is_carried_out_at_once_and_answered() -> None:
    assert Faults(1).next("deploy") == Plan(Fault.NONE, 0.0, 1, (0.0,))


@given(st.integers(), CALLS)
def test_a_seed_gives_the_same_plans_again(seed: int, calls: list[tuple[str, str]]) -> None:
    first, second = Faults(seed, ROUGH), Faults(seed, ROUGH)
    assert [first.next(*call) for call in calls] == [second.next(*call) for call in calls]


@given(st.integers(), CALLS)
def test_leaving_out_the_calls_of_one_object_does_not_change_those_of_another(
    seed: int, calls: list[tuple[str, str]]
) -> None:
    together, alone = Faults(seed, ROUGH), Faults(seed, ROUGH)
    plans = [(key, together.next(op, key)) for op, key in calls]
    kept = [alone.next(op, key) for op, key in calls if key == "vm 1"]
    assert [plan for key, plan in plans if key == "vm 1"] == kept


def test_every_fault_comes_about_as_often_as_was_asked_for() -> None:
    faults = Faults(7, ROUGH)
    plans = [faults.next("deploy", f"vm {number}") for number in range(5000)]
    for fault in Fault:
        share = sum(plan.fault is fault for plan in plans) / len(plans)
        assert share == pytest.approx(ROUGH.rates.get(fault, 0.84), abs=0.02)
    assert sum(plan.delay for plan in plans if plan.fault is Fault.NONE) / 4200 == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("fault", "executions", "answers", "fails"),
    [
        (Fault.REFUSED, 0, 1, True),
        (Fault.FAILED_AFTER, 1, 1, True),
        (Fault.LOST, 1, 0, False),
        (Fault.LATE_ANSWER, 1, 1, False),
        (Fault.STALLED, 1, 1, False),
        (Fault.ANSWERED_TWICE, 1, 2, False),
        (Fault.REPEATED, 2, 2, False),
        (Fault.HANG, 0, 0, False),
    ],
)
def test_a_plan_says_what_is_carried_out_and_answered(
    fault: Fault, executions: int, answers: int, fails: bool
) -> None:
    plan = only(fault)
    assert (plan.executions, len(plan.answers), bool(plan.error)) == (executions, answers, fails)


def test_what_is_late_comes_after_the_time_out() -> None:
    assert only(Fault.LATE_ANSWER).answers[0] >= 60.0
    assert only(Fault.STALLED).delay >= 60.0
    assert only(Fault.LATE_ANSWER).delay <= 4.0


@pytest.mark.parametrize("rates", [{Fault.LOST: -0.1}, {Fault.LOST: 0.6, Fault.HANG: 0.6}])
def test_rates_that_are_no_probabilities_are_refused(rates: dict[Fault, float]) -> None:
    with pytest.raises(ValueError, match="fault rates"):
        FaultRates(rates)


def test_no_faults_are_the_default() -> None:
    assert NO_FAULTS.rates == {}
