"""Refuses operations that are older than what a host has already seen for a VM.

A worker that was taken for dead may still be at work, and an order may be held up on its way. So each
operation carries an epoch that grows with every operation, and a host lets it begin only while no other
operation of the VM runs there and none that is newer has begun.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.files import make_directory

_RECORD = struct.Struct("<q")
# l_type, l_whence, l_start, l_len, l_pid of struct flock.
_FLOCK = struct.Struct("hhqqi")


class StaleOperationError(DriverError):
    """An operation came after a newer one for the same VM, and is refused."""


def check_epoch(vm_id: int, epoch: int, newest: int) -> None:
    """Raises StaleOperationError when `newest` has been seen for the VM and is newer than `epoch`."""
    if epoch < newest:
        raise StaleOperationError(f"operation {epoch} of VM {vm_id} is older than {newest}, which came first")


class Fence:
    """The newest epoch of every VM on this host, in a sparse file of 8 bytes for each VM id.

    The lock on a VM belongs to the open file and so to the process: it is free again when the worker
    that held it has ended, however it ended.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextmanager
    def hold(self, vm_id: int, epoch: int) -> Iterator[None]:
        """Keeps other operations of the VM out while the block runs.

        Raises StaleOperationError when a newer one has begun here, and DriverError, safe to retry, while
        another one still runs.
        """
        make_directory(self._file.parent)
        offset = vm_id * _RECORD.size
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(descriptor, vm_id, offset)
            record = os.pread(descriptor, _RECORD.size, offset).ljust(_RECORD.size, b"\0")
            newest = _RECORD.unpack(record)[0]
            check_epoch(vm_id, epoch, newest)
            if epoch > newest:
                os.pwrite(descriptor, _RECORD.pack(epoch), offset)
                os.fdatasync(descriptor)
            yield
        finally:
            os.close(descriptor)

    @staticmethod
    def _lock(descriptor: int, vm_id: int, offset: int) -> None:
        wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, _RECORD.size, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
        except BlockingIOError as error:
            raise DriverError(f"another operation of VM {vm_id} still runs here", retry_safe=True) from error
