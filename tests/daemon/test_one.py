"""The command `one` on real processes, with a stand-in for the core."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from merope.daemon import control, one
from merope.daemon.layout import Layout
from merope.daemon.process import Identity

HERE = Path(__file__).parent
SUPERVISOR = (sys.executable, str(HERE / "standin_supervisor.py"))
# The command in a process of its own.
ONE = (
    sys.executable,
    "-c",
    "from sys import *; from merope.daemon.one import main; exit(main(argv[2:], (executable, argv[1])))",
    SUPERVISOR[1],
)
PATIENCE = 20.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Cloud:
    """A home of its own, and the command run on it in this process."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.layout = Layout(home)
        self.port = free_port()
        self.capsys = capsys
        self.output = self.errors = ""

    def one(self, *words: str) -> int:
        # The command sets the mask of its process, which is ours here.
        umask = os.umask(0o022)
        try:
            status = one.main([*words, "--home", str(self.layout.home)], SUPERVISOR)
        finally:
            os.umask(umask)
            self.output, self.errors = self.capsys.readouterr()
        return status

    def start(self, *more: str) -> int:
        return self.one("start", "--drivers", "dummy", "--port", str(self.port), *more)

    def behave(self, how: str) -> None:
        self.layout.home.mkdir(mode=0o700, exist_ok=True)
        (self.layout.home / "behaviour").write_text(how)
        # The stand-in's file is none that a new home may have.
        self.layout.auth_file.parent.mkdir(mode=0o700, exist_ok=True)

    def core(self) -> dict[str, Any]:
        (row,) = control.ask(self.layout, "status")["services"]
        assert isinstance(row, dict)
        return row

    def health(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    return Identity.of(pid) is None


@pytest.fixture
def cloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path / "var", capsys)
    yield cloud
    cloud.one("stop")


def test_start_returns_when_the_api_answers(cloud: Cloud) -> None:
    assert cloud.start() == 0
    assert cloud.health()
    assert f"answers at http://127.0.0.1:{cloud.port}/RPC2" in cloud.output
    assert cloud.layout.endpoint.read_text() == f"http://127.0.0.1:{cloud.port}/RPC2\n"


def test_the_core_gets_its_options(cloud: Cloud) -> None:
    cloud.start()
    log = cloud.layout.log("core").read_text()
    home = cloud.layout.home
    assert f"stand-in --home {home} --port {cloud.port} --listen 127.0.0.1 --drivers dummy\n" in log


def test_starting_twice_is_starting_once(cloud: Cloud) -> None:
    cloud.start()
    pid = cloud.core()["pid"]
    assert cloud.start() == 0
    assert "already runs" in cloud.output
    assert cloud.core()["pid"] == pid


def test_starting_at_the_same_time_is_starting_once(cloud: Cloud) -> None:
    words = ["start", "--home", str(cloud.layout.home), "--port", str(cloud.port), "--drivers", "dummy"]
    starts = [subprocess.Popen([*ONE, *words]) for _ in range(3)]
    assert [process.wait(PATIENCE) for process in starts] == [0, 0, 0]
    assert cloud.layout.log("core").read_text().count("stand-in") == 1


def test_a_start_with_other_options_than_the_running_cloud_has_is_refused(cloud: Cloud) -> None:
    cloud.start()
    assert cloud.one("start", "--port", "1") == 1
    assert "without --port 1: use one restart" in cloud.errors


def test_status_lists_the_services(cloud: Cloud) -> None:
    cloud.start()
    assert cloud.one("status", "--json") == 0
    (row,) = json.loads(cloud.output)
    assert list(row) == ["name", "pid", "port", "uptime", "restarts"]
    assert (row["name"], row["port"], row["restarts"]) == ("core", cloud.port, 0)
    assert Identity.of(row["pid"])
    assert 0 < row["uptime"] < PATIENCE
    assert cloud.one("status") == 0
    assert re.search(rf"^core +running +{row['pid']} +{cloud.port} +00:00:", cloud.output, re.MULTILINE)


def test_status_of_a_cloud_that_does_not_run_is_3(cloud: Cloud) -> None:
    assert cloud.one("status", "--json") == 3
    assert json.loads(cloud.output) == []


def test_stop_ends_everything_and_cleans_up(cloud: Cloud) -> None:
    cloud.start()
    pids = [control.ask(cloud.layout, "status")["supervisor"], cloud.core()["pid"]]
    assert cloud.one("stop") == 0
    assert all(gone(pid) for pid in pids)
    assert [path.name for path in cloud.layout.run.iterdir()] == ["options.json"]
    assert not cloud.layout.endpoint.exists()
    assert not cloud.health()


