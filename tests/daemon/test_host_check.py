"""`one host-check`: each thing that a host may lack is named with the command that mends it."""

import json
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path, PurePosixPath
from socketserver import UnixStreamServer
from threading import Thread
from typing import Any

import pytest
from tests.drivers.ssh.server import Sshd, why_not

from merope.daemon.host_check import Finding, check, judge, main
from merope.daemon.host_facts import lxd_says
from merope.daemon.host_needs import HYPERVISORS, NEEDED, Needed, binaries, questions
from merope.drivers.ssh import Ssh, SshSettings
from merope.engine.remote import Remote


def remote(home: Path) -> Remote:
    return Remote(home, home / "datastores", PurePosixPath(home / "one"), SshSettings())


BINARIES = ["/usr/bin/firecracker", "/usr/bin/jailer"]
OF_EACH = [(kind, each) for kind in HYPERVISORS for each in NEEDED[kind]]


def good_host(**different: Any) -> dict[str, Any]:
    names = [name for _, each in OF_EACH for name in each.names]
    return {
        "python": [3, 11, 2],
        "programs": dict.fromkeys(names + BINARIES, True),
        "modules": {"libvirt": True},
        "libvirt": "",
        "lxd": {"problem": "", "pool": True},
        "root": True,
        "kernel": "6.1.0-18-amd64",
        "hostname": "node1",
        "resolves": True,
        "time": time.time(),
        "kvm": True,
        "location": True,
        "shared": True,
        **different,
    }


def missing(found: dict[str, Any], home: Path, kind: str = "kvm") -> list[Finding]:
    return [finding for finding in judge(found, "node1", remote(home), kind) if not finding.good]


@pytest.mark.parametrize("kind", HYPERVISORS)
def test_a_host_that_has_everything_lacks_nothing(tmp_path: Path, kind: str) -> None:
    assert missing(good_host(), tmp_path, kind) == []


def without(needed: Needed) -> dict[str, Any]:
    found = good_host()
    for name in needed.names:
        found["modules" if needed.module else "programs"][name] = False
    return found


def named(value: object) -> str:
    return value.names[0] if isinstance(value, Needed) else str(value)


@pytest.mark.parametrize(("kind", "needed"), [each for each in OF_EACH if each[1].required], ids=named)
def test_each_package_that_is_missing_is_named_with_its_command(
    tmp_path: Path, kind: str, needed: Needed
) -> None:
    (finding,) = missing(without(needed), tmp_path, kind)
    assert finding.package == needed.package
    assert finding.mend == f'ssh node1 "apt-get install -y --no-install-recommends {needed.package}"'


@pytest.mark.parametrize(("kind", "needed"), [each for each in OF_EACH if not each[1].required], ids=named)
def test_what_only_some_guests_need_is_named_and_hinders_nothing(
    tmp_path: Path, kind: str, needed: Needed
) -> None:
    found = without(needed)
    assert missing(found, tmp_path, kind) == []
    texts = [finding.text for finding in judge(found, "node1", remote(tmp_path), kind)]
    assert f"no {needed.package}, which is for {needed.why}" in texts


@pytest.mark.parametrize(
    ("kind", "different", "words", "mend"),
    [
        ("lxd", {"lxd": {"problem": "LXD at /s: refused", "pool": False}}, "LXD at /s", "enable --now lxd"),
        ("lxd", {"lxd": {"problem": "", "pool": False}}, "LXD has no storage pool", "lxc storage create"),
        ("lxd", {"root": False}, "workers must be root", "User root"),
        ("firecracker", {"root": False}, "workers must be root", "User root"),
        ("firecracker", {"kvm": False}, "no /dev/kvm", "modprobe"),
    ],
)
def test_what_else_containers_and_microvms_need_is_said(
    tmp_path: Path, kind: str, different: dict[str, Any], words: str, mend: str
) -> None:
    (finding,) = missing(good_host(**different), tmp_path, kind)
    assert finding.text.startswith(words)
    assert mend in finding.mend


@pytest.mark.parametrize("path", BINARIES)
def test_a_program_of_firecrackers_is_looked_for_where_it_is_to_be(tmp_path: Path, path: str) -> None:
    found = good_host()
    found["programs"][path] = False
    (finding,) = missing(found, tmp_path, "firecracker")
    assert finding.text.startswith(path)
    assert f"node1:{path}" in finding.mend


def test_the_places_are_asked_for_that_the_cloud_has_set(tmp_path: Path) -> None:
    for name, text in (
        ("lxd/lxdrc", ":socket: /run/lxd.sock\n:storage_pool: fast\n"),
        ("firecracker/firecrackerrc", ":firecracker_location: /opt/firecracker\n"),
    ):
        path = tmp_path / "remotes/etc/vmm" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    there = remote(tmp_path)
    assert questions(there, "lxd")["lxd"] == {"sockets": ["/run/lxd.sock"], "pool": "fast"}
    assert binaries(there) == ["/opt/firecracker", "/opt/jailer"]
    assert questions(there, "firecracker")["programs"][-2:] == ["/opt/firecracker", "/opt/jailer"]


def test_an_old_kernel_is_said_to_run_privileged_containers_only(tmp_path: Path) -> None:
    found = good_host(kernel="5.10.0-28-amd64")
    texts = [finding.text for finding in judge(found, "node1", remote(tmp_path), "lxd")]
    assert any("LXD_SECURITY_PRIVILEGED" in text for text in texts)


@pytest.mark.parametrize(("pools", "has_pool"), [(["default"], True), ([], False)])
def test_lxd_is_asked_at_its_socket_for_the_pool(tmp_path: Path, pools: list[str], has_pool: bool) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/1.0" or self.path.rpartition("/")[2] in pools
            body = json.dumps({"type": "sync" if known else "error", "error": "not found"}).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *_: object) -> None:
            pass

        def address_string(self) -> str:
            return "local"

    path = tmp_path / "unix.socket"
    with UnixStreamServer(str(path), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        told = lxd_says({"sockets": [str(tmp_path / "nothing"), str(path)], "pool": "default"})
        server.shutdown()
        thread.join()
    assert told == {"problem": "", "pool": has_pool}


def test_an_lxd_that_is_not_there_is_a_problem_with_its_socket(tmp_path: Path) -> None:
    told = lxd_says({"sockets": [str(tmp_path / "unix.socket")], "pool": "default"})
    assert str(tmp_path / "unix.socket") in told["problem"]


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
