"""A target of iSCSI on this machine, served by tgtd to whoever asks, or to an account."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

IQN = "iqn.2026-11.org.example:disks"
_MB = 1024 * 1024
_WAIT = 60.0


@dataclass(frozen=True)
class Served:
    """`host` is a host and port, `content` the file that LUN 1 is."""

    host: str
    content: Path


@contextmanager
def serving(content: bytes, account: tuple[str, str] | None = None) -> Iterator[Served]:
    """A target with a disk of 4 MB; `account` is a user and a password. Skips where there can be none."""
    if shutil.which("tgtd") is None or shutil.which("qemu-img") is None or os.geteuid() != 0:
        pytest.skip("needs tgt and qemu-utils, which are not both installed, and root")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    control = str(port % 30000 + 1)
    argv = ("tgtd", "-f", "-C", control, "--iscsi", f"portal=127.0.0.1:{port}")
    with tempfile.NamedTemporaryFile() as disk:
        disk.write(content)
        disk.truncate(4 * _MB)
        disk.flush()
        daemon = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _make(control, disk.name, account)
            yield Served(f"127.0.0.1:{port}", Path(disk.name))
        finally:
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()


def _make(control: str, content: str, account: tuple[str, str] | None) -> None:
    def admin(*words: str) -> bool:
        argv = ("tgtadm", "-C", control, "--lld", "iscsi", *words)
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    target = ("--mode", "target", "--tid", "1")
    deadline = time.monotonic() + _WAIT
    while not admin("--op", "new", *target, "-T", IQN):
        assert time.monotonic() < deadline, "tgtd does not answer"
        time.sleep(0.05)
    assert admin("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", content)
    if account is not None:
        user, password = account
        assert admin("--op", "new", "--mode", "account", "--user", user, "--password", password)
        assert admin("--op", "bind", "--mode", "account", "--tid", "1", "--user", user)
    assert admin("--op", "bind", *target, "-I", "ALL")
