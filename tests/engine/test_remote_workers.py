"""Workers on a host over SSH, with a real sshd: the host's own Python does what is to be done there."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path, PurePosixPath

import pytest
from tests.drivers.ssh.server import Sshd, why_not
from tests.engine.worker_jobs import ROOT, ask, deploy, faulty_drivers, runs, until

from merope.engine.job import Answer, Job
from merope.engine.remote import Remote, package
from merope.engine.workers import WorkerPool
from merope.model.effect import Effect
from merope.model.vm import History

_PYTHON = "/usr/bin/python3"


@pytest.fixture
def server(tmp_path: Path) -> Sshd:
    if why_not():
        pytest.skip(why_not())
    if subprocess.run(
        [_PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False
    ).returncode:
        pytest.skip(f"no Python 3.11 at {_PYTHON}")
    return Sshd(tmp_path)


@pytest.fixture
async def pool(server: Sshd, tmp_path: Path) -> AsyncIterator[WorkerPool]:
    """The host's Python has the faulty drivers; this package it has only from us."""
    python = tmp_path / "python"
    drivers = f"{faulty_drivers(tmp_path).split(':')[0]}:{ROOT}"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{drivers}" exec {_PYTHON} "$@"\n')
    python.chmod(0o755)
    (server.home / "datastores").mkdir()
    remote = Remote(
        server.home,
        server.home / "datastores",
        PurePosixPath(tmp_path / "one"),
        server.ssh.settings,
        str(python),
    )
    server.start()
    made = WorkerPool(server.home, server.home / "datastores", remote=remote)
    yield made
    await made.close()
    assert made.pids == []
    server.ssh.close()
    server.stop()


def words_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


async def test_a_job_is_carried_out_by_a_worker_on_the_host(pool: WorkerPool, tmp_path: Path) -> None:
    note = tmp_path / "note"
    assert await ask(pool, deploy("well", host="node1", NOTE=str(note))) == Answer(
        True, data={"deploy_id": "faulty-3"}
    )
    assert {"merope.engine.worker", "node1"} <= set(words_of(int(note.read_text())))
    assert (tmp_path / "one/home/run/epochs").exists()
    assert not (pool.home / "run/epochs").exists()


async def test_a_worker_on_a_host_is_used_again(pool: WorkerPool, tmp_path: Path) -> None:
    for number in range(1, 4):
        assert (await ask(pool, deploy("well", number, host="node1", NOTE=str(tmp_path / "note")))).ok
    assert len(set((tmp_path / "note").read_text().split())) == 1


async def test_many_jobs_for_a_host_wait_for_one_preparation(pool: WorkerPool, tmp_path: Path) -> None:
    jobs = []
    for number in range(1, 5):
        job = deploy("well", number, host="node1")
        assert job.vm is not None
        job.vm.id = number
        jobs.append(ask(pool, job))
    assert all(answer.ok for answer in await asyncio.gather(*jobs))


async def test_what_is_asked_of_a_host_is_asked_there_and_the_rest_here(pool: WorkerPool) -> None:
    answers: list[Answer] = []
    pool.probe({"probe": "report", "vm_mad": "faulty", "host": "node1"}, 30, answers.append)
    await until(lambda: answers)
    assert answers[0].ok
    assert len(pool.pids) == 2  # the one that prepared the host, and the one on it


@pytest.mark.parametrize(
    ("behaviour", "message", "retry_safe"),
    [
        ("refuse", "the machine says no", True),
        ("break", "the driver failed: ZeroDivisionError: a bug", False),
        ("exit", "the driver's process on host node1 ended or answered nonsense (exit status 3)", False),
    ],
)
async def test_what_goes_wrong_on_a_host_is_the_answer(
    pool: WorkerPool, behaviour: str, message: str, retry_safe: bool
) -> None:
    assert await ask(pool, deploy(behaviour, host="node1")) == Answer(False, message, retry_safe=retry_safe)
    assert (await ask(pool, deploy("well", 2, host="node1"))).ok


async def test_a_driver_that_hangs_on_a_host_is_ended_there_with_all_that_it_started(
    pool: WorkerPool, tmp_path: Path
) -> None:
    child, note = tmp_path / "child", tmp_path / "note"
    job = deploy("hang_in_command", host="node1", CHILD=str(child), NOTE=str(note))
    answer = await ask(pool, job, 5.0)
    assert answer.message == "the operation did not end within 5 seconds and was stopped"
    await until(lambda: not runs(int(child.read_text())) and not runs(int(note.read_text())))


async def test_a_job_that_is_called_off_ends_on_the_host(pool: WorkerPool, tmp_path: Path) -> None:
    note = tmp_path / "note"
    handle = pool.submit(deploy("hang", host="node1", NOTE=str(note)), 600, lambda answer: None)
    await until(lambda: note.exists() and note.read_text())
    handle.cancel()
    await until(lambda: not runs(int(note.read_text())))


