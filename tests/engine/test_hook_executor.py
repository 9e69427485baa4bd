"""Hooks as real processes: what they are given, how they are bounded, and what is refused."""

import asyncio
import os
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.drivers.ssh.server import Sshd, why_not

from merope.engine.hook_executor import Places, RefusedError, Request, run, words_of
from merope.engine.hook_process import HookProcess
from merope.engine.processes import members
from merope.model.hook import Execution


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "hooks").mkdir()
    return Places(str(tmp_path / "hooks"), "/var/tmp/one/hooks", {"GIVEN": "yes"}, 3, str(tmp_path))


def script(places: Places, text: str, name: str = "hook.sh") -> str:
    path = Path(places.base) / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return name


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what other processes do is no event of this one
            await asyncio.sleep(0.02)


async def outcome(request: Request, places: Places) -> tuple[int, str, str]:
    told = await run(request, places)
    return told["code"], b64decode(told["stdout"]).decode(), b64decode(told["stderr"]).decode()


async def test_a_hook_gets_its_words_and_its_environment(places: Places) -> None:
    name = script(
        places, 'for word; do echo "[$word]"; done; echo $GIVEN $MEROPE_HOOK_RUN; echo no >&2; exit 3'
    )
    found = await outcome(Request(7, name, "one 'two three' $(id) ;ls *"), places)
    assert found == (3, "[one]\n[two three]\n[$(id)]\n[;ls]\n[*]\nyes 7\n", "no\n")


async def test_arguments_go_to_standard_input_where_the_hook_wants_them_there(places: Places) -> None:
    name = script(places, 'echo "$#"; wc -c')
    code, told, _ = await outcome(Request(1, name, "x" * 3_000_000, on_stdin=True), places)
    assert (code, told.split()) == (0, ["0", "3000000"])


async def test_a_hook_that_does_not_read_its_input_is_no_failure(places: Places) -> None:
    name = script(places, "exit 0")
    assert (await outcome(Request(1, name, "x" * 3_000_000, on_stdin=True), places))[0] == 0


async def test_arguments_that_are_too_long_for_a_program_are_explained(places: Places) -> None:
    code, _, why = await outcome(Request(1, script(places, "exit 0"), "x" * 3_000_000), places)
    assert code == 126
    assert "ARGUMENTS_STDIN=YES" in why


async def test_a_hook_that_takes_too_long_is_ended_with_all_that_it_started(places: Places) -> None:
    name = script(places, "sleep 60 & echo $!; wait")
    code, child, why = await outcome(Request(1, name, seconds=1), places)
    assert (code, why) == (124, "The hook did not end within 1 seconds and was stopped.\n")
    await until(lambda: _is_dead(int(child)))


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_only_the_beginning_of_what_a_hook_writes_is_kept(places: Places) -> None:
    code, told, _ = await outcome(
        Request(1, script(places, "head -c 1000000 /dev/zero | tr '\\0' x")), places
    )
    assert (code, told) == (0, "x" * 65536)


async def test_a_child_that_a_hook_leaves_behind_does_not_hold_it_up(places: Places) -> None:
    began = asyncio.get_running_loop().time()
    code, told, _ = await outcome(Request(1, script(places, "sleep 5 & echo done")), places)
    assert (code, told) == (0, "done\n")
    assert asyncio.get_running_loop().time() - began < 4


async def test_a_signal_is_a_status_of_128_and_its_number(places: Places) -> None:
    assert (await outcome(Request(1, script(places, "kill -9 $$")), places))[0] == 137


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("gone.sh", 127, "gone.sh is not there."),
        ("", 127, "COMMAND '' is not below"),
        ("../outside.sh", 127, "COMMAND '../outside.sh' is not below"),
        ("link.sh", 127, "COMMAND 'link.sh' is not below"),
        ("plain.txt", 126, "its mode does not allow it."),
        ("broken.sh", 126, "The command cannot be started: Exec format error."),
    ],
)
async def test_a_command_that_cannot_be_started_is_explained(
    places: Places, tmp_path: Path, command: str, code: int, words: str
) -> None:
    base = Path(places.base)
    (tmp_path / "outside.sh").write_text("#!/bin/sh\n")
    (tmp_path / "outside.sh").chmod(0o755)
    (base / "link.sh").symlink_to(tmp_path / "outside.sh")
    (base / "plain.txt").write_text("x")
    (base / "broken.sh").write_bytes(b"\x7fELF")
    (base / "broken.sh").chmod(0o755)
    found = await outcome(Request(1, command), places)
    assert found[0] == code
    assert words in found[2]


