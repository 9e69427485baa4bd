"""Carrying disks between machines with storage of their own: streams of tar between here and hosts over SSH.

What arrives is whole before it has its name, and holes stay holes. From one host to another it goes by way of
this machine, for hosts need not know each other; only `hand_over` is from host to host.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from merope.drivers import commands
from merope.drivers.commands import said
from merope.drivers.diskimage import check_format
from merope.drivers.errors import DriverError
from merope.drivers.localhost import is_local
from merope.drivers.ssh import Ssh
from merope.drivers.transfer.base import Place

_SECONDS = 120.0
_LONGEST = 24 * 3600.0
"""Seconds: a copy may move terabytes; the engine has the time-out of the operation."""
_LOOK = '[ -e "$1" ] || [ -h "$1" ] || exit 3'
_NOT_THERE = 3
_READ = 'exec tar -c -S -f - -C "$1" "$3" -- "$2"'
_TAKE = """set -eu
umask 077
mkdir -p -- "$1"
rm -rf -- "$1/.$2.carried"
mkdir -- "$1/.$2.carried"
exec tar -x -S -f - -C "$1/.$2.carried"
"""
_SETTLE = """set -eu
cd -- "$1"
sync -f ".$2.carried"
if [ -d "$2" ] && [ ! -h "$2" ]; then
    rm -rf -- "$2"
fi
mv -T -f -- ".$2.carried/$3" "$2"
rmdir -- ".$2.carried"
sync -f .
"""
_HAND = """parent=$1 name=$2
shift 2
ended=$({
    { tar -c -S -f - -C "$parent" -- "$name"; echo "$?" >&3; } | { "$@" >&2; echo "$?" >&3; }
} 3>&1)
[ "$(echo $ended)" = "0 0" ] || exit 9
"""
_LIST = 'exec ls -A -- "$1"'
_INFO = 'exec qemu-img info -U -f "$1" --output=json "$2"'
_MAKE = """set -eu
umask 077
mkdir -p -- "$1"
cd -- "$1"
qemu-img create -q -f "$3" "./.$2.empty" "$4"
mv -T -f -- "./.$2.empty" "./$2"
sync -f .
"""
_SHORT = "Wrote only"
"""What tar says of a disk that is full, where the last bytes fit in part."""
_REMOVE = 'rm -rf -- "$1"'


class Carrier:
    """Paths are the callers' to check. Every call blocks; raises DriverError, UnreachableError among them."""

    def __init__(self, ssh: Ssh) -> None:
        self._ssh = ssh

    def has(self, place: Place) -> bool:
        try:
            self.run(place.host, _LOOK, str(place.path))
        except commands.CommandError as error:
            if error.status == _NOT_THERE:
                return False
            raise
        return True

    def copy(self, source: Place, target: Place, *, follow: bool = False) -> None:
        """Copies a file or a directory over `target`, links as links unless `follow`; then it is durable."""
        parent, name = str(target.path.parent), target.path.name
        how = "--dereference" if follow else "--one-file-system"
        reading = [str(source.path.parent), source.path.name, how]
        with self._settled(source, target):
            self._stream(
                self._argv(source.host, _READ, *reading),
                self._argv(target.host, _TAKE, parent, name),
                f"{source.path} could not be carried{_on(source.host, 'from')}{_on(target.host, 'to')}",
            )

    def hand_over(self, source: Place, target: Place) -> None:
        """Like copy, from a host to itself or straight to another one, which it must be able to log in to."""
        parent, name = str(target.path.parent), target.path.name
        writing = ["sh", "-c", _TAKE, "sh", parent, name]
        if source.host != target.host:
            writing = self._ssh.argv_between(target.host, writing)
        giving = [str(source.path.parent), source.path.name, *writing]
        with self._settled(source, target):
            try:
                self.run(source.host, _HAND, *giving, seconds=_LONGEST)
            except commands.CommandError as error:
                way = f"{_on(source.host, 'from')}{_on(target.host, 'to')}"
                raise DriverError(f"{source.path} could not be carried{way}{said(error.stderr)}") from error

    @contextmanager
    def _settled(self, source: Place, target: Place) -> Iterator[None]:
        """What is carried meanwhile gets its name at the end."""
        parent, name = str(target.path.parent), target.path.name
        try:
            yield
        except DriverError:
            # Of what was carried in part nobody has any use; a full disk needs the room.
            with suppress(DriverError):
                self.delete(Place(target.host, target.path.with_name(f".{name}.carried")))
            raise
        self.run(target.host, _SETTLE, parent, name, source.path.name)

    def names(self, directory: Place) -> list[str]:
        """What is in a directory, sorted."""
        return sorted(self.run(directory.host, _LIST, str(directory.path)).split("\n")[:-1])

    def disk_size(self, disk: Place, image_format: str) -> int:
        """Bytes that a guest sees of a disk, which may be in use."""
        told = self.run(disk.host, _INFO, check_format(image_format), str(disk.path))
        return int(json.loads(told)["virtual-size"])

    def make_disk(self, disk: Place, image_format: str, size: int) -> None:
        """An empty disk of `size` bytes."""
        parent, name = str(disk.path.parent), disk.path.name
        self.run(disk.host, _MAKE, parent, name, check_format(image_format), str(size))

    def delete(self, place: Place) -> None:
        self.run(place.host, _REMOVE, str(place.path))

    def run(self, host: str, script: str, *words: str, seconds: float = _SECONDS) -> str:
        """What a script for sh writes on a host, or here; done once more when the line breaks."""
        argv = ["sh", "-c", script, "sh", *words]
        if is_local(host):
            return commands.run(argv, timeout=seconds).stdout
        return self._ssh.run(host, argv, timeout=seconds, idempotent=True).stdout

    def _argv(self, host: str, script: str, *words: str) -> list[str]:
        argv = ["sh", "-c", script, "sh", *words]
        if is_local(host):
            return argv
        self._ssh.connect(host)
        return self._ssh.argv(host, argv)

    @staticmethod
    def _stream(reading: list[str], writing: list[str], failure: str) -> None:
        """One command's output is another's input. When it takes too long, this worker is stopped."""
        with (
            tempfile.TemporaryFile() as words,
            subprocess.Popen(  # noqa: S603 - a vector
                reading, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words
            ) as reader,
        ):
            with subprocess.Popen(  # noqa: S603 - as above
                writing, stdin=reader.stdout, stdout=subprocess.DEVNULL, stderr=words
            ) as writer:
                assert reader.stdout is not None
                reader.stdout.close()
                ends = (writer.wait(), reader.wait())
            if ends != (0, 0):
                words.seek(0)
                told = said(words.read().decode(errors="replace"))
                if _SHORT in told:
                    told = f": No space left on device{told}"
                raise DriverError(f"{failure}{told}", retry_safe=255 in ends)


def _on(host: str, word: str) -> str:
    return "" if is_local(host) else f" {word} host {host}"


def carried_name(path: Path) -> Path:
    """Where what is to become the disk `path` is put on its host."""
    return path.with_name(f".{path.name}.coming")
