"""The right to write to a database: one process has it at a time."""

import fcntl
import os
from pathlib import Path

from merope.store.errors import InUseError, StoreError, sentence


class Claim:
    """Held from construction to `release`, or to the end of the process, however it ends.

    It is a lock on the file beside the database, which stays there and says who has it. Raises StoreError
    with the other's process id when another has it.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"Cannot open {path}: {sentence(error)}.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise InUseError(
                f"The database {database} is in use by process {holder}: stop that cloud first (`one stop`)."
            ) from error
        self._note(f"{os.getpid()}\n")

    def release(self) -> None:
        os.close(self._descriptor)

    def _note(self, text: str) -> None:
        """The lock counts, the number is for people: a disk that is full must not keep reads out."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)
        except OSError:
            return