async def test_an_absolute_command_is_run_as_it_is(places: Places) -> None:
    assert await outcome(Request(1, "/bin/echo -n", "x"), places) == (0, "x", "")


# On hosts


@pytest.mark.parametrize(
    ("host", "command", "words"),
    [
        ("", "a.sh", "this event is about no host"),
        ("node0", "../../../bin/sh", "is not below /var/tmp/one/hooks"),
    ],
)
def test_a_run_on_a_host_is_refused_where_it_cannot_be(
    places: Places, host: str, command: str, words: str
) -> None:
    with pytest.raises(RefusedError, match=words):
        words_of(Request(1, command, remote=True, host=host), places)


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b"])
async def test_what_is_no_name_of_a_host_never_reaches_ssh(places: Places, host: str) -> None:
    code, _, why = await outcome(Request(1, "a.sh", remote=True, host=host), places)
    assert code == 255
    assert "is not the name of a host" in why


async def test_a_host_that_cannot_be_reached_is_named_with_the_reason(places: Places) -> None:
    code, told, why = await outcome(Request(1, "a.sh", remote=True, host="no-such-host.invalid"), places)
    assert (code, told) == (255, "")
    assert "The hook was not run: host no-such-host.invalid cannot be reached by SSH: no address" in why
    places.hosts.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Places]:
    """The host "node1", with its directory of hooks and a real sshd."""
    if why_not():
        pytest.skip(why_not())
    server = Sshd(tmp_path)
    server.start()
    (tmp_path / "remote").mkdir()
    yield Places("/nowhere", str(tmp_path / "remote"), {}, 3, str(server.home))
    server.ssh.close()
    server.stop()


def remote_script(host: Places, text: str) -> None:
    path = Path(host.remote_base) / "a.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


async def test_a_hook_on_a_host_gets_its_words_as_they_are(host: Places) -> None:
    remote_script(host, 'printf "[%s]" "$@"; exit 3')
    request = Request(1, "a.sh", "'x;reboot' $(id)", remote=True, host="node1")
    assert await outcome(request, host) == (3, "[x;reboot][$(id)]", "")


async def test_a_hook_on_a_host_gets_its_arguments_on_its_input_where_it_wants_them(host: Places) -> None:
    remote_script(host, "wc -c")
    request = Request(1, "a.sh", "x" * 3_000_000, remote=True, host="node1", on_stdin=True)
    assert (await outcome(request, host))[1].strip() == "3000000"


async def test_a_hook_that_takes_too_long_on_a_host_is_ended_there(host: Places) -> None:
    remote_script(host, "echo $$; exec sleep 60")
    code, pid, why = await outcome(Request(1, "a.sh", remote=True, host="node1", seconds=1), host)
    assert (code, why) == (124, "The hook did not end within 1 seconds and was stopped.\n")
    await until(lambda: _is_dead(int(pid)))


# The process beside the core


@pytest.fixture
async def process(places: Places) -> AsyncIterator[HookProcess]:
    made = HookProcess(places)
    yield made
    await made.close()


async def test_no_more_run_at_a_time_than_were_allowed(places: Places, process: HookProcess) -> None:
    marks = Path(places.base) / "marks"
    marks.mkdir()
    name = script(
        places, f"touch {marks}/$MEROPE_HOOK_RUN; ls {marks} | wc -l; sleep 0.2; rm {marks}/$MEROPE_HOOK_RUN"
    )
    found: list[Execution] = []
    for number in range(9):
        process.submit(Request(number, name), found.append)
    await until(lambda: len(found) == 9)
    most = max(int(b64decode(run.stdout)) for run in found)
    assert most == 3


async def test_a_run_goes_on_when_the_process_that_runs_hooks_is_killed(
    places: Places, process: HookProcess
) -> None:
    log = Path(places.base) / "log"
    name = script(places, f"echo begun >> {log}; sleep 0.5; echo done")
    found: list[Execution] = []
    process.submit(Request(1, name), found.append)
    await until(log.exists)
    assert process.pid is not None
    killed = process.pid
    os.kill(killed, 9)
    await until(lambda: bool(found))
    assert b64decode(found[0].stdout) == b"done\n"
    assert log.read_text() == "begun\nbegun\n"
    assert members(killed) == []


async def test_closing_leaves_no_process_behind(places: Places, process: HookProcess) -> None:
    process.submit(Request(1, script(places, f"touch {places.base}/begun; sleep 60")), lambda _: None)
    await until((Path(places.base) / "begun").exists)
    assert process.pid is not None
    session = process.pid
    assert len(members(session)) >= 2
    await process.close()
    assert members(session) == []
