"""Ending a worker with all that it has started, and a worker that outlives the core."""

import os
import select
import signal
import threading
from contextlib import suppress
from pathlib import Path

_ROUNDS = 5


def kill_session(leader: int) -> None:
    """Kills every process of the session of `leader`: commands of drivers have groups of their own."""
    for _ in range(_ROUNDS):
        found = members(leader)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def members(leader: int) -> list[int]:
    """The processes of a session that have not ended, its leader last (Linux, /proc)."""
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        with suppress(OSError, ValueError, IndexError):
            text = (directory / "stat").read_text()
            # The name in parentheses may itself have blanks and parentheses.
            state, _parent, _group, session, *_ = text[text.rindex(")") + 2 :].split()
            if int(session) == leader and state not in "ZX":
                found.append(int(directory.name))
    return sorted(found, key=lambda pid: pid == leader)


def end_with(parent: int) -> None:
    """From now on this process, which leads its session, is killed with its session when `parent` ends.

    What a worker of a dead core goes on with would stand in the way of its successor's.
    """
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        kill_session(os.getpid())
        return

    def wait() -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
        kill_session(os.getpid())

    threading.Thread(target=wait, name="parent", daemon=True).start()
