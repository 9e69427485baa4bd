"""The core killed in the middle of its work, as a process: what it has told anybody is kept."""

import os

import pytest
from bench import crash

ROUNDS = int(os.environ.get("MEROPE_CRASH_ROUNDS", "3"))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> crash.Figures:
    with crash.sandbox_in(tmp_path_factory.mktemp("crash") / "home") as sandbox:
        return crash.rounds(sandbox, ROUNDS, clients=4, requests=100, seed=7)


def test_every_vm_that_was_acknowledged_is_there(figures: crash.Figures) -> None:
    assert figures.rounds == ROUNDS
    assert figures.acknowledged > 10 * ROUNDS
    assert figures.lost == []


def test_every_deletion_that_was_acknowledged_has_happened(figures: crash.Figures) -> None:
    assert figures.undone_deletions == []


def test_no_vm_is_on_its_way_ten_seconds_later(figures: crash.Figures) -> None:
    assert figures.stuck == []
    assert max(figures.rest_seconds) < crash.PATIENCE


def test_fsck_finds_nothing_after_any_of_it(figures: crash.Figures) -> None:
    assert figures.findings == []
