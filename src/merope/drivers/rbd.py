"""Block devices of a Ceph pool (RBD) through the `rbd` and `ceph` commands.

A volume is named `<pool>/<name>` as in SOURCE. What is made gets its name when it is whole: it is called
`<name>.part` before.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from merope.drivers.commands import CommandError, CompletedCommand, said
from merope.drivers.errors import DriverError
from merope.drivers.files import MB
from merope.drivers.machine import HERE, Machine

DEFAULT_POOL = "one"
REACHED_BY = ("CEPH_USER", "CEPH_CONF", "CEPH_KEY")
"""The attributes that say how a cluster is reached."""
BASE = "snap"
"""The snapshot of an image that clones are built on, as 5.12 calls it."""
_VOLUME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*/[A-Za-z0-9_.][A-Za-z0-9_.-]*", re.ASCII)
_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts."""
_NOT_THERE = 2
_EXISTS = 17
_INVALID = 22
_UNCONNECTED = "couldn't connect to the cluster"
"""Where there is no key, the status is the one of a volume that is not there."""
_BUSY = (16, 39)
_IMPORT = ("--image-format", "2")
_FEATURES = ("--image-feature", "layering")


def checked(volume: str) -> str:
    """Raises DriverError unless `volume` is `<pool>/<name>`."""
    if not _VOLUME.fullmatch(volume):
        raise DriverError(f"{volume!r} is not a volume of Ceph, which are named <pool>/<name>")
    return volume


