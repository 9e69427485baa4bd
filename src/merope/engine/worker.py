"""A worker process: reads one request a line, carries it out with this machine's drivers, answers a line.

Started by `engine.workers` as the leader of a session, here or over SSH; `python -m merope.engine.worker HOME
DATASTORE_LOCATION [HOST SILENCE]`, where HOST is what the cloud calls this machine. A request is an object
with its number "n"; its answer is a list of the number and the answer, or, before that, of the number and
{"done": bytes} while images are copied or downloaded. Empty lines say that the core is there.

What a worker of a dead core goes on with would stand in the way of its successor's: so it is killed, with all
that it has started, when its requests end in the middle of an operation, and when nothing at all was heard
for SILENCE seconds.
"""

import json
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from merope.engine import plans, probes
from merope.engine.job import Answer, Job
from merope.engine.places import Layout
from merope.engine.processes import kill_session
from merope.engine.toolbox import LocalDrivers

log = logging.getLogger("merope.worker")

#: Seconds until the first report of how far an operation has come, and between two of them.
FIRST_SECONDS = 1.0
REPORT_SECONDS = 5.0
_CHUNK = 256 * 1024


class Requests:
    """The lines of a descriptor. `silence` in seconds, 0 for no limit."""

    def __init__(self, descriptor: int, silence: float = 0.0) -> None:
        self._descriptor = descriptor
        self._silence = silence
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._taken = self._done = 0
        threading.Thread(target=self._listen, name="requests", daemon=True).start()

    def __iter__(self) -> Iterator[bytes]:
        while line := self._lines.get():
            yield line
            self._done += 1

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        limit = self._silence * 1000 or None
        pending = bytearray()
        while poll.poll(limit) and (data := os.read(self._descriptor, _CHUNK)):
            begun = len(pending)
            pending += data
            if pending.find(b"\n", begun) >= 0:
                *lines, rest = pending.split(b"\n")
                pending = bytearray(rest)
                for line in filter(None, lines):
                    self._taken += 1
                    self._lines.put(bytes(line))
        if self._taken != self._done:
            kill_session(os.getpid())
        self._lines.put(b"")


class Reports:
    """Tells now and then how many bytes of the present request are done."""

    def __init__(self, replies: TextIO) -> None:
        self._replies = replies
        self._number = 0
        self._next = 0.0

    def begin(self, number: int) -> None:
        self._number = number
        self._next = time.monotonic() + FIRST_SECONDS

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + REPORT_SECONDS
            self.write({"done": done})

    def write(self, payload: object) -> None:
        self._replies.write(json.dumps([self._number, payload]) + "\n")
        self._replies.flush()


def answer(drivers: LocalDrivers, request: dict[str, Any]) -> Answer:
    """Never raises: a bug in a driver is an answer too, and its traceback is in the log."""
    try:
        if "job" in request:
            job = Job.from_json(request["job"])
            drivers.reach(request.get("far", ()), request.get("ssh", {}))
            if "step" in request:
                return plans.run_step(drivers, job, request["stage"], request["step"])
            if "stage" in request:
                return plans.run_stage(drivers, job, request["stage"], undo=request["undo"])
            return plans.run(drivers, job)
        return probes.answer(drivers, request)
    except Exception as error:
        log.exception("a driver failed")
        return Answer(False, f"the driver failed: {type(error).__name__}: {error}")


def _settle(home: Path) -> None:
    """What drivers remember of a host is in a directory of its own; what an administrator set, around it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (home / "remotes").symlink_to("..")


def main(argv: list[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    with suppress(PermissionError):  # it leads its session already
        os.setsid()
    home, location, host, silence = (*argv, "", "0")[:4]
    # Whatever a library or a command prints must not get between the answers, nor read the requests.
    requests = Requests(os.dup(0), float(silence))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    if host:
        _settle(Path(home))
    reports = Reports(replies)
    drivers = LocalDrivers(Path(home), Layout(Path(location)), progress=reports, host=host)
    for line in requests:
        request = json.loads(line)
        reports.begin(request["n"])
        reports.write(answer(drivers, request).to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
