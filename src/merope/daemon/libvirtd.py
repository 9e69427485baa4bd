"""A libvirtd of the cloud's own, so that a first cloud changes nothing in the system's.

It runs in a mount namespace in which libvirt's directories are directories under the cloud's home: its
settings, its sockets, what it knows of its guests. Only the cache of QEMU's capabilities is the system's,
because filling it takes seconds. Nobody else sees those mounts, and they end with the last process.

    python -m merope.daemon.libvirtd HOME NAME     (inside its namespaces)
"""

import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from merope.daemon.process import Identity
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.libvirt_session import Session
from merope.drivers.hypervisor.libvirt_settings import KVMRC, OWN_KVMRC, read_kvmrc, write_kvmrc

_BINDS = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "run": "/run/libvirt",
    "log": "/var/log/libvirt",
}
_LONGEST_SOCKET = 100
"""Bytes: the kernel takes 107 for the path of a socket."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_START_LIMIT = 60.0
_STOP_LIMIT = 10.0

_QEMU_CONF = """\
# The guests run as the cloud does; their files belong to it and stay where they are.
user = "{user}"
group = "{group}"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
"""

_BESIDE_OTHERS = """\
migration_address = "{address}"
migration_host = "{address}"
"""

_LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_ro_perms = "0700"
unix_sock_rw_perms = "0700"
unix_sock_dir = "{sockets}"
host_uuid = "{host_uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""


@dataclass(frozen=True, slots=True)
class OwnLibvirtd:
    """Where the cloud's own libvirtd is and lives.

    With a `hostname` it believes to be a machine of that name, which others reach at `address`: several of
    them on one machine are several hosts, between which a VM can migrate.
    """

    home: Path
    hostname: str = ""
    address: str = ""

    @property
    def place(self) -> Path:
        return self.home / "libvirt"

    @property
    def record(self) -> Path:
        return self.place / "libvirtd.pid"

    @property
    def sockets(self) -> Path:
        """Under the home, or in /run when that path would be too long for a socket."""
        usual = self.place / "run"
        if len(os.fsencode(usual / "libvirt-admin-sock")) <= _LONGEST_SOCKET:
            return usual
        return Path("/run") / f"merope-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]}"

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={quote(str(self.sockets / 'libvirt-sock'))}"

    def process(self) -> Identity | None:
        """The one that runs, if it does."""
        return Identity.read(self.record)

    def start(self) -> Identity:
        """Starts it unless it runs; answers before it is ready."""
        running = self.process()
        if running is not None:
            return running
        if os.geteuid() != 0:
            raise DriverError(
                "a libvirtd of the cloud's own needs root; or name another by LIBVIRT_URI in kvmrc"
            )
        self._prepare()
        unshare = shutil.which("unshare")
        if unshare is None:
            raise DriverError("unshare is not installed: apt-get install util-linux")
        argv = [unshare, "--mount", "--propagation", "slave", *(["--uts"] if self.hostname else []), "--"]
        argv += [sys.executable, "-P", "-m", "merope.daemon.libvirtd", str(self.home), self.hostname]
        output = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            unshare,
            argv,
            _environment(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.place / "log/libvirtd.out"), output, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        process = Identity.of(pid)
        if process is None:
            raise DriverError(f"libvirtd ended at once: {self._last_words()}")
        process.write(self.record)
        return process

    def wait(self, process: Identity, limit: float = _START_LIMIT) -> None:
        """Until it answers. The first start on a machine asks every QEMU what it can do, for some seconds."""
        deadline = time.monotonic() + limit
        session = Session(self.uri)
        while True:
            try:
                session.run(lambda connection: connection.getVersion())
            except DriverError as error:
                if not process.alive:
                    raise DriverError(f"libvirtd ended at once: {self._last_words()}") from error
                if time.monotonic() >= deadline:
                    raise DriverError(f"libvirtd does not answer after {limit:.0f} s: {error}") from error
                time.sleep(0.05)
            else:
                session.close()
                return

    def stop(self) -> bool:
        """Ends the one that runs; its guests live on. Answers whether there was one."""
        process = self.process()
        if process is not None:
            process.end(_STOP_LIMIT)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
        self.record.unlink(missing_ok=True)
        if self.sockets.parent == Path("/run"):
            shutil.rmtree(self.sockets, ignore_errors=True)
        return process is not None

    def _prepare(self) -> None:
        if shutil.which("libvirtd") is None and not Path("/usr/sbin/libvirtd").exists():
            raise DriverError(
                "libvirtd is not installed: apt-get install libvirt-daemon-system qemu-system-x86"
            )
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _BINDS:
            (self.place / name).mkdir(mode=0o700, exist_ok=True)
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        (self.place / "etc/qemu").mkdir(exist_ok=True)
        sockets = _BINDS["run"] if self.sockets == self.place / "run" else str(self.sockets)
        name = self.hostname or socket.gethostname()
        host_uuid = uuid.uuid5(uuid.NAMESPACE_URL, f"merope:{name}:{self.home}")
        (self.place / "etc/libvirtd.conf").write_text(
            _LIBVIRTD_CONF.format(sockets=sockets, host_uuid=host_uuid)
        )
        qemu_conf = _QEMU_CONF.format(user=f"+{os.geteuid()}", group=f"+{os.getegid()}")
        if self.hostname:
            qemu_conf += _BESIDE_OTHERS.format(address=self.address)
        (self.place / "etc/qemu.conf").write_text(qemu_conf)
        filters = Path("/etc/libvirt/nwfilter")
        if filters.is_dir():
            shutil.copytree(filters, self.place / "etc/nwfilter", dirs_exist_ok=True)
        (self.place / "hosts").write_text(_hosts_with(name))

    def _last_words(self) -> str:
        lines = []
        for name in ("log/libvirtd.out", "log/libvirtd.log"):
            with contextlib.suppress(OSError):
                lines += (self.place / name).read_text(errors="replace").splitlines()[-3:]
        return " / ".join(lines) or "it said nothing"


def _environment() -> dict[str, str]:
    """Ours, with the package where the namespace's own Python finds it and the system's tools on the path."""
    package_root = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PATH", "")
    return {**os.environ, "PYTHONPATH": package_root, "PATH": f"{path}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


def _hosts_with(name: str) -> str:
    """/etc/hosts with this machine in it: a name that doesn't resolve costs libvirt ten seconds each time."""
    try:
        text = Path("/etc/hosts").read_text()
    except OSError:
        text = "127.0.0.1 localhost\n"
    known = any(name in line.split("#")[0].split()[1:] for line in text.splitlines())
    return text if known else f"{text.rstrip()}\n127.0.1.1 {name}\n"


