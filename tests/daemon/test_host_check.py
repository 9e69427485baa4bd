"""`one host-check`: each thing that a host may lack is named with the command that mends it."""

import time
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from tests.drivers.ssh.server import Sshd, why_not

from merope.daemon.host_check import NEEDED, Finding, check, judge, main
from merope.drivers.ssh import Ssh, SshSettings
from merope.engine.remote import Remote


def remote(home: Path) -> Remote:
    return Remote(home, home / "datastores", PurePosixPath(home / "one"), SshSettings())


def good_host(**different: Any) -> dict[str, Any]:
    return {
        "python": [3, 11, 2],
        "programs": {name: True for each in NEEDED for name in each.names},
        "modules": {"libvirt": True},
        "libvirt": "",
        "hostname": "node1",
        "resolves": True,
        "time": time.time(),
        "kvm": True,
        "location": True,
        "shared": True,
        **different,
    }


def missing(found: dict[str, Any], home: Path) -> list[Finding]:
    return [finding for finding in judge(found, "node1", remote(home)) if not finding.good]


def test_a_host_that_has_everything_lacks_nothing(tmp_path: Path) -> None:
    assert missing(good_host(), tmp_path) == []


@pytest.mark.parametrize("needed", NEEDED, ids=lambda needed: needed.package)
def test_each_package_that_is_missing_is_named_with_its_command(tmp_path: Path, needed: Any) -> None:
    found = good_host()
    for name in needed.names:
        found["modules" if needed.module else "programs"][name] = False
    (finding,) = missing(found, tmp_path)
    assert finding.package == needed.package
    assert finding.mend == f'ssh node1 "apt-get install -y --no-install-recommends {needed.package}"'


@pytest.mark.parametrize(
    ("different", "words"),
    [
        ({"python": [3, 9, 2]}, "Python 3.11 or newer: /usr/bin/python3 is 3.9.2"),
        ({"libvirt": "Failed to connect socket"}, "libvirt: Failed to connect socket"),
        ({"resolves": False}, "its name node1 has no address there"),
        ({"time": 0.0}, "its clock is "),
    ],
)
def test_what_else_hinders_a_host_is_said(tmp_path: Path, different: dict[str, Any], words: str) -> None:
    (finding,) = missing(good_host(**different), tmp_path)
    assert finding.text.startswith(words)
    assert finding.mend


@pytest.mark.parametrize(("shared", "words"), [(True, "is shared"), (False, "is the host's own")])
def test_it_is_said_whether_storage_is_shared(tmp_path: Path, shared: bool, words: str) -> None:
    *_, storage = judge(good_host(shared=shared), "node1", remote(tmp_path))
    assert storage.good
    assert words in storage.text


def test_a_machine_that_is_reached_is_asked_by_its_own_python(tmp_path: Path) -> None:
    if why_not():
        pytest.skip(why_not())
    server = Sshd(tmp_path)
    server.start()
    findings = list(check(remote(server.home), "node1"))
    server.ssh.close()
    server.stop()
    texts = [finding.text for finding in findings]
    assert texts[0] == "SSH to node1"
    assert any(text.startswith("Python 3") for text in texts)
    assert any("is shared with the front-end" in text for text in texts)
    assert not list((server.home / "datastores").iterdir())


def test_a_machine_that_is_not_reached_has_the_reason_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["no-such-host.invalid", "--home", str(tmp_path / "home")]) == 1
    Ssh(tmp_path / "home").close()
    told = capsys.readouterr().out
    assert "cannot be reached by SSH: no address is known for its name" in told
