"""What the simulation must be: clean where the code is right, red where it is not, the same every time."""

import json
import logging
from collections.abc import Iterator

import pytest

from merope.core.methods import METHODS
from merope.simulation import main, mutations, schedule
from merope.simulation.schedule import Outcome
from merope.simulation.simulation import listen

SEEDS = range(30)
#: Known bugs that few schedules suffice to find.
QUICKLY_FOUND = (
    "capacity-released-twice",
    "lease-given-twice",
    "effect-kept",
    "quota-not-refunded",
    "late-answer-accepted",
    "undo-skipped",
    "told-before-durable",
    "effects-not-resumed",
    "write-half-done",
    "action-not-marked",
    "actions-forgotten",
    "managed-address-freed",
    "app-keeps-its-image",
    "cpu-given-twice",
    "cpus-kept",
    "source-kept",
    "device-given-twice",
    "recovered-unconfirmed",
    "command-taken-for-truth",
    "storm-ignored",
    "recovery-forgotten",
    "vms-not-found-again",
    "order-believed-over-events",
    "networks-made-twice",
    "networks-kept",
)


@pytest.fixture(autouse=True)
def log_of_the_process() -> Iterator[None]:
    """The simulation listens to the process's log; afterwards it is as it was."""
    logger = logging.getLogger("merope")
    before = (logger.handlers, logger.propagate, logger.level)
    listen()
    schedule.warm_up()
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


#: Bugs that schedules about something else seldom meet.
SUBJECT_OF = {
    "actions-forgotten": "timetable",
    **dict.fromkeys(("recovered-unconfirmed", "command-taken-for-truth"), "hosts"),
    **dict.fromkeys(
        ("vms-not-found-again", "order-believed-over-events", "networks-made-twice", "networks-kept"),
        "services",
    ),
}


def first_failure(mutation: str) -> Outcome | None:
    subject = SUBJECT_OF.get(mutation, "")
    with mutations.switched_on(mutation):
        outcomes = (schedule.run(seed, subject=subject) for seed in range(90))
        return next((outcome for outcome in outcomes if outcome.failure), None)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule_without_known_bugs_is_clean(seed: int) -> None:
    outcome = schedule.run(seed)
    assert outcome.failure == "", f"one simulate --seed {seed}"
    assert outcome.events > 50


@pytest.mark.parametrize("seed", range(20))
def test_services_go_on_whoever_is_killed_and_leave_nothing_when_they_end(seed: int) -> None:
    outcome = schedule.run(seed, subject="services")
    assert outcome.failure == "", f"one simulate --seed {seed} --subject services"


def test_schedules_about_services_deploy_and_kill() -> None:
    """So that those above are about something."""
    outcomes = [schedule.run(seed, subject="services", traced=True) for seed in range(20)]
    made = sum(outcome.calls.get("one.template.instantiate", (0, 0))[1] for outcome in outcomes)
    killed = sum(line.endswith("OneFlow is killed") for outcome in outcomes for line in outcome.trace)
    assert made > 40
    assert killed > 5


@pytest.mark.parametrize("mutation", QUICKLY_FOUND)
def test_a_known_bug_is_found(mutation: str) -> None:
    assert first_failure(mutation) is not None


def test_a_mutation_is_gone_when_its_schedule_has_ended() -> None:
    found = first_failure("effect-kept")
    assert found is not None
    assert schedule.run(found.seed).failure == ""


def test_a_seed_tells_the_same_story_every_time() -> None:
    stories = [schedule.run(7, traced=True).trace for _ in range(2)]
    assert stories[0] == stories[1]
    assert len(stories[0]) > schedule.STEPS


def test_a_step_that_is_left_out_leaves_the_others_as_they_were() -> None:
    kept = [3, 9, 20]
    trace = schedule.run(5, kept, traced=True).trace
    assert [line.split()[-1] for line in trace if "  step " in line] == [str(step) for step in kept]


@pytest.mark.parametrize("seed", range(5))
def test_a_real_database_ends_up_like_the_simulated_one(seed: int) -> None:
    assert schedule.run(seed, sqlite=True).failure == ""


def test_a_difference_between_the_databases_is_found() -> None:
    with mutations.switched_on("row-not-written"):
        failures = [schedule.run(seed, sqlite=True).failure for seed in range(5)]
    assert any("SQLite" in failure for failure in failures)


def test_the_command_reports_what_it_ran(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--jobs", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schedules"] == 2
    assert report["failing"] == []
    assert report["per_second"] > 0


def test_every_method_is_called_within_as_many_schedules_as_their_turns_take(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--seeds", "131", "--jobs", "1", "--json"]) == 0
    methods = json.loads(capsys.readouterr().out)["methods"]
    assert methods["never_called"] == []
    assert len(methods["never_succeeded"]) < len(METHODS) / 5


def test_the_command_prints_how_to_replay_a_failure_with_few_steps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--seeds", "1", "--start", "0", "--jobs", "1", "--mutation", "effect-kept"]) == 1
    printed = capsys.readouterr().out
    again = next(line for line in printed.splitlines() if line.startswith("again: "))
    arguments = again.removeprefix("again: one simulate ").split()
    assert len(arguments[3].split(",")) < schedule.STEPS / 2
    assert main(arguments) == 1
    assert main(arguments[:4]) == 0


def test_every_known_bug_is_listed_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-mutations"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in mutations.TABLE)
    assert "None" not in printed
