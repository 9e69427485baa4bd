"""Mounts that show the owners of files as a container has them: what is root's there is root's on the disk.

The kernel does it (idmapped mounts, Linux 5.12 for ext4, 5.13 for xfs); the command `mount` knows of it only
since util-linux 2.39, so the system calls are made here.
"""

import ctypes
import errno
import json
import os
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from merope.drivers.errors import DriverError

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_CLONE, _FROM_EMPTY_PATH = 1, 4
_ATTR_IDMAP = 0x00100000
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class IdRange:
    """`length` ids from `inside` on, in the container, are those from `outside` on, on the host."""

    users: bool
    groups: bool
    inside: int
    outside: int
    length: int


def ranges_of(text: str) -> list[IdRange]:
    """The map of a container as LXD writes it; empty for one that is privileged."""
    return [
        IdRange(each["Isuid"], each["Isgid"], each["Nsid"], each["Hostid"], each["Maprange"])
        for each in json.loads(text or "[]")
    ]


def clone_mount(source: Path, target: Path, ranges: Sequence[IdRange]) -> None:
    """Mounts what is mounted at `source` at `target` too, with the owners mapped. Raises DriverError."""
    with _user_namespace(ranges) as namespace:
        tree = -1
        try:
            tree = _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), _CLONE | os.O_CLOEXEC)
            attributes = struct.pack("QQQQ", _ATTR_IDMAP, 0, 0, namespace)
            _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, len(attributes))
            _call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _FROM_EMPTY_PATH)
        except OSError as error:
            reason = error.strerror
            if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                reason = (
                    "this kernel cannot map the owners of files of its file system (ext4 needs Linux 5.12, "
                    "xfs 5.13): a privileged container does without (LXD_SECURITY_PRIVILEGED = true)"
                )
            raise DriverError(f"{source.name} cannot be mounted for the container: {reason}") from error
        finally:
            if tree >= 0:
                os.close(tree)


@contextmanager
def _user_namespace(ranges: Sequence[IdRange]) -> Iterator[int]:
    """A descriptor of a user namespace with that map, which the kernel takes it from."""
    with subprocess.Popen(["unshare", "--user", "cat"], stdin=subprocess.PIPE) as child:  # noqa: S607
        try:
            link = f"/proc/{child.pid}/ns/user"
            own, deadline = os.readlink("/proc/self/ns/user"), time.monotonic() + _SECONDS
            while os.readlink(link) == own:
                if time.monotonic() > deadline or child.poll() is not None:
                    raise DriverError("no user namespace could be made on this host")
                time.sleep(0.001)
            for name, wanted in (("uid_map", "users"), ("gid_map", "groups")):
                lines = [
                    f"{each.inside} {each.outside} {each.length}\n"
                    for each in ranges
                    if getattr(each, wanted)
                ]
                Path(f"/proc/{child.pid}/{name}").write_text("".join(lines))
            namespace = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            child.kill()
    try:
        yield namespace
    finally:
        os.close(namespace)


def _call(number: int, *words: int | bytes) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    answer = int(library.syscall(number, *words))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer
