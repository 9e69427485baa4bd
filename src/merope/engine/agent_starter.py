"""Starting the agent of a host: brought there and run over SSH, or run as it is on this machine."""

import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import merope_agent
from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.firecracker_settings import jails_of
from merope.drivers.hypervisor.libvirt_settings import KVMRC, OWN_KVMRC, acceleration_of, read_kvmrc
from merope.drivers.hypervisor.lxd_settings import socket_of as lxd_socket
from merope.drivers.localhost import is_local
from merope.drivers.remote_tree import Tree, push
from merope.drivers.ssh import Ssh
from merope.engine.agents import Place, Started
from merope_agent.pci import Filter, read_filter
from merope_agent.sealing import session_secret

log = logging.getLogger("merope.monitor")

_SECONDS = 60.0
_HERE = Path(merope_agent.__file__).parent
_LOOPBACK = "127.0.0.1"
#: Whatever the account's shell says: the Python of the host's system.
_PYTHON = ("env", "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "python3", "-B")


@dataclass(frozen=True, slots=True)
class Site:
    """What all agents are told. `remote` is the directory on hosts; `address` is where hosts send to."""

    home: Path
    remote: str
    master: bytes
    address: str
    periods: Mapping[str, float]
    listening: str
    """Where this machine is told to listen; where it is told nothing, `open_up` lets other hosts report."""
    open_up: Callable[[], None]
    public_key: Callable[[], tuple[int, int]] | None = None
    """Modulus and exponent; may raise."""
    version: str = ""
    prometheus: str = ""
    datastores: Mapping[bool, str] = field(default_factory=dict)
    """Where datastores are: on this machine (True), and on others."""


class AgentStarter:
    """Works in threads; `call_soon` brings what they found back to the loop's."""

    def __init__(
        self,
        site: Site,
        ssh: Ssh,
        threads: Executor,
        call_soon: Callable[..., object],
        port: Callable[[], int],
        *,
        local: Callable[[str], bool] = is_local,
    ) -> None:
        self._site = site
        self._ssh = ssh
        self._threads = threads
        self._call_soon = call_soon
        self._port = port
        self._is_local = local

    def start(self, host: Place, session: str, done: Started) -> None:
        name, oid, im_mad, port = host.name, host.id, host.im_mad, self._port()

        def work() -> None:
            try:
                self._start(oid, name, im_mad, session, port)
                reason = ""
            except Exception as error:
                known = isinstance(error, DriverError)
                reason = str(error) if known else f"{type(error).__name__}: {error}"
            self._call_soon(done, reason)

        self._threads.submit(work)

    def stop(self, host: Place) -> None:
        name, oid = host.name, host.id

        def work() -> None:
            try:
                self._stop(oid, name)
            except DriverError as error:
                log.info("the agent of host %d was not stopped; it ends when it reports: %s", oid, error)

        self._threads.submit(work)

    def _start(self, oid: int, name: str, im_mad: str, session: str, port: int) -> None:
        local = self._is_local(name)
        if not local:
            self._be_reachable()
        config = json.dumps(self._config(oid, name, im_mad, session, port, local))
        if local:
            commands.run([sys.executable, "-B", str(_HERE), "start"], timeout=_SECONDS, input=config)
            return
        agent = self._bring(name)
        words = [*_PYTHON, str(agent), "start"]
        self._ssh.run(name, words, timeout=_SECONDS, input=config, idempotent=True)

    def _be_reachable(self) -> None:
        """Before the first host that is not this machine is to report. Raises DriverError."""
        address = self._site.listening
        if not address:
            self._call_soon(self._site.open_up)
        elif is_local(address):
            raise DriverError(
                f"no other host can report to {address}, NETWORK/ADDRESS of monitord.conf: make it one that "
                "hosts know, or 0.0.0.0 for all addresses of this machine"
            )

    def _stop(self, oid: int, name: str) -> None:
        local = self._is_local(name)
        config = json.dumps({"host": oid, "run": self._run(local)})
        if local:
            commands.run([sys.executable, "-B", str(_HERE), "stop"], timeout=_SECONDS, input=config)
            return
        agent = PurePosixPath(self._site.remote) / _HERE.name
        words = [*_PYTHON, str(agent), "stop"]
        self._ssh.run(name, words, timeout=_SECONDS, input=config, idempotent=True)

    def _bring(self, name: str) -> PurePosixPath:
        """The agent, and the probes of administrators, where the host has not got them as they are here."""
        remote = PurePosixPath(self._site.remote)
        push(self._ssh, name, Tree.of(_HERE, only=("**/*.py",)), remote / _HERE.name)
        probes = self._probes()
        if probes.is_dir():
            push(self._ssh, name, Tree.of(probes), remote / "im")
        return remote / _HERE.name

    def _probes(self) -> Path:
        return self._site.home / "remotes" / "im"

    def _run(self, local: bool) -> str:
        """Where pid files are. Agents of several clouds may be on a host."""
        if local:
            return str(self._site.home / "run" / "agents")
        return f"{self._site.remote}/run-{hashlib.sha256(self._site.master).hexdigest()[:12]}"

    def _config(
        self, oid: int, name: str, im_mad: str, session: str, port: int, local: bool
    ) -> dict[str, Any]:
        site = self._site
        own = read_kvmrc(site.home / OWN_KVMRC) if local else {}
        rc = {**own, **read_kvmrc(site.home / KVMRC)}
        config = {
            "host": oid,
            "name": name,
            "hypervisor": im_mad,
            "address": _LOOPBACK if local else site.address,
            "port": port,
            "session": session,
            "secret": session_secret(site.master, oid, session).hex(),
            "run": self._run(local),
            "periods": dict(site.periods),
            "datastores": site.datastores[local],
            "libvirt_uri": rc.get("LIBVIRT_URI", "qemu:///system"),
            "lxd_socket": lxd_socket(site.home),
            "jails": jails_of(site.home),
            "version": site.version,
            "custom_probes": str(self._probes() if local else f"{site.remote}/im"),
            "pci": _pci_filter(site.home / "remotes/etc/im" / f"{im_mad}-probes.d" / "pci.conf"),
            "prometheus": site.prometheus,
            "parent": os.getpid() if local else 0,
        }
        wanted = rc.get("ACCELERATION", "auto")
        if local or wanted in ("kvm", "qemu"):
            config["emulated"] = not acceleration_of(site.home, wanted).usable
        if site.public_key is not None:
            modulus, exponent = site.public_key()
            config["public_key"] = {"modulus": f"{modulus:x}", "exponent": exponent}
        return config


def _pci_filter(path: Path) -> Filter:
    return read_filter(path.read_text(encoding="utf-8")) if path.exists() else Filter()
