"""Hosts over SSH: one connection for each host, through which commands run as argument vectors.

The connection is OpenSSH's own multiplexing: a master process with a socket in the cloud's run directory,
which every process of the cloud uses and which ends by itself when nobody has for a while. Keys, the known
host keys and a configuration of the operator are in `.ssh` of the cloud's home, as in the home of 5.12's
oneadmin; the account's own keys are tried as well.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from merope.drivers import commands
from merope.drivers.commands import CommandError, CompletedCommand, said
from merope.drivers.errors import DriverError
from merope.drivers.ssh_failures import why_not_reached
from merope.drivers.ssh_words import host_name, shell_line

KEY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
_LONGEST_SOCKET = 85
"""Bytes: the kernel takes 107 for the path of a socket, and ssh adds up to 17 while it makes one."""
_LINE_BROKE = 255
_STOPPED = 124
_GRACE = 5.0
"""Seconds that the far end has to stop a command before it is given up here."""
_BOUNDED = 'timeout -k 2 "$0" "$@"; s=$?; [ "$s" -ne 255 ] || s=254; exit "$s"'
"""Bounds the time on the host too; 255 is then what ssh itself says when the line breaks."""


class UnreachableError(DriverError):
    """No connection to a host: nothing was begun there. `reason` is a clause of the message."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"host {host} cannot be reached by SSH: {reason}", retry_safe=True)
        self.host = host
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SshSettings:
    """Seconds. `host_keys` is `accept-new` (the first key of a host is kept and must stay) or `yes` (a host
    without a known key is refused)."""

    host_keys: str = "accept-new"
    connect_seconds: int = 10
    alive_seconds: int = 5
    alive_count: int = 3
    persist_seconds: int = 600


