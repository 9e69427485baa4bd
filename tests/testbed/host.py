"""One host of a bed: its power, its wire, and what can be looked at on it."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from tests.testbed import files

from merope.daemon.process import Identity
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.libvirt_session import Session
from merope.drivers.network.ip_link import links, run_ip

REPOSITORY = Path(__file__).resolve().parents[2]
_INIT = Path(__file__).with_name("init.py")
_CLOCK = Path(__file__).with_name("clock.c")
_DIRECTORIES = ("ssh", "root-ssh", "libvirt/qemu", "lib-libvirt", "log-libvirt", "var-tmp", "local")
_LIMIT = 60.0


class BedError(Exception):
    """Why a bed cannot be made or used, as a sentence."""


@dataclass(frozen=True, slots=True)
class BedHost:
    """`place` is its directory, in that of the bed; `wire` the end of its wire at the bed's bridge."""

    name: str
    address: str
    place: Path
    wire: str
    bridge: str
    network: IPv4Network

    @property
    def mac(self) -> str:
        """The same after every start, as hardware's is: others remember it."""
        return "02:" + hashlib.sha256(os.fsencode(self.place)).digest()[:5].hex(":")

    @property
    def record(self) -> Path:
        return self.place / "pid"

    @property
    def outer(self) -> Identity | None:
        """The process whose end is that of all others of the host; None when it is off."""
        return Identity.read(self.record)

    @property
    def pid(self) -> int:
        """The host's first process. Raises BedError when it is off."""
        outer = self.outer
        if outer is not None:
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            if children:
                return int(children[0])
        raise BedError(f"{self.name} is off")

    @property
    def root(self) -> Path:
        """The host's files as it sees them."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def libvirt_uri(self) -> str:
        """Its libvirtd from outside, past SSH."""
        return f"qemu+unix:///system?socket={self.root}/run/libvirt/libvirt-sock"

    # Power: what a BMC can do.

    @property
    def is_on(self) -> bool:
        return self.outer is not None

    def power_on(self) -> None:
        """Returns before it has booted; see `wait`. Nothing where it is on."""
        if self.is_on:
            return
        self.prepare()
        if self.wire in links():
            run_ip(["link", "delete", self.wire])
        argv = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        argv += ["--mount-proc", "--propagation", "private", "--", sys.executable, "-I", str(_INIT)]
        argv += [self.name, str(self.place), self.address, str(self.network.prefixlen), self.mac]
        argv += self._hidden()
        with (self.place / "init.log").open("ab") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=self._note,
                cwd="/",
            )
        process.returncode = 0  # it lives on; what is known of it is in the record
        self._plug_in()

    def _note(self) -> None:
        """Before anything is there that would have to be ended."""
        own = Identity.of(os.getpid())
        assert own is not None
        own.write(self.record)

    def _plug_in(self) -> None:
        deadline = time.monotonic() + _LIMIT
        while True:
            try:
                pid = self.pid
                break
            except BedError:
                if not self.is_on or time.monotonic() > deadline:
                    raise BedError(f"{self.name} did not start: {self.last_words()}") from None
                time.sleep(0.005)
        peer = f"{self.wire}p"
        run_ip(["link", "add", self.wire, "type", "veth", "peer", "name", peer])
        run_ip(["link", "set", peer, "address", self.mac])
        run_ip(["link", "set", peer, "netns", str(pid), "name", "eth0"])
        run_ip(["link", "set", self.wire, "master", self.bridge, "up"])

    def power_off(self) -> None:
        """At once, as when the plug is pulled; returns when nothing of the host runs any more."""
        outer = self.outer
        if outer is not None:
            inner: Identity | None = None
            with suppress(BedError, OSError):
                inner = Identity.of(self.pid)
            os.kill(outer.pid, signal.SIGKILL)
            outer.wait(10)
            if inner is not None:
                # The kernel ends a host's other processes before it lets the first one go.
                inner.wait(10)
            with suppress(ChildProcessError):
                os.waitpid(outer.pid, os.WNOHANG)
        self.record.unlink(missing_ok=True)
        if self.wire in links():
            with suppress(DriverError):  # it goes with the host's end
                run_ip(["link", "delete", self.wire])

    def wait(self, limit: float = _LIMIT) -> None:
        """Until it can be logged in to and its libvirtd answers."""
        deadline = time.monotonic() + limit
        for look in (self._greets, self._has_libvirt):
            while not look():
                if not self.is_on or time.monotonic() > deadline:
                    raise BedError(f"{self.name} is not up after {limit:.0f} s: {self.last_words()}")
                time.sleep(0.02)

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), 1.0) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _has_libvirt(self) -> bool:
        try:
            session = Session(self.libvirt_uri)
            session.run(lambda connection: connection.getVersion())
            session.close()
        except (DriverError, BedError):
            return False
        return True

    # The wire.

    def link_down(self) -> None:
        """The host and its guests are cut off; they go on."""
        run_ip(["link", "set", self.wire, "down"])

    def link_up(self) -> None:
        run_ip(["link", "set", self.wire, "up"])

    # The clock.

    def set_clock(self, ahead: int) -> None:
        """What is started over SSH from now on sees a clock that is `ahead` by seconds (0: the right one)."""
        own = files.settings(self.place.parent, self.place, self.name, self.address)["ssh/sshd_config"]
        library = self.place / "clock.so"
        if not library.exists():
            subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, _CLOCK], check=True)
        (self.place / "ssh/sshd_config").write_text(files.with_clock(own, library, ahead) if ahead else own)
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            if b"ssh/sshd_config" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGHUP)

    # Looking.

    def run(self, *argv: str, timeout: float = 60.0) -> str:
        """What a command says on the host, past SSH: also where the wire is down."""
        enter = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--uts", "--ipc", "--pid", "--"]
        done = subprocess.run([*enter, *argv], capture_output=True, text=True, timeout=timeout, check=True)
        return done.stdout

    def last_words(self) -> str:
        lines = []
        for name in ("init.log", "sshd.log", "libvirtd.log"):
            with suppress(OSError):
                lines += (self.place / name).read_text(errors="replace").splitlines()[-3:]
        return " / ".join(lines) or "it said nothing"

    def prepare(self) -> None:
        for name in _DIRECTORIES:
            (self.place / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.place / "var-tmp").chmod(0o1777)
        # As after every start: what is temporary is gone but for /var/tmp.
        for path, text in files.settings(self.place.parent, self.place, self.name, self.address).items():
            (self.place / path).write_text(text)
        if not (self.place / "ssh/hostkey").exists():
            make_key(self.place / "ssh/hostkey", self.name)

    @staticmethod
    def _hidden() -> list[str]:
        """A host has no checkout of the repository: what runs there was brought there."""
        return [str(REPOSITORY)]


def make_key(path: Path, comment: str) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(argv, check=True)
