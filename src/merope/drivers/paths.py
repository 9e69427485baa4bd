"""Which paths a driver may read, write and remove.

What a user names is resolved to the file that it really is before it is judged, and what is opened is
judged once more, so that a symbolic link, or one that is swapped in meanwhile, leads nowhere new.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from merope.drivers.errors import DriverError

_VM_SHAPE = re.compile(r"(\d+)/(\d+)(?:/(disk\.\d+(?:\.[a-z0-9]+)*|checkpoint|kernel|initrd))?", re.ASCII)


def directories(text: str) -> tuple[Path, ...]:
    """The blank-separated list of SAFE_DIRS or RESTRICTED_DIRS, resolved.

    Raises DriverError for a relative path: relative to what would depend on who asks.
    """
    paths = [Path(word) for word in text.split()]
    for path in paths:
        if not path.is_absolute():
            raise DriverError(f"{path} in SAFE_DIRS or RESTRICTED_DIRS must be an absolute path")
    return tuple(Path(os.path.realpath(path)) for path in paths)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What SAFE_DIRS and RESTRICTED_DIRS of a datastore allow to be registered as an image.

    A path is refused when it is under a restricted directory, unless it is under a safe one, which must
    lie at or below the restricted one (a datastore's SAFE_DIRS are exceptions to its RESTRICTED_DIRS).
    """

    safe: tuple[Path, ...]
    restricted: tuple[Path, ...]

    @classmethod
    def parse(cls, safe: str, restricted: str, *, protected: tuple[Path, ...] = ()) -> "Allowed":
        """`protected` directories are restricted too, and only a safe directory inside opens them."""
        closed = (*directories(restricted), *(Path(os.path.realpath(path)) for path in protected))
        return cls(directories(safe), closed)

    def __call__(self, path: Path) -> bool:
        """Whether `path`, already resolved, may be read."""
        closed = [base for base in self.restricted if path.is_relative_to(base)]
        opened = [base for base in self.safe if path.is_relative_to(base)]
        deepest = max((len(base.parts) for base in closed), default=0)
        return not closed or any(len(base.parts) >= deepest for base in opened)

    @contextmanager
    def open(self, path: Path) -> Iterator[FileIO]:
        """Opens the regular file that `path` is in the end, for reading.

        Raises DriverError when it is not there, not a regular file, or not allowed.
        """
        if not path.is_absolute():
            raise DriverError(f"{path} must be an absolute path")
        real = Path(os.path.realpath(path))
        if not self(real):
            raise DriverError(self._refusal(path))
        descriptor = _open_regular(path, real)
        try:
            # The name may have come to mean another file since it was resolved; the descriptor cannot.
            if not self(Path(os.readlink(f"/proc/self/fd/{descriptor}"))):
                raise DriverError(self._refusal(path))
            stream = FileIO(descriptor, "r", closefd=False)
            yield stream
        finally:
            os.close(descriptor)

    def _refusal(self, path: Path) -> str:
        safe = " ".join(map(str, self.safe)) or "none"
        return f"{path} is in a restricted directory; files may be taken from SAFE_DIRS ({safe})"


def _open_regular(path: Path, real: Path) -> int:
    try:
        # Asked before opening too, because to open a device can be to set it off.
        if not stat.S_ISREG(os.lstat(real).st_mode):
            raise DriverError(f"{path} is not a regular file")
        # O_NONBLOCK: opening a FIFO that was swapped in must not wait for its writer.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DriverError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DriverError(f"{path} is not a regular file")
    return descriptor


def vm_parts(location: Path, path: Path) -> tuple[str, ...]:
    """`path` below the datastore location, as its names, when it has the shape of what belongs to a VM.

    The shapes are `<datastore id>/<vm id>` and in it `disk.<n>` (with lower-case suffixes), `checkpoint`,
    `kernel` and `initrd`. Raises DriverError for everything else. Looks at the names only.
    """
    base, text = f"{location}/", str(path)
    if not text.startswith(base) or ".." in path.parts:
        raise DriverError(f"{path} is not below the datastore location {location}")
    match = _VM_SHAPE.fullmatch(text, len(base))
    if match is None:
        raise DriverError(
            f"{path} is neither a VM's directory nor a disk (disk.<number>) in one below {location}"
        )
    return tuple(part for part in match.groups() if part is not None)


def vm_path(location: Path, path: Path) -> Path:
    """`path`, checked by vm_parts. Raises DriverError also when the VM's directory is a symbolic link.

    The directory of a datastore may be one: an administrator has put it on another file system.
    """
    parts = vm_parts(location, path)
    checked = location.joinpath(*parts)
    if len(parts) == 3 and checked.parent.is_symlink():
        raise DriverError(f"{checked.parent} is a symbolic link; a VM's directory must not be one")
    return checked


def image_path(base: Path, source: str) -> Path | None:
    """`source` when it is a file directly in the datastore directory `base`, None when it is elsewhere."""
    path = Path(os.path.normpath(source)) if source else base
    return path if path.parent == Path(os.path.normpath(base)) and ".." not in Path(source).parts else None
