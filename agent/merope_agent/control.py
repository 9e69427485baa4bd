"""Starting and ending the agent of a host: `python3 DIRECTORY start | stop | run`.

The configuration is on standard input.

`start` ends the agent that was there for the same host of the same cloud, starts one in the background and
answers a line of JSON. `stop` needs `host` and `run` of the configuration only. `run` stays in the
foreground.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import sys
import threading
import time
from typing import IO

from merope_agent.agent import Agent
from merope_agent.config import Config, ConfigError

_PATIENCE = 5.0
BAD_CONFIGURATION = 78


class PidFile:
    """Says which agent a host has. Locked for as long as that one lives: the number alone proves nothing."""

    def __init__(self, run: str, host: int) -> None:
        os.makedirs(run, mode=0o700, exist_ok=True)
        self.path = os.path.join(run, f"agent-{host}.pid")
        self._file: IO[str] | None = None

    def claim(self) -> bool:
        """False where an agent lives."""
        file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return False
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file
        return True

    def note(self, pid: int) -> None:
        """After a fork, the lock is the child's too; who began it says so before anybody is told."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate(0)
            self._file.write(f"{pid}\n")
            self._file.flush()

    def end_holder(self) -> None:
        """Ends the agent that lives. Its number is believed as long as the file is locked."""
        deadline = time.monotonic() + _PATIENCE
        while not self.claim():
            try:
                with open(self.path) as file:
                    pid = int(file.read().strip() or 0)
                if pid > 1:
                    os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            except (ValueError, ProcessLookupError):
                pass
            if time.monotonic() > 2 * _PATIENCE + deadline:
                raise OSError(f"the agent that was there does not end ({self.path})")
            time.sleep(0.05)


def main(words: list[str]) -> int:
    os.umask(0o077)
    action = words[0] if words else ""
    if action not in ("start", "stop", "run"):
        print("usage: start | stop | run", file=sys.stderr)
        return 2
    text = sys.stdin.read()
    try:
        if action == "stop":
            values = json.loads(text)
            PidFile(str(values["run"]), int(values["host"])).end_holder()
            return 0
        config = Config.read(text)
        pid_file = PidFile(config.run, config.host)
        pid_file.end_holder()
        return _run(config) if action == "run" else _start(config, pid_file)
    except (ConfigError, ValueError, KeyError) as error:
        print(f"the agent cannot be started: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    except OSError as error:
        print(f"the agent cannot be started: {error}", file=sys.stderr)
        return 1


def _start(config: Config, pid_file: PidFile) -> int:
    agent = Agent(config)
    pid = os.fork()
    if pid:
        pid_file.note(pid)
        print(json.dumps({"pid": pid}), flush=True)
        # The lock stays with the child.
        os._exit(0)
    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    return _serve(config, agent)


def _run(config: Config) -> int:
    return _serve(config, Agent(config))


def _serve(config: Config, agent: Agent) -> int:
    if config.parent:
        threading.Thread(target=_end_with, args=(config.parent,), daemon=True).start()
    if config.prometheus:
        from merope_agent import prometheus

        prometheus.serve(config.prometheus, agent)
    agent.serve()
    return 0


def _end_with(pid: int) -> None:
    """Ends this process when that one has ended."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            os._exit(0)
        select.select([descriptor], [], [])
        os._exit(0)
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            os._exit(0)
        except PermissionError:
            pass
        time.sleep(1)
