"""The supervisor: one process that starts the services of a cloud, watches them and ends them.

It has one thread and waits on everything at once: its socket, its signals, and a descriptor of each
service's process (pidfd). `python -m merope.daemon.supervisor --home DIR --port N --listen ADDRESS …`
runs in the foreground; `one start` puts it into the background.
"""

import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from merope.daemon.layout import PRIVATE, Layout, write_private
from merope.daemon.process import Identity, kill_group
from merope.daemon.service import BAD_CONFIGURATION, SERVICES, BackOff, Options, Service

ALREADY_RUNNING = 75
# Seconds that a service has to finish what it is doing when it is asked to end.
PATIENCE = 30.0
_MAX_REQUEST = 4096


def log(message: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), message, file=sys.stderr, flush=True)


@dataclass
class Child:
    """A service and its process, as the supervisor sees them."""

    service: Service
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    began: float = 0.0
    restarts: int = 0
    wait: float = 0.0
    retry_at: float | None = None
    kill_at: float | None = None
    again: bool = False
    exit: int | None = None

    @property
    def state(self) -> str:
        if self.process:
            return "running" if self.kill_at is None else "stopping"
        if self.retry_at is not None:
            return "waiting"
        return "failed" if self.exit == BAD_CONFIGURATION else "stopped"