async def test_a_connection_that_breaks_is_an_answer_that_may_be_tried_again(
    pool: WorkerPool, server: Sshd, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    asked = asyncio.create_task(ask(pool, deploy("hang", host="node1", NOTE=str(note)), 600))
    await until(lambda: note.exists() and note.read_text())
    await asyncio.to_thread(server.ssh.disconnect, "node1")
    assert await asked == Answer(False, "the connection to host node1 broke", retry_safe=True, unreached=True)
    await until(lambda: not runs(int(note.read_text())))
    assert (await ask(pool, deploy("well", 2, host="node1"))).ok


async def test_a_host_that_cannot_be_reached_is_an_answer_with_the_reason(
    pool: WorkerPool, server: Sshd
) -> None:
    server.stop()
    answer = await ask(pool, deploy("well", host="node1"))
    assert answer.message.startswith("host node1 cannot be reached by SSH: nothing listens at its SSH port")
    assert answer.retry_safe
    assert answer.unreached


async def test_a_host_without_a_python_that_will_do_is_told_of_the_package(
    server: Sshd, tmp_path: Path
) -> None:
    server.start()
    remote = Remote(server.home, tmp_path, PurePosixPath(tmp_path / "one"), server.ssh.settings, "/bin/false")
    pool = WorkerPool(server.home, tmp_path, remote=remote)
    answer = await ask(pool, deploy("well", host="node1"))
    assert "host node1 has no Python 3.11 or newer at /bin/false: apt-get install python3" in answer.message
    await pool.close()
    server.ssh.close()
    server.stop()


async def test_an_older_operation_of_a_vm_is_refused_on_the_host(pool: WorkerPool) -> None:
    assert (await ask(pool, deploy("well", 9, host="node1"))).ok
    answer = await ask(pool, deploy("well", 4, host="node1"))
    assert answer.message == "operation 4 of VM 3 is older than 9, which came first"


async def test_a_host_is_left_by_the_stage_there_and_the_disks_go_from_all_machines(
    pool: WorkerPool, tmp_path: Path
) -> None:
    """A migration between the front-end and the host is undone: each cleans up where it is."""
    job = deploy("well", host="node1")
    assert job.vm is not None
    (pool.location / "0/3").mkdir(parents=True)
    left = History(3, 0, "localhost", 1, 0, 1, vm_mad="faulty", tm_mad="shared", ds_id=0)
    answer = await ask(pool, Job(Effect(2, "vm.cleanup", 3, 0), vm=job.vm, source=left))
    assert answer == Answer(True)
    assert not (pool.location / "0/3").exists()
    assert (tmp_path / "one/home/run/epochs").exists()
    assert (pool.home / "run/epochs").exists()


async def test_a_host_that_a_vm_leaves_need_not_be_there(pool: WorkerPool, tmp_path: Path) -> None:
    """Cold, on shared storage: what is to be done on the host that it leaves cannot be done."""
    job = deploy("well")
    left = History(3, 0, "no-such-host.invalid", 1, 0, 1, vm_mad="faulty", tm_mad="shared", ds_id=0)
    answer = await ask(pool, Job(Effect(2, "vm.prolog_migrate", 3, 0), vm=job.vm, source=left))
    assert answer == Answer(True)


async def test_what_administrators_have_put_into_remotes_comes_with_it(
    pool: WorkerPool, tmp_path: Path
) -> None:
    settings = pool.home / "remotes/etc/vmm/kvm/kvmrc"
    settings.parent.mkdir(parents=True)
    settings.write_text("SHUTDOWN_TIMEOUT=5\n")
    assert (await ask(pool, deploy("well", host="node1"))).ok
    assert (tmp_path / "one/home/remotes/etc/vmm/kvm/kvmrc").read_text() == "SHUTDOWN_TIMEOUT=5\n"


async def test_a_host_that_is_looked_at_anew_gets_what_has_changed(pool: WorkerPool, tmp_path: Path) -> None:
    hook = pool.home / "remotes/hooks/a.sh"
    hook.parent.mkdir(parents=True)
    note = tmp_path / "note"
    for text, renew in (("1", False), ("2", False), ("2", True)):
        hook.write_text(text)
        answers: list[Answer] = []
        request = {"probe": "report", "vm_mad": "faulty", "host": "node1", "renew": renew}
        pool.probe(request, 30, answers.append)
        await until(lambda: answers)  # noqa: B023 - it is waited for here
        assert answers[0].ok
        assert (tmp_path / "one/hooks/a.sh").read_text() == ("2" if renew else "1")
        assert (await ask(pool, deploy("well", 1, host="node1", NOTE=str(note)))).ok
    first, second, third = note.read_text().split()
    assert first == second != third


def test_the_package_for_hosts_needs_nothing_else(tmp_path: Path) -> None:
    for name, content in package().files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    code = "import merope.engine.worker, merope.drivers.hypervisor.libvirt, merope.drivers.transfer.qcow2"
    subprocess.run(
        [_PYTHON, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"], check=True
    )


_CORE = """\
import asyncio, sys
from pathlib import Path
from merope.engine.job import Job
from merope.engine.remote import Remote
from merope.engine.workers import WorkerPool
import json

async def main():
    remote = Remote.from_json(json.loads(sys.argv[1]))
    pool = WorkerPool(remote.home, remote.location, remote=remote)
    pool.submit(Job.from_json(sys.argv[2]), 600, print)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_workers_on_hosts_end_when_the_core_is_killed(server: Sshd, pool: WorkerPool, tmp_path: Path) -> None:
    child, note = tmp_path / "child", tmp_path / "note"
    job = deploy("hang_in_command", host="node1", CHILD=str(child), NOTE=str(note))
    assert pool.remote is not None
    argv = [sys.executable, "-c", _CORE, json.dumps(pool.remote.to_json()), job.to_json()]
    with subprocess.Popen(argv) as core:
        _wait_for(lambda: child.exists() and child.read_text() != "")
        core.kill()
    _wait_for(lambda: not runs(int(child.read_text())) and not runs(int(note.read_text())))
    assert core.returncode == -signal.SIGKILL


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
