"""Where everything of a cloud lives: one directory, which only its owner can enter.

one.db             the database                  datastores/   images and disks
.one/one_auth      login of the administrator    vms/          files of each VM
.one/one_key       key of encrypted attributes   run/          pid files and sockets
endpoint           URL of the API                *.log         logs of the services
"""

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SANDBOX_LOGIN = "oneadmin:opennebula"
PRIVATE = 0o077
_LONGEST_SOCKET = 100
# What a directory that is to become a home may have in it.
_MAY_BE = {
    *("oned.conf", "monitord.conf", "sched.conf", "oneflow-server.conf", "onegate-server.conf"),
    *("auth", "remotes", "datastores", "run", ".ssh", "lost+found"),
}


class UnsafeError(Exception):
    """A start that is refused; the message is a sentence that says what to do."""


def default_home() -> Path:
    """var/ of ONE_LOCATION, else the nearest cloud at or above the current directory, else ./var."""
    location = os.environ.get("ONE_LOCATION")
    if location:
        return Path(location) / "var"
    here = Path.cwd()
    for directory in (here, *here.parents):
        login = directory / "var" / ".one" / "one_auth"
        if login.exists() and login.stat().st_uid == os.geteuid():
            return directory / "var"
    return here / "var"


@dataclass(frozen=True)
class Layout:
    """The paths of a cloud; `home` is absolute."""

    home: Path

    @classmethod
    def at(cls, home: str | Path) -> "Layout":
        return cls(Path(home).absolute())

    @property
    def database(self) -> Path:
        return self.home / "one.db"

    @property
    def auth_file(self) -> Path:
        return self.home / ".one" / "one_auth"

    @property
    def key_file(self) -> Path:
        return self.home / ".one" / "one_key"

    @property
    def datastores(self) -> Path:
        return self.home / "datastores"

    @property
    def vms(self) -> Path:
        return self.home / "vms"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def options(self) -> Path:
        """How the cloud was started last."""
        return self.run / "options.json"

    @property
    def supervisor_pid(self) -> Path:
        """Locked (flock) as long as a supervisor lives."""
        return self.run / "supervisor.pid"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @contextmanager
    def short_socket_path(self) -> Iterator[str]:
        """The supervisor's socket by a name that is never too long for a socket (107 bytes)."""
        directory = os.open(self.run, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{directory}/{self.supervisor_socket.name}"
        finally:
            os.close(directory)

    @property
    def events(self) -> Path | None:
        """The socket at which the core publishes its events for its own services; None where a name of it
        would be too long for one."""
        path = self.run / "events.sock"
        return path if len(os.fsencode(path)) < _LONGEST_SOCKET else None

    def pid_file(self, service: str) -> Path:
        return self.run / f"{service}.pid"

    @property
    def endpoint(self) -> Path:
        return self.home / "endpoint"

    @property
    def flow_endpoint(self) -> Path:
        """URL of OneFlow, while it is to run."""
        return self.home / "oneflow_endpoint"

    @property
    def sandbox_mark(self) -> Path:
        """Exists in the home of a sandbox: its password is known to everybody."""
        return self.home / ".one" / "sandbox"

    @property
    def config_file(self) -> Path | None:
        """oned.conf of this cloud: beside its home's contents, or in etc/ of ONE_LOCATION."""
        location = os.environ.get("ONE_LOCATION")
        candidates = [self.home / "oned.conf", *([Path(location) / "etc" / "oned.conf"] if location else [])]
        return next((path for path in candidates if path.exists()), None)

    def log(self, service: str) -> Path:
        """The log of a service; the core's has the name that administrators know."""
        return self.home / {"core": "oned.log", "scheduler": "sched.log"}.get(service, f"{service}.log")

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """The home, made and checked, for one `one start` at a time. Raises UnsafeError."""
        os.umask(PRIVATE)
        self._check_home()
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def create(self, sandbox: bool, served: bool = False) -> None:
        """Make what is missing in a claimed home: directories 0700, the login and the key 0600.

        `served`: the database is a server's, and is there since the home was first used. A real cloud gets a
        random password. Raises UnsafeError where something that exists is open to others, or is a sandbox's
        where a real cloud is wanted, or the other way round.
        """
        for directory in (self.auth_file.parent, self.datastores, self.vms, self.run):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_kind(sandbox, self.database.exists() or (served and self.options.exists()))
        if sandbox:
            self.sandbox_mark.touch(mode=0o600)
        password = SANDBOX_LOGIN if sandbox else f"oneadmin:{secrets.token_urlsafe(18)}"
        for path, content in ((self.auth_file, password), (self.key_file, secrets.token_hex(32))):
            if path.exists():
                _check_private(path)
            else:
                write_private(path, content + "\n")

    def login(self) -> str:
        """user:password of the administrator."""
        return self.auth_file.read_text().strip()

    def check_address(self, address: str, sandbox: bool) -> None:
        """Refuse to offer a cloud to others with a password that everybody knows."""
        if is_loopback(address):
            return
        if sandbox:
            raise UnsafeError(
                f"A sandbox (--drivers dummy) listens at loopback addresses only, not at {address}: its "
                "password is known to everybody. Leave --listen out, or start a real cloud."
            )
        if self.auth_file.exists() and self.login() == SANDBOX_LOGIN:
            raise UnsafeError(
                f"The administrator's password in {self.auth_file} is the sandbox's, which everybody knows: "
                f"change it (oneuser passwd) before listening at {address}."
            )

    def _check_home(self) -> None:
        if not self.home.exists():
            return
        info = self.home.stat()
        if not stat.S_ISDIR(info.st_mode):
            raise UnsafeError(f"{self.home} is not a directory: give another --home.")
        if info.st_uid != os.geteuid():
            raise UnsafeError(
                f"{self.home} belongs to {_user(info.st_uid)}, and this is {_user(os.geteuid())}: "
                "run as its owner, or give another --home."
            )
        if info.st_mode & 0o022:
            raise UnsafeError(f"{self.home} can be written by others: chmod go-w {self.home}")
        if not self.auth_file.parent.exists() and any(p.name not in _MAY_BE for p in self.home.iterdir()):
            raise UnsafeError(f"{self.home} has files that are no cloud's: give another --home.")

    def _check_kind(self, sandbox: bool, has_database: bool) -> None:
        if self.sandbox_mark.exists() == sandbox:
            return
        if not has_database:
            if not sandbox:
                # A sandbox that never came up: nothing of it may stay, least of all its password.
                self.sandbox_mark.unlink()
                self.auth_file.unlink(missing_ok=True)
            return
        if sandbox:
            raise UnsafeError(
                f"{self.home} has a real cloud: simulated drivers would forget its machines. "
                "Give another --home for a sandbox."
            )
        raise UnsafeError(
            f"{self.home} has a sandbox: start it with --drivers dummy, or give another --home "
            "for a real cloud."
        )


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    part.replace(path)


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach `address`; a name other than localhost does not count."""
    return address in ("localhost", "::1") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", address) is not None


def _check_private(path: Path) -> None:
    if path.stat().st_mode & PRIVATE:
        raise UnsafeError(f"{path} is a secret that others can read: chmod 600 {path}")


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