class Ssh:
    """The hosts of the cloud under `home`. Calls block; several processes may use the same home."""

    def __init__(self, home: Path, settings: SshSettings | None = None) -> None:
        self.home = home
        self.settings = settings or SshSettings()

    @property
    def directory(self) -> Path:
        """Of keys, `known_hosts` and the operator's `config`."""
        return self.home / ".ssh"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def keys(self) -> list[Path]:
        """The private keys that hosts are asked with: the cloud's own, then the account's."""
        candidates = (base / name for base in (self.directory, Path.home() / ".ssh") for name in KEY_NAMES)
        return [path for path in candidates if path.exists()]

    @property
    def sockets(self) -> Path:
        """Under the home, or in the system's directory of temporary files when the path would be too long."""
        usual = self.home / "run" / "ssh"
        if len(os.fsencode(usual)) + 18 <= _LONGEST_SOCKET:
            return usual
        mark = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"merope-{os.geteuid()}-{mark}"

    def socket_of(self, host: str) -> Path:
        return self.sockets / hashlib.sha256(host_name(host).encode()).hexdigest()[:16]

    def argv(self, host: str, words: Sequence[str]) -> list[str]:
        """The command that runs `words` on the host, over the connection where `connect` has made one.

        The command is exec'd by the account's shell there, which gets every word quoted. Its exit status is
        that of `words`, or 255 when the line breaks.
        """
        line = f"exec {shell_line(words)}"
        return ["ssh", *self._options(host), "-o", "ControlMaster=no", "--", host, line]

    def argv_between(self, host: str, words: Sequence[str]) -> list[str]:
        """The command that runs `words` on the host when it is given on another host: with the keys, the
        settings and the known hosts that the account has there. Raises DriverError for what is no name."""
        options = _options_of(self._manners())
        return ["ssh", *options, "-o", "ControlPath=none", "--", host_name(host), f"exec {shell_line(words)}"]

    def run(
        self,
        host: str,
        words: Sequence[str],
        *,
        timeout: float,
        input: str | bytes | None = None,
        idempotent: bool = False,
        output_limit: int = commands.OUTPUT_LIMIT,
    ) -> CompletedCommand:
        """Runs `words` on the host and waits for them, `timeout` seconds at most; then they are ended there.

        What is `idempotent` is done once more when the line breaks in the middle. Raises UnreachableError
        where nothing was begun; CommandError when the command fails; DriverError when the line breaks.
        """
        bounded = ["sh", "-c", _BOUNDED, f"{timeout:g}", *words]
        attempts = 2 if idempotent else 1
        while True:
            self.connect(host)
            attempts -= 1
            try:
                return commands.run(
                    self.argv(host, bounded), timeout=timeout + _GRACE, input=input, output_limit=output_limit
                )
            except CommandError as error:
                if error.status == _LINE_BROKE and attempts:
                    self.disconnect(host)
                    continue
                raise self._failed(host, words[0], error, timeout, idempotent) from error

    def _failed(
        self, host: str, name: str, error: CommandError, timeout: float, idempotent: bool
    ) -> DriverError:
        if error.status == _LINE_BROKE:
            return DriverError(
                f"the connection to host {host} broke while {name} ran{said(error.stderr)}",
                retry_safe=idempotent,
            )
        if error.status in (None, _STOPPED):
            what = f"did not finish within {timeout:g} seconds and was stopped"
            return CommandError(f"{name} on host {host} {what}{said(error.stderr)}", None, error.stderr)
        what = f"failed with exit status {error.status}"
        return CommandError(f"{name} on host {host} {what}{said(error.stderr)}", error.status, error.stderr)

    def is_connected(self, host: str) -> bool:
        """Whether a connection stands; one that has just broken may still be taken for one."""
        return _answers(self.socket_of(host))

    def connect(self, host: str) -> None:
        """Makes sure that there is a connection. Raises UnreachableError."""
        path = self.socket_of(host)
        if _answers(path):
            return
        with self._one_at_a_time(path):
            if _answers(path):
                return
            path.unlink(missing_ok=True)
            persist = f"ControlPersist={self.settings.persist_seconds}"
            master = ["-o", "ControlMaster=yes", "-o", persist, "-N", "-f"]
            argv = ["ssh", *self._options(host), *master, "--", host]
            try:
                commands.run(argv, timeout=2.0 * self.settings.connect_seconds + _GRACE)
            except CommandError as error:
                reason = why_not_reached(error.status, error.stderr, self._advice(host))
                raise UnreachableError(host, reason) from error

    def disconnect(self, host: str) -> None:
        """Ends the connection and all that runs over it."""
        _end(self.socket_of(host))

    def close(self) -> None:
        """Ends the connections to all hosts."""
        if self.sockets.is_dir():
            for path in self.sockets.iterdir():
                if path.suffix != ".lock":
                    _end(path)
            shutil.rmtree(self.sockets, ignore_errors=True)

    def make_key(self) -> Path:
        """The cloud's own key, made when there is none; answers the file of its public half."""
        private = self.directory / KEY_NAMES[0]
        if not private.exists():
            _private_directory(self.directory)
            comment = f"merope@{socket.gethostname()}"
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private)]
            commands.run(argv, timeout=30.0)
        return private.with_name(private.name + ".pub")

    def _options(self, host: str) -> list[str]:
        """Raises DriverError for what is no name of a host."""
        places = {
            "ControlPath": _quoted(self.socket_of(host)),
            "UserKnownHostsFile": _quoted(self.known_hosts),
        }
        options = _options_of(self._manners() | places)
        for key in self.keys:
            options += ["-o", f"IdentityFile={_quoted(key)}"]
        config = self.directory / "config"
        return ["-F", str(config), *options] if config.exists() else options

    def _manners(self) -> dict[str, object]:
        """The options that name no file of this machine."""
        settings = self.settings
        return {
            "BatchMode": "yes",
            "ClearAllForwardings": "yes",
            "ConnectTimeout": settings.connect_seconds,
            "EscapeChar": "none",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "LogLevel": "ERROR",
            "PermitLocalCommand": "no",
            "RequestTTY": "no",
            "ServerAliveCountMax": settings.alive_count,
            "ServerAliveInterval": settings.alive_seconds,
            "StrictHostKeyChecking": settings.host_keys,
        }

    def _advice(self, host: str) -> dict[str, str]:
        """What the operator has to do, for the reasons that have a remedy."""
        public = self.directory / f"{KEY_NAMES[0]}.pub"
        if not any(key.parent == self.directory for key in self.keys):
            with suppress(DriverError):
                public = self.make_key()
        known = f"ssh-keyscan {host} >>{self.known_hosts}"
        account = pwd.getpwuid(os.geteuid()).pw_name
        return {
            "key": f"let {host} accept the cloud's key: ssh-copy-id -f -i {public} {account}@{host}",
            "unknown": f"look at its key and let the cloud know it: {known}",
            "changed": f"if the host was installed anew: ssh-keygen -f {self.known_hosts} -R {host}",
        }

    @contextmanager
    def _one_at_a_time(self, path: Path) -> Iterator[None]:
        """Two masters of one socket would be in each other's way."""
        _private_directory(self.directory)
        _private_directory(path.parent)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _answers(path: Path) -> bool:
    """Whether a master listens at the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _end(path: Path) -> None:
    """Ends the master of a socket, and waits until it has let go of it."""
    if _answers(path):
        argv = ["ssh", "-F", "none", "-o", f"ControlPath={_quoted(path)}", "-O", "exit", "--", "localhost"]
        with suppress(DriverError):
            commands.run(argv, timeout=_GRACE)
        deadline = time.monotonic() + _GRACE
        while _answers(path) and time.monotonic() < deadline:
            time.sleep(0.01)
    path.unlink(missing_ok=True)


def _private_directory(path: Path) -> None:
    """Made, and checked to be ours alone: what lies in it decides whom we trust."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o022:
        raise DriverError(f"{path} must be a directory that only this user can write: chmod go-w {path}")


def _options_of(values: Mapping[str, object]) -> list[str]:
    return [word for name, value in values.items() for word in ("-o", f"{name}={value}")]


def _quoted(path: Path) -> str:
    """A path in one of ssh's options, where % and ${ mean something."""
    text = str(path)
    if '"' in text or "${" in text:
        raise DriverError(f'{text}: ssh cannot use a path with " or ${{ in it')
    return '"' + text.replace("%", "%%") + '"'
