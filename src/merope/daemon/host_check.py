"""`one host-check NAME`: whether a machine can be a host, what it lacks, and the command that mends it.

It changes nothing on the host but brings it, at the end, what the core would bring.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merope.daemon import host_facts
from merope.daemon.hosts_command import carried_out
from merope.daemon.layout import PRIVATE, Layout
from merope.drivers import commands
from merope.drivers.commands import CommandError
from merope.drivers.errors import DriverError
from merope.drivers.localhost import is_local
from merope.engine.remote import Remote

_SECONDS = 60.0
_MOST_SECONDS_APART = 5.0
_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Needed:
    """One of the `names`, programs unless `module`, which Debian has in `package`."""

    names: tuple[str, ...]
    package: str
    why: str
    module: bool = False


NEEDED = (
    Needed(("libvirt",), "python3-libvirt", "operations on guests", module=True),
    Needed(("libvirtd", "virtqemud"), "libvirt-daemon-system", "starts and watches QEMU"),
    Needed(("qemu-system-x86_64", "qemu-system-aarch64", "qemu-kvm"), "qemu-system-x86", "runs guests"),
    Needed(("qemu-img",), "qemu-utils", "makes, copies and grows disks"),
    Needed(("genisoimage", "mkisofs", "xorriso"), "genisoimage", "writes the CONTEXT disk"),
    Needed(("mkfs.ext4",), "e2fsprogs", "file systems on volatile disks"),
    Needed(("ip",), "iproute2", "bridges and addresses"),
    Needed(("iptables",), "iptables", "security groups"),
    Needed(("nft",), "nftables", "filters of spoofed addresses"),
    Needed(("tar",), "tar", "takes what is brought"),
    Needed(("ssh",), "openssh-client", "live migration to other hosts"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` is a command, empty where nothing is to be done; `package` one that is missing."""

    good: bool
    text: str
    mend: str = ""
    package: str = ""

    def __str__(self) -> str:
        line = f"  {'ok     ' if self.good else 'MISSING'} {self.text}"
        return f"{line}\n          {self.mend}" if self.mend else line


def check(remote: Remote, host: str) -> Iterator[Finding]:
    """One after the other; what makes all others impossible is the last."""
    local = is_local(host)
    if not local:
        try:
            remote.ssh.connect(host)
        except DriverError as error:
            yield Finding(False, str(error))
            return
        yield Finding(True, f"SSH to {host}")
    found = _ask(remote, host, local)
    if found is None:
        mend = _install(host, ["python3"])
        yield Finding(False, f"Python at {remote.python}: workers run with it", mend, "python3")
        return
    yield from judge(found, host, remote)
    if local:
        return
    if tuple(found["python"]) >= _OLDEST_PYTHON:
        try:
            sent = remote.prepare(host)
        except DriverError as error:
            yield Finding(False, str(error))
        else:
            yield Finding(
                True, f"{remote.directory} has this release ({', '.join(sent) or 'nothing was sent'})"
            )


def _ask(remote: Remote, host: str, local: bool) -> dict[str, Any] | None:
    """What host_facts tells; None without Python. A mark at the location shows whether storage is shared."""
    source = Path(host_facts.__file__).read_text()
    remote.location.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=".host-check-", dir=remote.location) as mark:
        questions = {
            "programs": [name for each in NEEDED if not each.module for name in each.names],
            "modules": [name for each in NEEDED if each.module for name in each.names],
            "location": str(remote.location),
            "mark": Path(mark.name).name,
        }
        words = [remote.python, "-", json.dumps(questions)]
        try:
            if local:
                told = commands.run(words, timeout=_SECONDS, input=source)
            else:
                told = remote.ssh.run(host, words, timeout=_SECONDS, input=source, idempotent=True)
        except CommandError:
            return None
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def judge(found: dict[str, Any], host: str, remote: Remote) -> Iterator[Finding]:
    """What the facts mean."""
    version = ".".join(map(str, found["python"]))
    if tuple(found["python"]) < _OLDEST_PYTHON:
        mend = "install one, and name it in oned.conf: SSH = [ PYTHON = /usr/bin/python3.11 ]"
        yield Finding(False, f"Python 3.11 or newer: {remote.python} is {version}", mend)
    else:
        yield Finding(True, f"Python {version}")
    for each in NEEDED:
        there = found["modules" if each.module else "programs"]
        if any(there[name] for name in each.names):
            yield Finding(True, f"{each.package}: {each.why}")
        else:
            text = f"{each.package}: {each.why}"
            yield Finding(False, text, _install(host, [each.package]), each.package)
    if found["libvirt"]:
        yield Finding(False, f"libvirt: {found['libvirt']}", _on(host, "systemctl enable --now libvirtd"))
    else:
        yield Finding(True, "libvirt answers")
    if not found["resolves"]:
        name = found["hostname"]
        text = f"its name {name} has no address there: each start of a guest takes ten seconds longer"
        yield Finding(False, text, _on(host, f"sh -c 'echo 127.0.1.1 {name} >>/etc/hosts'"))
    apart = abs(found["time"] - time.time())
    if apart > _MOST_SECONDS_APART:
        text = f"its clock is {apart:.0f} seconds from ours"
        yield Finding(False, text, _install(host, ["chrony"]), "chrony")
    kvm = "/dev/kvm can be used" if found["kvm"] else "no /dev/kvm: guests are emulated, and slow"
    yield Finding(True, kvm)
    storage = "is shared with the front-end (TM_MAD shared or qcow2)"
    if not found["shared"]:
        storage = "is the host's own (TM_MAD ssh: disks are carried to it)"
    yield Finding(True, f"{remote.location} {storage}")


def _install(host: str, packages: Sequence[str]) -> str:
    return _on(host, f"apt-get install -y --no-install-recommends {' '.join(packages)}")


def _on(host: str, command: str) -> str:
    return command if is_local(host) else f'ssh {host} "{command}"'


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="one host-check", description="What a host lacks, and the command that mends it."
    )
    parser.add_argument("name", nargs="+", help="of a host, as it is or will be in the cloud")
    parser.add_argument("--home", type=Path, help="directory of the cloud (default: ./var)")
    arguments = parser.parse_args(words)
    os.umask(PRIVATE)

    def show(_: Layout, remote: Remote) -> int:
        lacking = [name for name in arguments.name if not _show(remote, name)]
        return 1 if lacking else 0

    return carried_out(arguments.home, show)


def _show(remote: Remote, host: str) -> bool:
    print(host, flush=True)
    bad = []
    left_as_it_was = is_local(host) or remote.ssh.is_connected(host)
    for finding in check(remote, host):
        print(finding, flush=True)
        bad += [] if finding.good else [finding]
    if not left_as_it_was:
        remote.ssh.disconnect(host)
    packages = [finding.package for finding in bad if finding.package]
    if len(packages) > 1:
        print(f"  all of them:\n          {_install(host, packages)}")
    print("  this can be a host" if not bad else f"  {len(bad)} to mend before this can be a host")
    return not bad
