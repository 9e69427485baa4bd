"""`one host-check NAME`: whether a machine can be a host, what it lacks, and the command that mends it.

It changes nothing on the host but brings it, at the end, what the core would bring.
"""

import argparse
import json
import os
import re
import shlex
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merope.daemon import host_facts
from merope.daemon.host_needs import HYPERVISORS, KVM, LXD, NEEDED, Needed, binaries, questions
from merope.daemon.hosts_command import carried_out
from merope.daemon.layout import PRIVATE, Layout
from merope.drivers import commands
from merope.drivers.commands import CommandError
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.lxd_settings import settings_of
from merope.drivers.localhost import is_local
from merope.engine.remote import Remote

_SECONDS = 60.0
_MOST_SECONDS_APART = 5.0
_OLDEST_PYTHON = (3, 11)
_MAPS_OWNERS = (5, 12)
"""The Linux that maps the owners of files on ext4, which unprivileged containers need."""


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


def check(remote: Remote, host: str, kind: str = KVM) -> Iterator[Finding]:
    """One after the other; what makes all others impossible is the last."""
    local = is_local(host)
    if not local:
        try:
            remote.ssh.connect(host)
        except DriverError as error:
            yield Finding(False, str(error))
            return
        yield Finding(True, f"SSH to {host}")
    found = _ask(remote, host, local, questions(remote, kind))
    if found is None:
        mend = _install(host, ["python3"])
        yield Finding(False, f"Python at {remote.python}: workers run with it", mend, "python3")
        return
    yield from judge(found, host, remote, kind)
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


def _ask(remote: Remote, host: str, local: bool, asked: dict[str, Any]) -> dict[str, Any] | None:
    """What host_facts tells; None without Python. A mark at the location shows whether storage is shared."""
    source = Path(host_facts.__file__).read_text()
    remote.location.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=".host-check-", dir=remote.location) as mark:
        told_what = {**asked, "location": str(remote.location), "mark": Path(mark.name).name}
        words = [remote.python, "-", json.dumps(told_what)]
        try:
            if local:
                told = commands.run(words, timeout=_SECONDS, input=source)
            else:
                told = remote.ssh.run(host, words, timeout=_SECONDS, input=source, idempotent=True)
        except CommandError:
            return None
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def judge(found: dict[str, Any], host: str, remote: Remote, kind: str = KVM) -> Iterator[Finding]:
    """What the facts mean."""
    version = ".".join(map(str, found["python"]))
    if tuple(found["python"]) < _OLDEST_PYTHON:
        mend = "install one, and name it in oned.conf: SSH = [ PYTHON = /usr/bin/python3.11 ]"
        yield Finding(False, f"Python 3.11 or newer: {remote.python} is {version}", mend)
    else:
        yield Finding(True, f"Python {version}")
    for each in NEEDED[kind]:
        there = found["modules" if each.module else "programs"]
        yield _package(each, any(there[name] for name in each.names), host)
    if kind == KVM:
        yield from _of_kvm(found, host)
    else:
        yield _root(found, host, remote)
        yield from _of_lxd(found, host, remote) if kind == LXD else _of_firecracker(found, host, remote)
    apart = abs(found["time"] - time.time())
    if apart > _MOST_SECONDS_APART:
        text = f"its clock is {apart:.0f} seconds from ours"
        yield Finding(False, text, _install(host, ["chrony"]), "chrony")
    storage = "is shared with the front-end (TM_MAD shared or qcow2)"
    if not found["shared"]:
        storage = "is the host's own (TM_MAD ssh: disks are carried to it)"
    yield Finding(True, f"{remote.location} {storage}")


def _package(needed: Needed, there: bool, host: str) -> Finding:
    text = f"{needed.package}: {needed.why}"
    if there:
        return Finding(True, text)
    if not needed.required:
        return Finding(
            True, f"no {needed.package}, which is for {needed.why}", _install(host, [needed.package])
        )
    return Finding(False, text, _install(host, [needed.package]), needed.package)