def test_stopping_what_does_not_run_is_no_error(cloud: Cloud) -> None:
    assert cloud.one("stop") == 0
    assert "does not run" in cloud.output


def test_a_core_that_does_not_want_to_end_is_killed(cloud: Cloud) -> None:
    cloud.behave("stubborn")
    cloud.start()
    pid = cloud.core()["pid"]
    assert cloud.one("stop") == 0
    assert gone(pid)


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_the_workers_of_a_core_go_with_it(cloud: Cloud, way: str) -> None:
    cloud.behave("worker")
    cloud.start()
    worker = int((cloud.layout.home / "worker").read_text())
    if way == "stop":
        cloud.one("stop")
    else:
        os.kill(cloud.core()["pid"], signal.SIGKILL)
    until(lambda: gone(worker))


def test_a_core_that_dies_is_started_again(cloud: Cloud) -> None:
    cloud.start()
    for times in (1, 2, 3):
        pid = cloud.core()["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda times=times: cloud.core()["restarts"] == times and cloud.health())  # type: ignore[misc]
        assert cloud.core()["pid"] != pid


def test_restart_of_one_service_leaves_the_supervisor(cloud: Cloud) -> None:
    cloud.start()
    supervisor, pid = control.ask(cloud.layout, "status")["supervisor"], cloud.core()["pid"]
    assert cloud.one("restart", "core") == 0
    until(lambda: cloud.core()["pid"] not in (pid, None))
    assert control.ask(cloud.layout, "status")["supervisor"] == supervisor
    assert cloud.core()["restarts"] == 0


def test_restart_of_a_service_that_is_not_there_says_which_there_are(cloud: Cloud) -> None:
    cloud.start()
    assert cloud.one("restart", "sunstone") == 1
    assert "there is no service sunstone: there are core" in cloud.output


def test_restart_keeps_the_options_of_the_start(cloud: Cloud) -> None:
    cloud.start()
    pid = cloud.core()["pid"]
    assert cloud.one("restart") == 0
    assert gone(pid)
    assert cloud.health()
    assert cloud.layout.log("core").read_text().count("--drivers dummy") == 2


def test_a_core_that_cannot_start_is_told_with_the_end_of_its_log(cloud: Cloud) -> None:
    cloud.behave("crash")
    assert cloud.start() == 1
    assert "core cannot start" in cloud.errors
    assert "the database is damaged" in cloud.errors
    assert cloud.one("status") == 3


def test_a_configuration_that_the_core_refuses_is_not_tried_again(cloud: Cloud) -> None:
    cloud.start()
    cloud.behave("misconfigured")
    assert cloud.one("restart") == 78
    assert "it ended with status 78" in cloud.errors
    assert "PORT must be a number" in cloud.errors
    assert cloud.layout.log("core").read_text().count("stand-in") == 2


def test_a_running_core_whose_configuration_went_bad_stays_down(cloud: Cloud) -> None:
    cloud.start()
    cloud.behave("misconfigured")
    os.kill(cloud.core()["pid"], signal.SIGKILL)
    until(lambda: bool(cloud.core()["state"] == "failed"))
    assert cloud.one("status") == 1


def test_a_wrong_configuration_file_is_told_before_anything_starts(cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "oned.conf"
    file.write_text("PORT = 2633\nPROT = 1\n")
    assert cloud.start("--config", str(file)) == 78
    assert f"{file}:2: unknown option PROT" in cloud.errors
    assert not cloud.layout.home.exists()


def test_a_port_that_is_taken_is_told_with_its_holder(cloud: Cloud) -> None:
    with socket.create_server(("127.0.0.1", cloud.port)):
        assert cloud.start() == 1
    assert f"Port {cloud.port} at 127.0.0.1 is taken by " in cloud.errors
    assert f"pid {os.getpid()}" in cloud.errors


def test_a_sandbox_does_not_listen_to_others(cloud: Cloud) -> None:
    assert cloud.start("--listen", "0.0.0.0") == 1
    assert "listens at loopback addresses only" in cloud.errors


def test_a_sandbox_listens_at_loopback_whatever_the_file_says(cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "oned.conf"
    file.write_text("LISTEN_ADDRESS = 0.0.0.0")
    assert cloud.start("--config", str(file)) == 0
    assert "--listen 127.0.0.1" in cloud.layout.log("core").read_text()


def test_a_core_that_was_left_by_a_killed_supervisor_is_replaced(cloud: Cloud) -> None:
    cloud.start()
    supervisor, core = control.ask(cloud.layout, "status")["supervisor"], cloud.core()["pid"]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: gone(supervisor))
    assert cloud.one("status") == 3
    assert Identity.of(core)
    assert cloud.start() == 0
    assert gone(core)
    assert cloud.core()["pid"] != core


def test_stop_ends_a_core_that_was_left_by_a_killed_supervisor(cloud: Cloud) -> None:
    cloud.start()
    supervisor, core = control.ask(cloud.layout, "status")["supervisor"], cloud.core()["pid"]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: gone(supervisor))
    assert cloud.one("stop") == 0
    assert gone(core)


def test_a_pid_file_of_another_process_harms_nobody(cloud: Cloud) -> None:
    cloud.start()
    cloud.one("stop")
    me = Identity.of(os.getpid())
    assert me
    Identity(me.pid, me.began - 1).write(cloud.layout.pid_file("core"))
    cloud.layout.supervisor_pid.write_text(f"{os.getpid()}\n")
    assert cloud.one("stop") == 0
    assert cloud.start() == 0


def test_sigterm_ends_the_supervisor_and_its_services(cloud: Cloud) -> None:
    cloud.start()
    supervisor, core = control.ask(cloud.layout, "status")["supervisor"], cloud.core()["pid"]
    os.kill(supervisor, signal.SIGTERM)
    until(lambda: gone(supervisor) and gone(core))
    assert not cloud.layout.supervisor_pid.exists()


def test_only_the_owner_reaches_the_supervisor_and_reads_the_logs(cloud: Cloud) -> None:
    cloud.start()
    assert stat.S_IMODE(cloud.layout.supervisor_socket.stat().st_mode) == 0o600
    for path in cloud.layout.home.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_password_is_in_no_log_and_on_no_command_line(cloud: Cloud) -> None:
    cloud.one("start", "--port", str(cloud.port))
    password = cloud.layout.login().partition(":")[2]
    core = cloud.core()["pid"]
    seen = Path(f"/proc/{core}/cmdline").read_text() + cloud.output + cloud.errors
    for log in cloud.layout.home.glob("*.log"):
        seen += log.read_text()
    assert password not in seen


def test_nonsense_on_the_socket_is_answered_and_harms_nothing(cloud: Cloud) -> None:
    cloud.start()
    for nonsense in (b"{", b"[]", b'"x"', b"\xff", b'{"do": "dance"}'):
        with socket.socket(socket.AF_UNIX) as client, cloud.layout.short_socket_path() as path:
            client.connect(path)
            client.sendall(nonsense)
            assert b"error" in client.recv(4096)
    assert cloud.health()


def test_foreground_stays_until_it_is_told_to_end(cloud: Cloud) -> None:
    words = [
        "start",
        "--foreground",
        "--home",
        str(cloud.layout.home),
        "--port",
        str(cloud.port),
        "--drivers",
        "dummy",
    ]
    with subprocess.Popen(
        [*ONE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        until(cloud.health)
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert not cloud.health()


def test_logs_show_the_end_of_each(cloud: Cloud) -> None:
    cloud.start()
    assert cloud.one("logs") == 0
    assert re.search(r"^core +\| stand-in", cloud.output, re.MULTILINE)
    assert re.search(r"^supervisor \| .* core started", cloud.output, re.MULTILINE)
    assert cloud.one("logs", "core", "-n", "1") == 0
    assert cloud.output.startswith("stand-in")


def test_logs_of_a_service_that_is_not_there_are_an_error(cloud: Cloud) -> None:
    assert cloud.one("logs", "moon") == 1
    assert "there is no service moon: there are core, oneflow, onegate, supervisor" in cloud.errors


def test_config_shows_the_options_of_the_running_cloud(cloud: Cloud) -> None:
    cloud.start()
    assert cloud.one("config", "--json", "--diff") == 0
    rows = {row["option"]: (row["value"], row["origin"]) for row in json.loads(cloud.output)}
    assert rows["PORT"] == (str(cloud.port), "command line")
    assert rows["ONE_KEY"][0] == "***"
    assert "API_LIST_ORDER" not in rows


def test_many_clients_at_once_are_all_answered(cloud: Cloud) -> None:
    cloud.start()
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(len(control.ask(cloud.layout, "status")["services"])))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 12