@dataclass
class Supervisor:
    """Keeps `services` running until it is told to stop (by SIGTERM, SIGINT or over its socket)."""

    options: Options
    services: Sequence[Service] = SERVICES
    back_off: BackOff = field(default_factory=BackOff)
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        self.layout = Layout.at(self.options.home)
        self.services = [service for service in self.services if self.options.runs(service)]
        self.children = [Child(service) for service in self.services]
        self.selector = selectors.DefaultSelector()
        self.waiting_for_stop: list[socket.socket] = []
        self.asked_to_stop = False
        self.stopping = False

    def run(self) -> int:
        """Returns the exit status when everything has ended."""
        with ExitStack() as stack:
            if not self._lock(stack):
                log("another supervisor runs this cloud")
                return ALREADY_RUNNING
            self._catch_signals(stack)
            self._end_leftovers()
            write_private(self.layout.endpoint, self.options.endpoint + "\n")
            stack.callback(self.layout.endpoint.unlink, missing_ok=True)
            # Services first: they take longer to come up than this does to answer.
            for child in self.children:
                self._start(child)
            self._listen(stack)
            log(f"supervisor {os.getpid()} runs {', '.join(s.name for s in self.services)}")
            while not (self.stopping and all(child.process is None for child in self.children)):
                self._step()
            log("all services have ended")
        for client in self.waiting_for_stop:
            _answer(client, {"stopped": True})
        return 0

    # What it holds while it runs

    def _lock(self, stack: ExitStack) -> bool:
        """The lock, not the number in the file, is what says that a supervisor lives."""
        path = self.layout.supervisor_pid
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        stack.callback(path.unlink, missing_ok=True)
        return True

    def _listen(self, stack: ExitStack) -> None:
        self.layout.supervisor_socket.unlink(missing_ok=True)
        server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        with self.layout.short_socket_path() as path:
            server.bind(path)
            os.chmod(path, 0o600)
        server.listen(16)
        server.setblocking(False)
        stack.callback(self.layout.supervisor_socket.unlink, missing_ok=True)
        self._watch(server, lambda: self._accept(server))

    def _catch_signals(self, stack: ExitStack) -> None:
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
            stack.enter_context(end)
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, self._note_signal))
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False))
        self._watch(reader, lambda: reader.recv(_MAX_REQUEST))

    def _note_signal(self, *_: object) -> None:
        # Only noted: the signal may have come in the middle of starting a service.
        self.asked_to_stop = True

    def _end_leftovers(self) -> None:
        """Services of a supervisor that was killed: two cores must never work on one database."""
        for service in SERVICES:
            left = Identity.read(self.layout.pid_file(service.name))
            if left:
                log(f"ending {service.name} (pid {left.pid}), left over from a supervisor that was killed")
                left.end(self.patience)

    def _watch(self, what: socket.socket | int, then: Callable[[], object]) -> None:
        self.selector.register(what, selectors.EVENT_READ, then)

    # What it does

    def _step(self) -> None:
        """Wait for the next thing to happen or to be due, and do it."""
        now = time.monotonic()
        due = [t for child in self.children for t in (child.retry_at, child.kill_at) if t is not None]
        timeout = max(0.0, min(due) - now) if due else None
        for key, _ in self.selector.select(timeout):
            key.data()
        if self.asked_to_stop and not self.stopping:
            self.stop()
        now = time.monotonic()
        for child in self.children:
            if child.retry_at is not None and child.retry_at <= now:
                child.restarts += 1
                self._start(child)
            if child.kill_at is not None and child.kill_at <= now and child.process:
                log(f"{child.service.name} has not ended in {self.patience:g} s: killing it")
                child.kill_at = now + self.patience
                kill_group(child.process.pid)

    def _start(self, child: Child) -> None:
        name = child.service.name
        child.retry_at = child.exit = None
        with self.layout.log(name).open("ab") as output:
            child.process = subprocess.Popen(  # noqa: S603  the table of services is ours
                [*child.service.command, *self.options.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        child.began = time.monotonic()
        identity = Identity.of(child.process.pid)
        if identity:
            identity.write(self.layout.pid_file(name))
        child.pidfd = os.pidfd_open(child.process.pid)
        self._watch(child.pidfd, lambda: self._ended(child))
        log(f"{name} started, pid {child.process.pid}")

    def _ended(self, child: Child) -> None:
        assert child.process
        name, lived = child.service.name, time.monotonic() - child.began
        self.selector.unregister(child.pidfd)
        os.close(child.pidfd)
        # Before the process is reaped, so that its number cannot belong to another: workers of a service
        # that is gone must not go on beside those of its successor.
        kill_group(child.process.pid)
        child.exit = child.process.wait()
        child.process = child.kill_at = None
        self.layout.pid_file(name).unlink(missing_ok=True)
        how = f"signal {-child.exit}" if child.exit < 0 else f"status {child.exit}"
        again, child.again = child.again, False
        if self.stopping:
            log(f"{name} has ended ({how})")
        elif again:
            child.wait = 0.0
            self._start(child)
        elif child.exit == BAD_CONFIGURATION:
            log(f"{name} refuses its configuration; it is not started again (see {self.layout.log(name)})")
        else:
            child.wait = self.back_off.next(child.wait, lived)
            child.retry_at = time.monotonic() + child.wait
            log(f"{name} ended by itself ({how}) after {lived:.1f} s: starting it again in {child.wait:g} s")

    def stop(self) -> None:
        self.stopping = True
        for child in reversed(self.children):
            child.retry_at = None
            self._ask_to_end(child)

    def _ask_to_end(self, child: Child) -> None:
        if child.process and child.kill_at is None:
            child.kill_at = time.monotonic() + self.patience
            child.process.send_signal(signal.SIGTERM)

    def _restart(self, child: Child) -> None:
        if child.process:
            child.again = True
            self._ask_to_end(child)
        else:
            child.wait = 0.0
            self._start(child)

    # What it answers

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            client, _ = server.accept()
            client.settimeout(1.0)
            self._watch(client, lambda: self._serve(client))

    def _serve(self, client: socket.socket) -> None:
        """One request a connection: {"do": "status" | "stop" | "restart", "service": name}."""
        self.selector.unregister(client)
        try:
            request = json.loads(client.recv(_MAX_REQUEST))
            do, name = request["do"], request.get("service")
        except (OSError, ValueError, KeyError, TypeError):
            _answer(client, {"error": "not a request"})
            return
        chosen = [child for child in self.children if name in (None, child.service.name)]
        if not chosen:
            known = ", ".join(service.name for service in self.services)
            _answer(client, {"error": f"there is no service {name}: there are {known}"})
        elif do == "status":
            _answer(client, {"supervisor": os.getpid(), "services": [self._row(child) for child in chosen]})
        elif do == "restart" and not self.stopping:
            for child in chosen:
                self._restart(child)
            _answer(client, {"restarted": [child.service.name for child in chosen]})
        elif do == "stop":
            self.waiting_for_stop.append(client)
            self.stop()
        else:
            _answer(client, {"error": f"cannot {do} now"})

    def _row(self, child: Child) -> dict[str, Any]:
        process = child.process
        return {
            "name": child.service.name,
            "pid": process.pid if process else None,
            "port": self.options.port_of(child.service),
            "uptime": round(time.monotonic() - child.began, 3) if process else 0,
            "restarts": child.restarts,
            "state": child.state,
            "exit": child.exit,
        }


def _answer(client: socket.socket, reply: dict[str, Any]) -> None:
    with client, suppress(OSError):
        client.sendall(json.dumps(reply).encode())


def options_from(argv: Sequence[str]) -> Options:
    """The options of a service's command line (pairs of --name value; `one` has checked them)."""
    given = dict(zip(argv[::2], argv[1::2], strict=True))
    return Options(
        home=given["--home"],
        port=int(given["--port"]),
        listen=given["--listen"],
        config=given.get("--config"),
        drivers=given.get("--drivers"),
        oneflow_port=int(given.get("--oneflow-port", 0)),
        onegate_port=int(given.get("--onegate-port", 0)),
    )


def main(argv: Sequence[str] | None = None, services: Sequence[Service] = SERVICES) -> int:
    os.umask(PRIVATE)
    options = options_from(sys.argv[1:] if argv is None else argv)
    os.chdir(options.home)
    return Supervisor(options, services).run()


if __name__ == "__main__":
    sys.exit(main())
