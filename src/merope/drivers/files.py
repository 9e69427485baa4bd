"""Writes files so that a crash at any point leaves the old file, the new file or none, never a half one."""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import FileIO
from pathlib import Path

from merope.drivers.errors import DriverError

BLOCK = 1024 * 1024
MB = 1024 * 1024
_FICLONE = 0x40049409
_ZEROES = bytes(64 * 1024)

Progress = Callable[[int], None]
"""Told the number of bytes that are done so far."""
Writing = AbstractContextManager[Path]
"""Yields the path to write to; the file takes its name at the end."""


def is_complete(target: Path) -> bool:
    """Whether `target` is there already, and then also removes what is left of the attempt that made it."""
    complete = os.path.lexists(target)
    if complete:
        leftovers(target)
    return complete


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yields a name beside `target` to write to; at the end it is made durable and becomes `target`.

    The first one who gets there wins: a target that appears meanwhile stays as it is. What an earlier,
    interrupted attempt left behind is removed, which also makes that attempt fail if it still runs.
    """
    with _beside(target) as part:
        yield part
        _sync(part)
        try:
            os.link(part, target)
        except FileExistsError:
            return
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            # A file system without hard links: nobody else may be writing, so a check must do.
            if not os.path.lexists(target):
                part.rename(target)


def new_link(path: Path, target: Path) -> None:
    """A symbolic link; the first one who makes it wins."""
    with suppress(FileExistsError):
        path.symlink_to(target)
    sync_directory(path.parent)


@contextmanager
def replaced_file(target: Path) -> Iterator[Path]:
    """Like new_file, but what is written replaces a `target` that is there."""
    with _beside(target) as part:
        yield part
        _sync(part)
        os.replace(part, target)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    leftovers(target)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
    except OSError as error:
        raise DriverError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        sync_directory(target.parent)


def leftovers(target: Path) -> None:
    """Removes what interrupted attempts to write `target` left behind."""
    if target.parent.is_dir():
        prefix = f".{target.name}."
        for name in os.listdir(target.parent):
            if name.startswith(prefix) and name.endswith(".part"):
                remove(target.parent / name)


def make_directory(path: Path) -> None:
    """Makes `path`, for its owner alone, and every directory above it that is missing."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DriverError(f"{path} cannot be made: {error.strerror}") from error


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    if path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_file(source: Path, target: Path) -> None:
    """Copies the regular file `source` (links followed) to the new or empty file `target`."""
    with FileIO(source, "r") as reading:
        copy_sparse(reading, target)


def copy_sparse(
    reading: FileIO, target: Path, progress: Progress | None = None, *, limit: int | None = None
) -> None:
    """Copies an open file with its holes: shared blocks where the file system can, else data only.

    Raises DriverError when the file has more than `limit` bytes.
    """
    size = os.fstat(reading.fileno()).st_size
    check_room(size, limit)
    with FileIO(target, "w") as writing:
        os.ftruncate(writing.fileno(), size)
        if not _reflinked(reading, writing):
            for start, end in _data(reading.fileno(), size):
                _copy_range(reading.fileno(), writing.fileno(), start, end, progress)
    if progress is not None:
        progress(size)


def check_room(size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        raise DriverError(f"the image is larger than the {limit // MB} MB that there is room for")


def _reflinked(reading: FileIO, writing: FileIO) -> bool:
    try:
        fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
    except OSError:
        return False
    return True


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """The ranges of a file that are not holes."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            start = offset
            offset = size
        else:
            offset = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, offset


def _copy_range(reading: int, writing: int, start: int, end: int, progress: Progress | None) -> None:
    while start < end:
        length = min(end - start, 64 * BLOCK)
        try:
            done = os.copy_file_range(reading, writing, length, start, start)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
                raise
            done = os.pwrite(writing, os.pread(reading, min(length, BLOCK), start), start)
        if done == 0:
            raise DriverError("the file became shorter while it was copied", retry_safe=True)
        start += done
        if progress is not None:
            progress(start)


class SparseWriter:
    """Writes a stream to a file and leaves holes where it is zero."""

    def __init__(self, target: Path, limit: int) -> None:
        self._file = FileIO(target, "w")
        self._limit = limit
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises DriverError when the file would have more than `limit` bytes."""
        self.size += len(data)
        check_room(self.size, self._limit)
        view = memoryview(data)
        for start in range(0, len(view), len(_ZEROES)):
            block = view[start : start + len(_ZEROES)]
            if block == _ZEROES[: len(block)]:
                self._file.seek(len(block), os.SEEK_CUR)
            else:
                self._write_all(block)

    def _write_all(self, block: memoryview) -> None:
        while block:
            block = block[self._file.write(block) :]

    def close(self) -> None:
        self._file.truncate(self.size)
        self._file.close()

    def __enter__(self) -> "SparseWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def move_file(source: Path, target: Path) -> None:
    """Moves one file or symbolic link over `target`; across file systems it is copied whole first."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise DriverError(f"{source} cannot be moved to {target}: {error.strerror}") from error
        with replaced_file(target) as part:
            if source.is_symlink():
                part.symlink_to(os.readlink(source))
            else:
                copy_file(source, part)
        source.unlink(missing_ok=True)
    sync_directory(target.parent)


def remove(path: Path) -> None:
    """Removes a file, a symbolic link (not what it points at) or a directory; nothing when not there."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DriverError(f"{path} cannot be removed: {error.strerror}") from error
