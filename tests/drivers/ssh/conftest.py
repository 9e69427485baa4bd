"""A real sshd on this machine, which is the host "node1" of a cloud."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.drivers.ssh.server import Sshd, why_not


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    started = Sshd(tmp_path)
    started.start()
    yield started
    started.ssh.close()
    started.stop()
