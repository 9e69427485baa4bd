"""Bringing a tree of files to a host: whole or not at all, and not again where the host has it.

`<parent>/<name>` on the host is a link to `<parent>/.<name>-<digest>`, which is written beside it and then
never changes, so that who works with an older tree goes on with it; the three newest are kept.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from merope.drivers.errors import DriverError
from merope.drivers.ssh import Ssh

_LOOK_SECONDS, _SEND_SECONDS = 30.0, 300.0
_PREPARE = """set -eu
umask 022
mkdir -p -- "$1"
if [ -h "$1" ] || ! [ -O "$1" ] || [ -n "$(find "$1" -maxdepth 0 -perm /022)" ]; then
    echo "$1 must be a directory of the account that nobody else can write" >&2
    exit 9
fi
cd -- "$1"
"""
"""Who could write there could have us run what he likes; directories of temporary files are everybody's."""
_LOOK = f"""{_PREPARE}
if [ "$(readlink -- "$2" || :)" = ".$2-$3" ] && [ -d ".$2-$3" ] &&
    [ "$(find ".$2-$3" -name __pycache__ -prune -o -type f -print | wc -l)" -eq "$4" ]; then
    echo there
fi
"""
"""Files are counted: who tidies directories of temporary files takes single ones."""
_TAKE = f"""{_PREPARE}part=".$2-$3.$$.part"
trap 'rm -rf -- "$part"' EXIT
mkdir -- "$part"
tar -x -o -f - -C "$part"
sync -f "$part"
if [ -d ".$2-$3" ]; then
    mv -T -- ".$2-$3" ".$2-$3.$$.old.part"
fi
mv -T -- "$part" ".$2-$3"
touch -- ".$2-$3"
ln -s -- ".$2-$3" ".$2.$$.part"
mv -T -f -- ".$2.$$.part" "$2"
find . -maxdepth 1 -name ".$2-{"?" * 32}" -printf '%T@ %f\\n' | sort -rn | tail -n +4 |
    while read -r _ old; do rm -rf -- "$old"; done
find . -maxdepth 1 -name ".$2*.part" -mmin +60 -exec rm -rf -- {{}} +
"""


@dataclass(frozen=True)
class Tree:
    """Files by their paths in the tree; those of `programs` can be executed."""

    files: Mapping[PurePosixPath, bytes]
    programs: frozenset[PurePosixPath] = frozenset()

    @classmethod
    def of(cls, directory: Path, *, only: Iterable[str] = ("**/*",)) -> "Tree":
        """The regular files below `directory` that a pattern of `only` names; links are followed, compiled
        files left out. Raises DriverError when it is not there."""
        if not directory.is_dir():
            raise DriverError(f"{directory} is no directory, and cannot be brought to a host")
        files: dict[PurePosixPath, bytes] = {}
        programs = set()
        for path in sorted({path for pattern in only for path in directory.glob(pattern)}):
            if path.is_file() and "__pycache__" not in path.parts:
                name = PurePosixPath(path.relative_to(directory))
                files[name] = path.read_bytes()
                if path.stat().st_mode & 0o100:
                    programs.add(name)
        return cls(files, frozenset(programs))

    @cached_property
    def digest(self) -> str:
        """Changes when a name, a byte or what can be executed does."""
        found = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            found.update(f"{name}\0{name in self.programs:d}\0{len(content)}\0".encode())
            found.update(content)
        return found.hexdigest()[:32]

    def packed(self) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in sorted(self.files.items()):
                entry = tarfile.TarInfo(str(name))
                entry.size = len(content)
                entry.mode = 0o755 if name in self.programs else 0o644
                archive.addfile(entry, io.BytesIO(content))
        return stream.getvalue()


def push(ssh: Ssh, host: str, tree: Tree, target: PurePosixPath, *, force: bool = False) -> bool:
    """Makes `target` on the host a link to the tree; answers whether it had to be sent, or was by `force`.

    The directory of `target` is made where it is missing, and must belong to the account alone. Raises
    UnreachableError and DriverError; then what was there is there still.
    """
    words = [str(target.parent), target.name, tree.digest, str(len(tree.files))]
    look = ["sh", "-c", _LOOK, "sh", *words]
    told = "" if force else ssh.run(host, look, timeout=_LOOK_SECONDS, idempotent=True).stdout
    if told == "there\n":
        return False
    take = ["sh", "-c", _TAKE, "sh", *words]
    ssh.run(host, take, timeout=_SEND_SECONDS, input=tree.packed(), idempotent=True)
    return True
