"""Copies of images on a host near those that VMs run on (REPLICA_HOST), from which disks are made.

A replica is named after its image's path and what the file is (inode, size, time), so that of an image
that was written over nobody gets the old content. The time of its file is that of its last use. Whoever
uses one holds a lock on the front-end, from which all copies are begun; so it cannot be dropped meanwhile,
and what several want at once is brought once.
"""

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from merope.drivers import commands
from merope.drivers.carrier import Carrier
from merope.drivers.errors import DriverError
from merope.drivers.files import MB, make_directory
from merope.drivers.localhost import is_local
from merope.drivers.ssh_words import host_name
from merope.drivers.transfer.base import Place

log = logging.getLogger("merope.replicas")

DIRECTORY = "replicas"
"""Below DATASTORE_LOCATION of the host; datastores are numbers."""
HOST, MAX_SIZE, MAX_USED = "REPLICA_HOST", "REPLICA_MAX_SIZE_MB", "REPLICA_MAX_USED_PERC"
_USUAL_PERCENT = 90
_ATTEMPTS = 3
"""What was just brought may have been dropped for something else before it could be locked."""
_NOT_THERE = 3
_USE = 'touch -c -- "$1" && [ -f "$1" ] || exit 3'
_SURVEY = """set -eu
umask 077
mkdir -p -- "$1"
cd -- "$1"
find . -maxdepth 1 -name '.*.carried' -exec rm -rf -- {} +
stat -f -c '%S %a %b' .
find . -maxdepth 1 -type f -printf '%T@ %b %f\\n'
"""
"""What a transfer that was cut off has left is of no use: only one brings something at a time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a system datastore says of its replicas: the host, the MB that they may take together (0 for no
    limit), and up to how many percent of its file system they may fill."""

    host: str
    megabytes: int = 0
    percent: int = _USUAL_PERCENT

    @classmethod
    def of(cls, attributes: Mapping[str, str]) -> "Limits | None":
        """None where nothing is said of replicas. Raises DriverError for what is no host and no number."""
        host = attributes.get(HOST, "")
        if not host:
            return None
        size, used = attributes.get(MAX_SIZE) or "0", attributes.get(MAX_USED) or str(_USUAL_PERCENT)
        if not (size.isascii() and size.isdecimal()):
            raise DriverError(f"{MAX_SIZE} is {size[:32]!r}, and must be a whole number of MB")
        if not (used.isascii() and used.isdecimal() and 1 <= int(used) <= 100):
            raise DriverError(f"{MAX_USED} is {used[:32]!r}, and must be a whole number from 1 to 100")
        return cls(host_name(host), int(size), int(used))


@dataclass(frozen=True, slots=True)
class Replica:
    """`used` is when, in seconds of the host's clock; `size` the bytes that it takes on the disk."""

    name: str
    used: float
    size: int


@dataclass(frozen=True, slots=True)
class Store:
    """The replicas on a host; `free` and `total` bytes of their file system."""

    free: int
    total: int
    replicas: Sequence[Replica] = ()

    @classmethod
    def parse(cls, text: str) -> "Store":
        """Of what `_SURVEY` writes."""
        first, *lines = text.splitlines()
        block, free, total = map(int, first.split())
        found = []
        for line in lines:
            used, blocks, name = line.split(" ", 2)
            found.append(Replica(name, float(used), int(blocks) * 512))
        return cls(block * free, block * total, found)

    def to_drop(self, needed: int, limits: Limits, free: Sequence[Replica]) -> list[Replica] | None:
        """Which of those that nobody uses (`free`) must go for `needed` bytes, the least recently used first.

        None when even all of them would not do; then none needs to go.
        """
        kept = self.total - self.total * limits.percent // 100
        missing = needed + kept - self.free
        if limits.megabytes:
            together = sum(each.size for each in self.replicas)
            missing = max(missing, needed + together - limits.megabytes * MB)
        dropped = []
        for each in sorted(free, key=lambda replica: (replica.used, replica.name)):
            if missing <= 0:
                break
            dropped.append(each)
            missing -= each.size
        return dropped if missing <= 0 else None


