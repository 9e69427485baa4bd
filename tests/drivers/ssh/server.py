"""A real sshd as a test has it: on a free port of this machine, with keys of its own."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from merope.drivers.ssh import Ssh, SshSettings

_SSHD = "/usr/sbin/sshd"


def why_not() -> str:
    """Why no sshd can be started here; empty when one can."""
    if not Path(_SSHD).exists() or shutil.which("ssh") is None:
        return "not installed: openssh-server or openssh-client"
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    return ""


def make_key(path: Path) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


_BETWEEN = """#!/bin/sh
exec {ssh} -F {config} "$@"
"""


class Sshd:
    """The host "node1", also called `others`: `home` is that of the cloud, whose key it accepts."""

    def __init__(self, directory: Path, *others: str) -> None:
        self.directory = directory / "sshd"
        self.home = directory / "home"
        self.host = "node1"
        key = make_key(self.home / ".ssh/id_ed25519")
        self.directory.mkdir(mode=0o700)
        make_key(self.directory / "hostkey")
        self.accepted = self.directory / "accepted"
        self.accepted.write_text(key.with_suffix(".pub").read_text())
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        (self.home / ".ssh/config").write_text(self._settings_of(self.host, *others))
        self._environment = ["SHLVL=2"]
        self.ssh = Ssh(self.home, SshSettings(connect_seconds=10))

    def _settings_of(self, *hosts: str) -> str:
        return f"Host {' '.join(hosts)}\n  HostName 127.0.0.1\n  Port {self.port}\n  IdentitiesOnly yes\n"

    def know(self, *hosts: str) -> None:
        """Before it starts: lets who is logged in there log in to these hosts, with the cloud's key."""
        programs, config = self.directory / "bin", self.directory / "between"
        programs.mkdir()
        keys = f"  IdentityFile {self.home}/.ssh/id_ed25519\n  UserKnownHostsFile {self.directory}/known\n"
        config.write_text(self._settings_of(*hosts) + keys)
        (programs / "ssh").write_text(_BETWEEN.format(ssh=shutil.which("ssh"), config=config))
        (programs / "ssh").chmod(0o700)
        self._environment.append(f"PATH={programs}:{os.environ['PATH']}")

    def start(self) -> None:
        settings = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.directory / "hostkey",
            "PidFile": "none",
            "AuthorizedKeysFile": self.accepted,
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            # For bash a shell within a shell, which reads no ~/.bashrc: a developer's may take its time.
            "SetEnv": " ".join(self._environment),
        }
        path = self.directory / "sshd_config"
        path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([_SSHD, "-D", "-e", "-f", str(path)], stderr=log)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                assert time.monotonic() < deadline, (self.directory / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """No new connection is taken; those that there are go on."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
