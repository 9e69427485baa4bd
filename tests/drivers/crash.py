"""Kills an operation before each of its steps, in a process of its own."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator

_STEPS = {"subprocess.Popen"} | {
    f"os.{call}" for call in ("link", "mkdir", "remove", "rename", "rmdir", "symlink", "truncate")
}
_KILLED = 77


def crash_points(operation: Callable[[], None], prepare: Callable[[], None]) -> Iterator[int]:
    """For step 0, 1, 2 … of the operation: prepares, runs it, ends the process before that step, yields.

    Stops when the operation comes to its end before the step.
    """
    step = 0
    while True:
        prepare()
        if not _dies(operation, step):
            return
        yield step
        step += 1


def _dies(operation: Callable[[], None], step: int) -> bool:
    with warnings.catch_warnings():
        # The child calls the operation and ends; threads of the test runner do not matter to it.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            sys.addaudithook(_Killer(step))
            operation()
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, _KILLED), f"the operation failed before step {step}"
    return status == _KILLED


class _Killer:
    def __init__(self, step: int) -> None:
        self._left = step

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _STEPS or (event == "open" and _writes(arguments)):
            if self._left == 0:
                os._exit(_KILLED)
            self._left -= 1


def _writes(arguments: tuple[object, ...]) -> bool:
    path, _, flags = arguments
    return (
        isinstance(flags, int)
        and bool(flags & (os.O_WRONLY | os.O_RDWR))
        and not str(path).startswith("/dev")
    )