class Replicas:
    """`location` is DATASTORE_LOCATION, `locks` a directory of this machine, the front-end."""

    def __init__(self, carrier: Carrier, location: Path, locks: Path) -> None:
        self._carrier = carrier
        self._directory = location / DIRECTORY
        self._locks = locks

    def copy(self, source: Path, target: Place, attributes: Mapping[str, str]) -> None:
        """Copies an image to a host, by way of its replica where the system datastore's `attributes` name a
        host for them; it is brought there where it is not there.

        Where that cannot be done, the image comes from the front-end, and why is in the log.
        """
        try:
            done = self._handed_over(source, target, attributes)
        except DriverError as error:
            log.warning("%s goes to %s without a replica: %s", source, target.host, error)
            done = False
        if not done:
            self._carrier.copy(Place("", source), target, follow=True)

    def _handed_over(self, source: Path, target: Place, attributes: Mapping[str, str]) -> bool:
        """False where there is to be no replica, or no room for it."""
        limits = Limits.of(attributes)
        if limits is None or is_local(limits.host):
            return False
        name = replica_name(source)
        replica = Place(limits.host, self._directory / name)
        for _ in range(_ATTEMPTS):
            with self._locked(limits.host, _slot(name), fcntl.LOCK_SH):
                if self._is_there(replica):
                    self._carrier.hand_over(replica, target)
                    return True
            with self._locked(limits.host, _slot(name), fcntl.LOCK_EX):
                if not self._is_there(replica) and not self._brought(source, replica, limits):
                    return False
        return False

    def _is_there(self, replica: Place) -> bool:
        """Also notes that it is used."""
        try:
            self._carrier.run(replica.host, _USE, str(replica.path))
        except commands.CommandError as error:
            if error.status == _NOT_THERE:
                return False
            raise
        return True

    def _brought(self, source: Path, replica: Place, limits: Limits) -> bool:
        """One at a time on a host: what the others need is not to be taken for free room."""
        with self._locked(replica.host, "room", fcntl.LOCK_EX):
            if not self._made_room(source, limits):
                log.info("there is no room for a replica of %s on %s", source, limits.host)
                return False
            self._carrier.copy(Place("", source), replica, follow=True)
        if replica_name(source) != replica.path.name:
            self._carrier.delete(replica)
            raise DriverError(f"{source} was written to while it was brought", retry_safe=True)
        return True

    def _made_room(self, source: Path, limits: Limits) -> bool:
        store = Store.parse(self._carrier.run(limits.host, _SURVEY, str(self._directory)))
        with ExitStack() as held:
            unused = [each for each in store.replicas if self._taken(held, limits.host, each.name)]
            dropped = store.to_drop(os.stat(source).st_blocks * 512, limits, unused)
            for each in dropped or ():
                self._carrier.delete(Place(limits.host, self._directory / each.name))
        return dropped is not None

    def _taken(self, held: ExitStack, host: str, name: str) -> bool:
        """Locks a replica that nobody uses for as long as `held`; answers whether that was so."""
        try:
            held.enter_context(self._locked(host, _slot(name), fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    @contextmanager
    def _locked(self, host: str, name: str, how: int) -> Iterator[None]:
        """The lock is the open file's, and free again when the process has ended, however it ended."""
        directory = self._locks / hashlib.sha256(host.encode()).hexdigest()[:16]
        make_directory(directory)
        descriptor = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)


def _slot(name: str) -> str:
    """The lock of a replica: one of 256, so that they do not become more with every image."""
    return hashlib.sha256(name.encode()).hexdigest()[:2]


def replica_name(source: Path) -> str:
    """Of an image as it is now. Raises DriverError when it is not there."""
    try:
        info = source.stat()
    except OSError as error:
        raise DriverError(f"the image {source} is not there") from error
    version = f"{info.st_ino} {info.st_size} {info.st_mtime_ns}"
    return ".".join(hashlib.sha256(text.encode()).hexdigest()[:24] for text in (str(source), version))
