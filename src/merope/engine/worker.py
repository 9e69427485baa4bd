"""A worker process: reads one request a line, carries it out with this machine's drivers, answers a line.

Started by `engine.workers` as the leader of a session; `python -m merope.engine.worker HOME
DATASTORE_LOCATION PARENT`. A request is an object with its number "n"; its answer is a list of the number
and the answer.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from merope.engine import plans, probes
from merope.engine.job import Answer, Job
from merope.engine.places import Layout
from merope.engine.processes import end_with
from merope.engine.toolbox import LocalDrivers

log = logging.getLogger("merope.worker")


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
    drivers = LocalDrivers(Path(argv[0]), Layout(Path(argv[1])))
    for line in requests:
        request = json.loads(line)
        replies.write(json.dumps([request["n"], answer(drivers, request).to_json()]) + "\n")
        replies.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