def _of_kvm(found: dict[str, Any], host: str) -> Iterator[Finding]:
    if found["libvirt"]:
        yield Finding(False, f"libvirt: {found['libvirt']}", _on(host, "systemctl enable --now libvirtd"))
    else:
        yield Finding(True, "libvirt answers")
    if not found["resolves"]:
        name = found["hostname"]
        text = f"its name {name} has no address there: each start of a guest takes ten seconds longer"
        yield Finding(False, text, _on(host, f"sh -c 'echo 127.0.1.1 {name} >>/etc/hosts'"))
    kvm = "/dev/kvm can be used" if found["kvm"] else "no /dev/kvm: guests are emulated, and slow"
    yield Finding(True, kvm)


def _root(found: dict[str, Any], host: str, remote: Remote) -> Finding:
    if found["root"]:
        return Finding(True, "workers are root there")
    mend = f"in {remote.home}/.ssh/config: Host {host}, User root"
    return Finding(False, "workers must be root there: they mount disks and make links", mend)


def _of_lxd(found: dict[str, Any], host: str, remote: Remote) -> Iterator[Finding]:
    told, pool = found["lxd"], settings_of(remote.home).pool
    if told["problem"]:
        yield Finding(False, told["problem"], _on(host, "systemctl enable --now lxd"))
        return
    yield Finding(True, "LXD answers")
    if told["pool"]:
        yield Finding(True, f"LXD has the storage pool {pool}")
    else:
        mend = _on(host, f"lxc storage create {shlex.quote(pool)} dir")
        yield Finding(False, f"LXD has no storage pool {pool}", mend)
    kernel = re.match(r"(\d+)\.(\d+)", found["kernel"])
    if kernel and tuple(map(int, kernel.groups())) < _MAPS_OWNERS:
        text = f"Linux {found['kernel']} cannot map owners of files: LXD_SECURITY_PRIVILEGED = true is needed"
        yield Finding(True, text)


def _of_firecracker(found: dict[str, Any], host: str, remote: Remote) -> Iterator[Finding]:
    for path in binaries(remote):
        if found["programs"][path]:
            yield Finding(True, f"{path}: runs microVMs")
        else:
            name = shlex.quote(path)
            mend = f"from Firecracker's release archive: {_put(host, Path(path).name, name)}"
            yield Finding(False, f"{path}: runs microVMs; Debian has no package of it", mend)
    if found["kvm"]:
        yield Finding(True, "/dev/kvm can be used")
    else:
        yield Finding(False, "no /dev/kvm: microVMs need it", _on(host, "modprobe -a kvm_intel kvm_amd"))


def _put(host: str, source: str, target: str) -> str:
    if is_local(host):
        return f"install -m 755 {source} {target}"
    return f"scp {source} {host}:{target} && {_on(host, f'chmod 755 {target}')}"


def _install(host: str, packages: Sequence[str]) -> str:
    return _on(host, f"apt-get install -y --no-install-recommends {' '.join(packages)}")


def _on(host: str, command: str) -> str:
    return command if is_local(host) else f'ssh {host} "{command}"'


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="one host-check", description="What a host lacks, and the command that mends it."
    )
    parser.add_argument("name", nargs="+", help="of a host, as it is or will be in the cloud")
    parser.add_argument(
        "-i",
        "--im",
        choices=HYPERVISORS,
        default=KVM,
        help="what it runs (default: kvm), as for onehost create",
    )
    parser.add_argument("--home", type=Path, help="directory of the cloud (default: ./var)")
    arguments = parser.parse_args(words)
    os.umask(PRIVATE)

    def show(_: Layout, remote: Remote) -> int:
        lacking = [name for name in arguments.name if not _show(remote, name, arguments.im)]
        return 1 if lacking else 0

    return carried_out(arguments.home, show, DriverError)


def _show(remote: Remote, host: str, kind: str) -> bool:
    print(host, flush=True)
    bad = []
    left_as_it_was = is_local(host) or remote.ssh.is_connected(host)
    for finding in check(remote, host, kind):
        print(finding, flush=True)
        bad += [] if finding.good else [finding]
    if not left_as_it_was:
        remote.ssh.disconnect(host)
    packages = list(dict.fromkeys(finding.package for finding in bad if finding.package))
    if len(packages) > 1:
        print(f"  all of them:\n          {_install(host, packages)}")
    print("  this can be a host" if not bad else f"  {len(bad)} to mend before this can be a host")
    return not bad
