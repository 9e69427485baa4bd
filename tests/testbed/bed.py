"""A bed of hosts: made, found again, and removed whole, also after a crash of whoever made it."""

import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tests.testbed import files
from tests.testbed.host import BedError, BedHost, make_key

from merope.drivers.network.host_route import free_range, routes
from merope.drivers.network.ip_link import links, run_ip

DEFAULT = Path("/tmp/merope-testbed")
_PROGRAMS = ("unshare", "nsenter", "ip", "ssh", "ssh-keygen", "qemu-system-x86_64", "qemu-img", "genisoimage")
_DAEMONS = ("/usr/sbin/sshd", "/usr/sbin/libvirtd")
_RECORD = "bed.json"


def why_not() -> str:
    """Why there can be no bed on this machine; empty when there can."""
    if os.geteuid() != 0:
        return "a bed of hosts needs root (namespaces, a bridge)"
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    missing += [name for name in _DAEMONS if not Path(name).exists()]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if importlib.util.find_spec("libvirt") is None:
        return "not installed: libvirt's Python binding (merope[kvm])"
    if not any(Path("/usr/lib/python3/dist-packages").glob("libvirtmod*")):
        return "not installed: python3-libvirt, which hosts need"
    try:
        with Path("/proc/sys/user/max_net_namespaces").open() as limit:
            return "" if int(limit.read()) > 0 else "this machine allows no network namespaces"
    except OSError:
        return "this machine has no network namespaces"


@dataclass(frozen=True, slots=True)
class Bed:
    """`directory` has all that is on disks; `mark` is in the names of the bed's links."""

    directory: Path
    mark: str
    network: IPv4Network
    hosts: tuple[BedHost, ...]

    @classmethod
    def up(cls, directory: Path = DEFAULT, size: int = 3, network: IPv4Network | None = None) -> "Bed":
        """Makes a bed of `size` hosts, or powers on what is off in the one that is there. Raises BedError."""
        reason = why_not()
        if reason:
            raise BedError(reason)
        with _claimed(directory):
            bed = cls._found(directory) or cls._made(directory, size, network)
            for host in bed.hosts:
                host.power_on()
            for host in bed.hosts:
                host.wait()
        return bed

    @classmethod
    def at(cls, directory: Path = DEFAULT) -> "Bed":
        """The bed that is there. Raises BedError."""
        bed = cls._found(directory)
        if bed is None:
            raise BedError(f"there is no bed at {directory}: make testbed")
        return bed

    @classmethod
    def _found(cls, directory: Path) -> "Bed | None":
        try:
            record = json.loads((directory / _RECORD).read_text())
        except FileNotFoundError:
            return None
        return cls._of(directory, record["mark"], IPv4Network(record["network"]), record["hosts"])

    @classmethod
    def _of(cls, directory: Path, mark: str, network: IPv4Network, names: list[str]) -> "Bed":
        hosts = [
            BedHost(name, str(network[10 + n]), directory / name, f"{mark}w{n}", f"{mark}b", network)
            for n, name in enumerate(names, 1)
        ]
        return cls(directory, mark, network, tuple(hosts))

    @classmethod
    def _made(cls, directory: Path, size: int, network: IPv4Network | None) -> "Bed":
        mark = f"mb{hashlib.sha256(os.fsencode(directory)).hexdigest()[:6]}"
        names = [f"node{number}" for number in range(1, size + 1)]
        with _choosing_a_range():
            bed = cls._of(directory, mark, network or free_range(routes()), names)
            # Recorded first, so that `down` knows what to remove whatever happens now.
            record = {"mark": mark, "network": str(bed.network), "hosts": names}
            (directory / _RECORD).write_text(json.dumps(record))
            bed._make_bridge()
        bed._make_files()
        return bed

    @property
    def bridge(self) -> str:
        return f"{self.mark}b"

    @property
    def gateway(self) -> IPv4Address:
        """This machine, as hosts and guests see it."""
        return self.network[1]

    @property
    def shared(self) -> Path:
        """The same directory on every host and here."""
        return self.directory / "shared"

    @property
    def local(self) -> Path:
        """A directory of this path is every host's own, and here one of its own too."""
        return self.directory / "local"

    def host(self, name: str) -> BedHost:
        for host in self.hosts:
            if host.name == name:
                return host
        raise BedError(f"there is no {name} in the bed, only {', '.join(each.name for each in self.hosts)}")

    def introduce(self, home: Path) -> None:
        """Lets the cloud under `home` reach the hosts by their names, with a key that they accept."""
        directory = home / ".ssh"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (directory / "id_ed25519").exists():
            make_key(directory / "id_ed25519", "cloud")
        self.accept((directory / "id_ed25519.pub").read_text())
        blocks = [f"Host {host.name}\n  HostName {host.address}\n" for host in self.hosts]
        (directory / "config").write_text("".join([*blocks, "Host *\n  IdentitiesOnly yes\n"]))

    def accept(self, public_key: str) -> None:
        with (self.directory / "accepted").open("a") as accepted:
            accepted.write(public_key)

    def refuse(self, public_key: str) -> None:
        """No new connection is made with that key."""
        path = self.directory / "accepted"
        kept = [line for line in path.read_text().splitlines(keepends=True) if line != public_key]
        path.write_text("".join(kept))

    def _make_bridge(self) -> None:
        run_ip(["link", "add", "name", self.bridge, "type", "bridge"])
        run_ip(["link", "set", self.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0"])
        run_ip(["address", "add", f"{self.gateway}/{self.network.prefixlen}", "dev", self.bridge])
        run_ip(["link", "set", "dev", self.bridge, "up"])

    def _make_files(self) -> None:
        for directory in (self.shared, self.local):
            directory.mkdir(exist_ok=True)
        make_key(self.directory / "key", "hosts")
        self.accept((self.directory / "key.pub").read_text())
        (self.directory / "hosts").write_text(files.names({host.name: host.address for host in self.hosts}))
        keys = []
        for host in self.hosts:
            host.prepare()
            public = (host.place / "ssh/hostkey.pub").read_text()
            keys.append((host.name, host.address, public))
        account = Path(pwd.getpwuid(os.geteuid()).pw_dir)
        for host in self.hosts:
            own = host.place / "root-ssh"
            shutil.copy(self.directory / "key", own / "id_ed25519")
            (own / "known_hosts").write_text(files.known_hosts(keys))
            (own / "config").write_text(files.client_settings(account))

    def down(self) -> None:
        """Removes all of it. What is not there any more is no hindrance."""
        for host in self.hosts:
            host.power_off()
        if self.bridge in links():
            run_ip(["link", "delete", self.bridge])
        shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def _claimed(directory: Path) -> Iterator[None]:
    """One at a time makes a bed in a directory, which is ours alone."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
        raise BedError(f"{directory} belongs to somebody else")
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _choosing_a_range() -> Iterator[None]:
    """Two beds must not both find the same range free."""
    with (Path(tempfile.gettempdir()) / "merope-real-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
