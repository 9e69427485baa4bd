"""A worker process: reads one request a line, carries it out with this machine's drivers, answers a line.

Started by `engine.workers` as the leader of a session; `python -m merope.engine.worker HOME
DATASTORE_LOCATION PARENT`. A request is an object with its number "n"; its answer is a list of the number
and the answer, or, before that, of the number and {"done": bytes} while images are copied or downloaded.
"""

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from merope.engine import plans, probes
from merope.engine.job import Answer, Job
from merope.engine.places import Layout
from merope.engine.processes import end_with
from merope.engine.toolbox import LocalDrivers

log = logging.getLogger("merope.worker")

#: Seconds until the first report of how far an operation has come, and between two of them.
FIRST_SECONDS = 1.0
REPORT_SECONDS = 5.0


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
            return plans.run(drivers, Job.from_json(request["job"]))
        return probes.answer(drivers, request)
    except Exception as error:
        log.exception("a driver failed")
        return Answer(False, f"the driver failed: {type(error).__name__}: {error}")


def main(argv: list[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    end_with(int(argv[2]))
    # Whatever a library or a command prints must not get between the answers, nor read the requests.
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    reports = Reports(replies)
    drivers = LocalDrivers(Path(argv[0]), Layout(Path(argv[1])), progress=reports)
    for line in requests:
        request = json.loads(line)
        reports.begin(request["n"])
        reports.write(answer(drivers, request).to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