def ensure(home: Path, say: Callable[[str], None]) -> str:
    """The URI of a libvirtd that answers: the one that kvmrc names, else the cloud's own, started if needed.

    Raises DriverError.
    """
    rc = read_kvmrc(home / KVMRC)
    own = OwnLibvirtd(home)
    wanted = rc.get("LIBVIRT_URI", own.uri)
    if wanted != own.uri:
        Session(wanted).run(lambda connection: connection.getVersion())
        say(f"libvirt at {wanted}, as kvmrc says")
        return wanted
    fresh = own.process() is None
    own.wait(own.start())
    write_kvmrc(home / OWN_KVMRC, {"LIBVIRT_URI": own.uri})
    say("libvirtd of the cloud's own is running" if fresh else "libvirtd was running")
    return own.uri


def _keep(own: OwnLibvirtd) -> int:
    """Inside the namespaces: runs libvirtd, and buries the guests that outlive their parents.

    libvirt takes a QEMU for alive until somebody has reaped it. On a machine whose first process does so
    late, or (in containers) never, every end of a guest would take seconds, or fail.
    """
    os.chdir("/")
    if own.hostname:
        subprocess.run(["hostname", own.hostname], check=True)  # noqa: S603, S607
    for name, target in _BINDS.items():
        Path(target).mkdir(parents=True, exist_ok=True)
        _bind(own.place / name, target)
    _bind(own.place / "hosts", "/etc/hosts")
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program = shutil.which("libvirtd", path="/usr/sbin:/usr/bin:/sbin") or "/usr/sbin/libvirtd"
    argv = [program, "-f", "/etc/libvirt/libvirtd.conf", "-p", "/run/libvirt/libvirtd.pid"]
    libvirtd = subprocess.Popen(  # noqa: S603
        argv,
        preexec_fn=lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: os.kill(libvirtd.pid, received))
    while True:
        pid, status = os.wait()
        if pid == libvirtd.pid:
            return os.waitstatus_to_exitcode(status)


def _bind(source: Path, target: str) -> None:
    subprocess.run(["mount", "--bind", str(source), target], check=True)  # noqa: S603, S607


if __name__ == "__main__":
    sys.exit(_keep(OwnLibvirtd(Path(sys.argv[1]), sys.argv[2])))