@dataclass(frozen=True, slots=True)
class Cluster:
    """How a cluster is reached: CEPH_USER, CEPH_CONF and CEPH_KEY (a file that holds the key)."""

    user: str = ""
    conf: str = ""
    key: str = ""
    machine: Machine = field(default=HERE)

    @classmethod
    def of(cls, attributes: Mapping[str, str], machine: Machine = HERE) -> "Cluster":
        """Of a datastore's template, or of a disk that has inherited from it."""
        user, conf, key = (attributes.get(name, "") for name in REACHED_BY)
        return cls(user, conf, key, machine)

    def exists(self, volume: str) -> bool:
        return self._rbd("info", "--format", "json", volume, accepted=(0, _NOT_THERE)).code == 0

    def size(self, volume: str) -> int:
        """Bytes. Raises DriverError when it is not there."""
        done = self._rbd("info", "--format", "json", volume, accepted=(0, _NOT_THERE))
        if done.code:
            raise DriverError(f"the volume {volume} is not there")
        return int(json.loads(done.stdout)["size"])

    def create(self, volume: str, size: int) -> None:
        """An empty volume of `size` MB; one that is there is left alone."""
        options = ("--size", f"{size}M", *_FEATURES)
        self._rbd("create", *options, checked(volume), accepted=(0, _EXISTS))

    def take(self, source: Path, volume: str) -> None:
        """Makes a volume of a raw file of the machine that this runs on; one that is there is left alone."""
        with self._new(volume) as part:
            if part:
                argv = self._argv("rbd", "import", *_IMPORT, *_FEATURES, "-", part)
                self.machine.feed(source, argv)

    def read(self, volume: str, target: Path, snapshot: str = "") -> None:
        """Writes a volume, or a snapshot of it, to a file of the machine that this runs on, with holes."""
        spec = f"{volume}@{snapshot}" if snapshot else volume
        self._require(volume, snapshot)
        if self.machine is HERE:
            target.unlink(missing_ok=True)
            self._rbd("export", spec, str(target))
        else:
            self.machine.fill(self._argv("rbd", "export", spec, "-"), target)

    def copy(self, source: str, volume: str, snapshot: str = "") -> None:
        """A full copy that needs nothing of its source; one that is there is left alone."""
        self._require(source, snapshot)
        with self._new(volume) as part:
            if part:
                self._rbd("cp", f"{source}@{snapshot}" if snapshot else source, part)

    def replace(self, source: str, volume: str, snapshot: str = "") -> None:
        """Makes `volume`, which may be there or not, a full copy of `source`. What has snapshots stays."""
        self._require(source, snapshot)
        with self._successor(volume) as part:
            self._rbd("cp", f"{source}@{snapshot}" if snapshot else source, part)

    def overwrite(self, source: Path, volume: str) -> None:
        """Makes `volume`, which may be there or not, what a raw file is. What has snapshots stays."""
        with self._successor(volume) as part:
            self.machine.feed(source, self._argv("rbd", "import", *_IMPORT, *_FEATURES, "-", part))

    def rename(self, volume: str, name: str) -> None:
        """One that has its new name already is left alone. Raises DriverError where neither is there."""
        if volume == name or (not self.exists(volume) and self.exists(name)):
            return
        self._require(volume)
        self._rbd("rename", volume, checked(name))

    def clone(self, source: str, volume: str) -> None:
        """A volume of the differences to what `source` is now; one that is there is left alone."""
        if self.exists(checked(volume)):
            return
        self._require(source)
        if BASE not in self.snapshots(source):
            self._rbd("snap", "create", f"{source}@{BASE}", accepted=(0, _EXISTS))
        self._rbd("snap", "protect", f"{source}@{BASE}", accepted=(0, *_BUSY))
        self._rbd("clone", *_FEATURES, f"{source}@{BASE}", volume, accepted=(0, _EXISTS))

    def retire_base(self, volume: str) -> None:
        """Before a volume is written to again: what is cloned from it later is what it is then."""
        names = self.snapshots(volume)
        if BASE not in names:
            return
        if self._rbd("snap", "unprotect", f"{volume}@{BASE}", accepted=(0, *_BUSY, _INVALID)).code in _BUSY:
            taken = (name.removeprefix(f"{BASE}-") for name in names if name.startswith(f"{BASE}-"))
            number = max((int(name) for name in taken if name.isdecimal()), default=0) + 1
            self._rbd("snap", "rename", f"{volume}@{BASE}", f"{volume}@{BASE}-{number}")
        else:
            self._rbd("snap", "rm", "--no-progress", f"{volume}@{BASE}", accepted=(0, _NOT_THERE))

    def grow(self, volume: str, size: int) -> None:
        """To `size` MB; a volume never shrinks. Raises DriverError when it is not there."""
        if self.size(volume) < size * MB:
            self._rbd("resize", "--no-progress", "--size", f"{size}M", volume)

    def remove(self, volume: str, *, to_trash: bool = False) -> None:
        """With its snapshots. Raises DriverError when clones are built on it."""
        self._drop(f"{checked(volume)}.part")
        if to_trash:
            self._rbd("trash", "mv", volume, accepted=(0, _NOT_THERE))
        else:
            self._drop(volume)

    def snapshots(self, volume: str) -> list[str]:
        """The names of a volume's snapshots, oldest first; none where the volume is not there."""
        done = self._rbd("snap", "ls", "--format", "json", checked(volume), accepted=(0, _NOT_THERE))
        return [str(each["name"]) for each in json.loads(done.stdout or "[]")]

    def snap(self, volume: str, name: str) -> None:
        self._require(volume)
        self._rbd("snap", "create", "--no-progress", f"{volume}@{name}", accepted=(0, _EXISTS))

    def revert(self, volume: str, name: str) -> None:
        self._require(volume, name)
        self._rbd("snap", "rollback", "--no-progress", f"{volume}@{name}")

    def unsnap(self, volume: str, name: str) -> None:
        spec = f"{checked(volume)}@{name}"
        done = self._rbd("snap", "unprotect", spec, accepted=(0, _NOT_THERE, _INVALID, *_BUSY))
        if done.code in _BUSY:
            raise DriverError(f"snapshot {name} of {volume} cannot go: clones are built on it")
        self._rbd("snap", "rm", "--no-progress", spec, accepted=(0, _NOT_THERE))

    def capacity(self, pool: str) -> tuple[int, int]:
        """Bytes that a pool holds, and those that it still takes (its copies counted once)."""
        for each in self._pools():
            if each["name"] == pool:
                stats = each["stats"]
                return int(stats.get("stored", stats["bytes_used"])), int(stats["max_avail"])
        raise DriverError(f"the cluster has no pool {pool!r}")

    def _pools(self) -> list[dict[str, Any]]:
        """A monitor that is busy, or just chosen, refuses commands for a moment."""
        for pause in _PAUSES:
            try:
                return list(json.loads(self._run("ceph", "df", "--format", "json").stdout)["pools"])
            except DriverError:
                time.sleep(pause)
        return list(json.loads(self._run("ceph", "df", "--format", "json").stdout)["pools"])

    def _require(self, volume: str, snapshot: str = "") -> None:
        if snapshot and snapshot not in self.snapshots(volume):
            raise DriverError(f"the snapshot {snapshot} of {volume} is not there")
        if not snapshot and not self.exists(checked(volume)):
            raise DriverError(f"the volume {volume} is not there")

    @contextmanager
    def _new(self, volume: str) -> Iterator[str]:
        """The name to make a volume under, empty when it is there already; it gets its own at the end."""
        part = f"{checked(volume)}.part"
        if self.exists(volume):
            self._drop(part)
            yield ""
            return
        self._drop(part)
        try:
            yield part
        except DriverError:
            self._drop(part)
            raise
        self._rbd("rename", part, volume, accepted=(0, _EXISTS))

    @contextmanager
    def _successor(self, volume: str) -> Iterator[str]:
        """The name to make a volume under that takes the place of one that may be there."""
        part = f"{checked(volume)}.part"
        if [name for name in self.snapshots(volume) if name != BASE]:
            raise DriverError(f"the volume {volume} has snapshots, and is not written over")
        self._drop(part)
        try:
            yield part
            self._drop(volume)
        except DriverError:
            self._drop(part)
            raise
        self._rbd("rename", part, volume)

    def _drop(self, volume: str) -> None:
        for name in self.snapshots(volume):
            self.unsnap(volume, name)
        self._rbd("rm", "--no-progress", volume, accepted=(0, _NOT_THERE))

    def _rbd(self, *words: str, accepted: tuple[int, ...] = (0,)) -> CompletedCommand:
        return self._run("rbd", *words, accepted=accepted)

    def _run(self, *words: str, accepted: tuple[int, ...] = (0,)) -> CompletedCommand:
        try:
            done = self.machine.run(self._argv(*words), accepted=accepted)
        except CommandError as error:
            raise DriverError(f"Ceph: {error}") from error
        if _UNCONNECTED in done.stderr:
            who = f"client.{self.user}" if self.user else "client.admin"
            raise DriverError(f"Ceph: the cluster did not let {who} in{said(done.stderr)}")
        return done

    def _argv(self, command: str, *words: str) -> list[str]:
        given = (("--conf", self.conf), ("--id", self.user), ("--keyfile", self.key))
        options = [word for option, value in given if value for word in (option, value)]
        return [command, *options, *words]
