"""How a worker comes to a host: what it needs of this package is brought there, and it is started over SSH.

A host needs its own Python, 3.11 or newer, and what the drivers need (for libvirt the distribution's
python3-libvirt). In the directory for the cloud (SCRIPTS_REMOTE_DIR, on disks of the host's own) are

    merope   this package    home/  what the drivers remember of this host, as below a cloud's home
    etc …    what is in `remotes/` of the cloud's home, by its names, as in 5.12
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import merope_agent
from merope.drivers.commands import CommandError
from merope.drivers.errors import DriverError
from merope.drivers.remote_tree import Tree, push
from merope.drivers.ssh import Ssh, SshSettings

SILENCE = 30
"""Seconds without a sign of the core after which a worker on a host ends itself."""
BEAT = 5.0
_PACKAGE = Path(__file__).resolve().parents[1]
_AGENT = Path(merope_agent.__file__).resolve().parent
_PROBES = (
    "__init__.py",
    "commands.py",
    "domains.py",
    "lxd.py",
    "topology.py",
    "pci.py",
    "probes/__init__.py",
    "probes/hardware.py",
)
_NEEDED = ("__init__.py", "model/**/*.py", "drivers/**/*.py", "engine/**/*.py")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Remote:
    """The hosts of the cloud under `home`: `directory` is SCRIPTS_REMOTE_DIR, `python` the hosts' Python."""

    home: Path
    location: Path
    directory: PurePosixPath
    settings: SshSettings
    python: str = "/usr/bin/python3"

    @property
    def ssh(self) -> Ssh:
        return Ssh(self.home, self.settings)

    def to_json(self) -> dict[str, Any]:
        return {
            "home": str(self.home),
            "location": str(self.location),
            "directory": str(self.directory),
            "settings": asdict(self.settings),
            "python": self.python,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Remote":
        return cls(
            Path(data["home"]),
            Path(data["location"]),
            PurePosixPath(data["directory"]),
            SshSettings(**data["settings"]),
            data["python"],
        )

    def command(self, host: str, digest: str) -> list[str]:
        """What starts a worker, of the package with that digest, on a host that was prepared.

        Raises DriverError for what is no host's name.
        """
        root = self.directory / f".merope-{digest}"
        words = ["env", f"PATH={_PATH}", f"PYTHONPATH={root}", "LC_ALL=C.UTF-8", self.python, "-P"]
        words += ["-m", "merope.engine.worker", str(self.directory / "home"), str(self.location)]
        return self.ssh.argv(host, [*words, host, str(SILENCE)])

    def prepare(self, host: str, *, force: bool = False) -> list[str]:
        """Brings to the host what it has not, or, by `force`, all; answers the names of what was sent.

        Raises UnreachableError, and DriverError where the host has no Python that will do.
        """
        ssh = self.ssh
        trees = {PurePosixPath("merope"): package(), **self._settings()}
        sent = []
        for name, tree in trees.items():
            if push(ssh, host, tree, self.directory / name, force=force):
                sent.append(str(name))
        if "merope" in sent:
            self._check_python(ssh, host)
        return sent

    def _settings(self) -> dict[PurePosixPath, Tree]:
        """What an administrator has put into `remotes/`: a tree for each directory, and the defaults."""
        base, defaults = self.home / "remotes", self.home / "etc" / "vmm_exec"
        directories = sorted(base.iterdir()) if base.is_dir() else []
        found = {
            PurePosixPath(path.name): Tree.of(path)
            for path in directories
            if path.is_dir() and not path.name.startswith(".")
        }
        if defaults.is_dir():
            found[PurePosixPath("home/etc/vmm_exec")] = Tree.of(defaults)
        return found

    def _check_python(self, ssh: Ssh, host: str) -> None:
        try:
            ssh.run(host, [self.python, "-c", _IS_NEW_ENOUGH], timeout=_SECONDS, idempotent=True)
        except CommandError as error:
            if error.status is None:
                raise
            raise DriverError(
                f"host {host} has no Python 3.11 or newer at {self.python}: apt-get install python3 there"
            ) from error


@cache
def package() -> Tree:
    """The part of this package that workers are made of, with the agent's probes; pure Python."""
    own = Tree.of(_PACKAGE.parent, only=[f"{_PACKAGE.name}/{pattern}" for pattern in _NEEDED])
    probes = Tree.of(_AGENT.parent, only=[f"{_AGENT.name}/{name}" for name in _PROBES])
    return Tree({**own.files, **probes.files}, own.programs)
