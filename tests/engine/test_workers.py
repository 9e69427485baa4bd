"""Worker processes: whatever a driver does, its job gets an answer in time and nothing is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.engine.worker_jobs import ask, deploy, faulty_drivers, runs, until

from merope.drivers.errors import DriverError
from merope.engine.job import Answer
from merope.engine.places import Layout
from merope.engine.processes import members
from merope.engine.toolbox import LocalDrivers
from merope.engine.workers import WorkerPool


@pytest.fixture
async def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkerPool]:
    """Workers whose Python finds the faulty drivers as an installed package would offer them."""
    monkeypatch.setenv("PYTHONPATH", faulty_drivers(tmp_path))
    home = tmp_path / "home"
    (home / "datastores").mkdir(parents=True)
    made = WorkerPool(home, home / "datastores")
    yield made
    pids = made.pids
    await made.close()
    assert [pid for pid in pids if members(pid)] == []


async def test_a_job_is_carried_out_by_the_driver_that_the_host_names(pool: WorkerPool) -> None:
    assert await ask(pool, deploy("well")) == Answer(True, data={"deploy_id": "faulty-3"})


async def test_a_worker_is_used_again(pool: WorkerPool, tmp_path: Path) -> None:
    for number in range(1, 4):
        assert (await ask(pool, deploy("well", number, NOTE=str(tmp_path / "note")))).ok
    assert len(set((tmp_path / "note").read_text().split())) == 1


async def test_jobs_run_beside_each_other(pool: WorkerPool, tmp_path: Path) -> None:
    hanging = pool.submit(deploy("hang"), 30, lambda answer: None)
    report = asyncio.get_running_loop().create_future()
    pool.probe({"probe": "report", "vm_mad": "faulty", "host": "localhost"}, 30, report.set_result)
    assert (await report).ok
    hanging.cancel()


async def test_a_third_partys_network_driver_is_used(pool: WorkerPool, tmp_path: Path) -> None:
    note = tmp_path / "note"
    assert (await ask(pool, deploy("network", NOTE=str(note)))).ok
    assert note.read_text().startswith("pre")


@pytest.mark.parametrize(
    ("behaviour", "message", "retry_safe"),
    [
        ("refuse", "the machine says no", True),
        ("break", "the driver failed: ZeroDivisionError: a bug", False),
        ("die", "the driver's process ended or answered nonsense (exit status -9)", False),
        ("exit", "the driver's process ended or answered nonsense (exit status 3)", False),
        ("babble", "the driver's process ended or answered nonsense (exit status -9)", False),
    ],
)
async def test_what_goes_wrong_is_the_answer(
    pool: WorkerPool, behaviour: str, message: str, retry_safe: bool
) -> None:
    assert await ask(pool, deploy(behaviour)) == Answer(False, message, retry_safe=retry_safe)
    assert (await ask(pool, deploy("well", 2))).ok


async def test_what_a_driver_prints_does_not_get_between_the_answers(pool: WorkerPool) -> None:
    for number in (1, 2):
        assert (await ask(pool, deploy("print", number))).data == {"deploy_id": "faulty-3"}


async def test_a_driver_cannot_read_the_requests(pool: WorkerPool) -> None:
    assert (await ask(pool, deploy("read"))).data == {"deploy_id": "read ''"}


async def test_a_driver_that_hangs_is_killed_when_its_time_is_over(pool: WorkerPool) -> None:
    answer = await ask(pool, deploy("hang"), 1.0)
    assert answer == Answer(False, "the operation did not end within 1 seconds and was stopped")
    assert pool.pids == []


async def test_what_a_driver_started_goes_with_it(pool: WorkerPool, tmp_path: Path) -> None:
    child = tmp_path / "child"
    asked = asyncio.create_task(ask(pool, deploy("hang_in_command", CHILD=str(child)), 600))
    await until(lambda: child.exists() and child.read_text())
    await pool.close()
    asked.cancel()
    await until(lambda: not runs(int(child.read_text())))


async def test_a_job_that_is_called_off_ends_with_its_worker_and_answers_nothing(
    pool: WorkerPool, tmp_path: Path
) -> None:
    answers: list[Answer] = []
    note = tmp_path / "note"
    handle = pool.submit(deploy("hang", NOTE=str(note)), 600, answers.append)
    await until(note.exists)
    handle.cancel()
    await until(lambda: not pool.pids)
    assert answers == []


async def test_an_idle_worker_that_was_killed_does_not_fail_the_next_job(
    pool: WorkerPool, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    await ask(pool, deploy("well", 1, NOTE=str(note)))
    # Stopped first: so the pool cannot know yet that it is dead when it asks it.
    pid = int(note.read_text())
    os.kill(pid, signal.SIGSTOP)
    asked = asyncio.create_task(ask(pool, deploy("well", 2)))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    assert (await asked).ok


async def test_an_idle_worker_retires(pool: WorkerPool) -> None:
    pool.idle_seconds = 0.05
    assert (await ask(pool, deploy("well"))).ok
    assert len(pool.pids) == 1
    await until(lambda: not pool.pids)


async def test_a_worker_that_cannot_be_started_is_an_answer(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    answer = await ask(pool, deploy("well"))
    assert answer.message.startswith("a worker process could not be started")
    assert answer.retry_safe


async def test_an_older_operation_of_a_vm_is_refused(pool: WorkerPool) -> None:
    assert (await ask(pool, deploy("well", 9))).ok
    answer = await ask(pool, deploy("well", 4))
    assert (answer.ok, answer.message) == (False, "operation 4 of VM 3 is older than 9, which came first")


_ASKED: dict[str, Callable[[LocalDrivers], object]] = {
    "VM_MAD": lambda drivers: drivers.hypervisor("dummy", "host"),
    "TM_MAD": lambda drivers: drivers.transfer("dummy"),
    "DS_MAD": lambda drivers: drivers.datastore("dummy"),
}


@pytest.mark.parametrize("attribute", _ASKED)
def test_a_simulated_driver_is_refused_in_a_real_cloud(tmp_path: Path, attribute: str) -> None:
    with pytest.raises(DriverError, match=f"{attribute} dummy: simulated drivers are for a sandbox"):
        _ASKED[attribute](LocalDrivers(tmp_path, Layout(tmp_path)))


_CORE = """\
import asyncio, os, sys
from pathlib import Path
from merope.engine.job import Job
from merope.engine.workers import WorkerPool

async def main():
    pool = WorkerPool(Path(sys.argv[1]), Path(sys.argv[1]))
    pool.submit(Job.from_json(sys.argv[2]), 600, print)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_workers_and_their_commands_end_when_the_core_is_killed(pool: WorkerPool, tmp_path: Path) -> None:
    child = tmp_path / "child"
    note = tmp_path / "note"
    job = deploy("hang_in_command", CHILD=str(child), NOTE=str(note))
    with subprocess.Popen([sys.executable, "-c", _CORE, str(tmp_path), job.to_json()]) as core:
        _wait_for(lambda: child.exists() and child.read_text() != "")
        core.kill()
    _wait_for(lambda: not runs(int(child.read_text())) and not runs(int(note.read_text())))
    assert core.returncode == -signal.SIGKILL


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
