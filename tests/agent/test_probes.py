"""What the agent measures, and how executables of administrators take part."""

import base64
import json
import os
import socket
import tempfile
import time
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model.template import Template
from merope_agent import commands, custom, domains, firecracker, lxd
from merope_agent.config import Config, ConfigError
from merope_agent.domains import Domain
from merope_agent.probes import vms
from merope_agent.probes.hardware import Hardware
from merope_agent.probes.host import HostProbe
from merope_agent.probes.vms import FiguresProbe, StateProbe
from merope_agent.template import quoted, vector

CONFIG = Config(7, "node7", "kvm", "127.0.0.1", 4124, "s1", bytes(32), "/run")

STATS = """Domain: 'one-3'
  state.state=1
  state.reason=1
  cpu.time=2000000000
  balloon.current=262144
  balloon.maximum=524288
  balloon.rss=70000
  vcpu.current=2
  net.count=2
  net.0.rx.bytes=100
  net.0.tx.bytes=10
  net.1.rx.bytes=5
  net.1.tx.bytes=6
  block.count=1
  block.0.rd.bytes=7
  block.0.wr.bytes=8
  block.0.rd.reqs=9
  block.0.wr.reqs=11

Domain: 'it's mine'
  state.state=5
  state.reason=2

"""


@pytest.fixture
def virsh(monkeypatch: pytest.MonkeyPatch) -> list[Domain]:
    """The domains that there are."""
    found: list[Domain] = []
    monkeypatch.setattr(domains, "read", lambda uri, figures: list(found))
    return found


def test_domains_are_read_from_virsh() -> None:
    ours, wild = domains.parse(STATS)
    assert (ours.vm, ours.state, ours.memory, ours.vcpus) == (3, "RUNNING", 70000, 2)
    assert ours.counters == {
        "NETRX": 105,
        "NETTX": 16,
        "DISKRDBYTES": 7,
        "DISKWRBYTES": 8,
        "DISKRDIOPS": 9,
        "DISKWRIOPS": 11,
    }
    assert (wild.name, wild.vm, wild.state) == ("it's mine", -1, "POWEROFF")


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (1, 1, "RUNNING"),
        (3, 1, "SUSPENDED"),  # by a user
        (3, 2, "RUNNING"),  # for a migration
        (3, 5, "SUSPENDED"),  # an error of a disk
        (3, 10, "FAILURE"),
        (4, 1, "RUNNING"),  # being shut down
        (5, 1, "POWEROFF"),
        (5, 3, "FAILURE"),
        (6, 1, "FAILURE"),
        (7, 0, "SUSPENDED"),
    ],
)
def test_states_of_libvirt_are_told_in_the_words_of_monitoring(state: int, reason: int, said: str) -> None:
    assert domains.state_of(state, reason) == said


def test_without_libvirt_guests_are_the_processes_of_qemu(tmp_path: Path) -> None:
    process = tmp_path / "41"
    process.mkdir()
    (process / "cmdline").write_bytes(
        b"/usr/bin/qemu-system-x86_64\0-name\0guest=one-9,debug-threads=on\0-m\0512\0"
    )
    (process / "stat").write_text("41 (qemu (x)) S 1 41 41 0 -1 0 0 0 0 0 300 200 0 0 20 0\n")
    (process / "statm").write_text("5000 1000 0 0 0 0 0\n")
    other = tmp_path / "42"
    other.mkdir()
    (other / "cmdline").write_bytes(b"vim\0qemu\0")
    [found] = domains.processes(tmp_path)
    assert (found.vm, found.state) == (9, "RUNNING")
    assert found.memory == 1000 * os.sysconf("SC_PAGE_SIZE") // 1024
    assert found.cpu_time == 500 * 10**9 // os.sysconf("SC_CLK_TCK")


def test_the_host_is_what_proc_says() -> None:
    template = Template.parse(HostProbe(CONFIG).system())
    total = next(
        int(line.split()[1])
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal")
    )
    assert template.get_int("TOTALMEMORY") == total
    online = [
        line for line in Path("/proc/stat").read_text().splitlines() if line[:3] == "cpu" and line[3] != " "
    ]
    assert template.get_int("TOTALCPU") == 100 * len(online)


def test_a_host_is_as_busy_as_its_processors_were_since_the_last_look(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 600 kB\n")
    (tmp_path / "net").mkdir()
    (tmp_path / "net/dev").write_text("h\nh\neth0: 5 0 0 0 0 0 0 0 6 0\nvnet0: 9 0 0 0 0 0 0 0 9 0\n")
    (tmp_path / "class/eth0/device").mkdir(parents=True)
    probe = HostProbe(CONFIG, Hardware(tmp_path, tmp_path / "class"))
    (tmp_path / "stat").write_text("cpu 10 0 10 80 0 0 0 0\ncpu0 0\ncpu1 0\n")
    probe.figures()
    (tmp_path / "stat").write_text("cpu 40 0 10 140 10 0 0 0\ncpu0 0\ncpu1 0\n")
    assert Template.parse(probe.figures()) == Template.parse(
        'FREEMEMORY="600" USEDMEMORY="400" USEDCPU="60" FREECPU="140" NETRX="5" NETTX="6"'
    )


def test_states_are_told_when_they_change_some_times_more_and_now_and_then(virsh: list[Domain]) -> None:
    probe = StateProbe(CONFIG, "")
    told = [bool(probe.report(now)) for now in range(0, 50, 5)]
    assert told == [True] * (vms.REPEATS + 1) + [False] * 5
    virsh.append(Domain("one-1", "RUNNING"))
    template = Template.parse(probe.report(50))
    assert template.vectors("VM") == [{"ID": "1", "DEPLOY_ID": "one-1", "STATE": "RUNNING"}]
    assert (template.get("SYNC_STATE"), template.get("MISSING_STATE")) == ("yes", "POWEROFF")
    for now in range(55, 80, 5):
        probe.report(now)
    assert probe.report(80) == ""
    assert probe.report(70 + CONFIG.periods["SYNC_STATE_VM"])


def test_libvirt_is_asked_again_when_its_notes_changed_or_are_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[bool] = []

    def read(uri: str, figures: bool) -> list[Domain]:
        asked.append(figures)
        return []

    monkeypatch.setattr(domains, "read", read)
    probe = StateProbe(CONFIG, str(tmp_path))
    note = tmp_path / "one-1.xml"
    note.write_text("running")
    for now in (0, 5, 10):
        probe.report(now)
    assert len(asked) == 1
    os.utime(note, ns=(1, 1))
    probe.report(15)
    note.unlink()
    (tmp_path / "one-2.xml").touch()
    probe.report(20)
    assert len(asked) == 3
    probe.report(20 + vms.ASK_SECONDS)
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("uri", "environ", "directory"),
    [
        ("qemu:///system", {"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/libvirt/qemu"),
        ("qemu:///session", {"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/libvirt/qemu/run"),
        ("qemu:///session", {"HOME": "/home/one"}, "/home/one/.cache/libvirt/qemu/run"),
        ("qemu+tcp://elsewhere/system", {"HOME": "/home/one"}, ""),
    ],
)
def test_the_notes_of_libvirt_are_where_it_has_them_for_its_user(
    uri: str, environ: dict[str, str], directory: str
) -> None:
    assert domains.status_directory(uri, environ) == directory


def test_the_use_of_a_processor_is_that_between_two_looks(virsh: list[Domain]) -> None:
    probe = FiguresProbe(CONFIG)
    virsh.append(Domain("one-1", "RUNNING", 1000, cpu_time=10**9))
    assert figures(probe.report(10.0)) == {"CPU": "0.00", "MEMORY": "1000"}
    virsh[0] = Domain("one-1", "RUNNING", 1000, cpu_time=2 * 10**9)
    assert figures(probe.report(14.0))["CPU"] == "25.00"
    virsh[0] = Domain("one-1", "RUNNING", 1000, cpu_time=5)
    assert figures(probe.report(18.0))["CPU"] == "0.00"


def figures(text: str) -> dict[str, str]:
    [vm] = Template.parse(text).vectors("VM")
    decoded = Template.parse(base64.b64decode(vm["MONITOR"]).decode())
    return {name: str(value) for name, value in decoded.items()}


def test_a_wild_domain_is_told_with_a_template_to_import_it_by(virsh: list[Domain]) -> None:
    from merope_agent.probes import host

    virsh += [Domain("one-1", "RUNNING"), Domain("web", "RUNNING", max_memory=524288, vcpus=2)]
    [vm] = Template.parse(host.wild(CONFIG)).vectors("VM")
    assert (vm["VM_NAME"], vm["DEPLOY_ID"]) == ("web", "web")
    template = Template.parse(base64.b64decode(vm["IMPORT_TEMPLATE"]).decode())
    assert [template.get(name) for name in ("NAME", "CPU", "VCPU", "MEMORY", "DEPLOY_ID")] == [
        "web",
        "2",
        "2",
        "512",
        "web",
    ]


@given(st.text(max_size=50))
def test_any_text_is_written_so_that_it_can_be_read(text: str) -> None:
    [found] = Template.parse(vector("VM", {"NAME": text, "NEXT": 1})).vectors("VM")
    assert found["NEXT"] == "1"
    if text.isprintable() and "]]>" not in text and not text.endswith("\\"):
        assert found["NAME"] == text
    assert Template.parse(f"A={quoted(text)}")


# Executables of administrators


def executable(directory: Path, name: str, script: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def probes(tmp_path: Path) -> Config:
    return CONFIG._replace(custom_probes=str(tmp_path))


def test_executables_run_in_order_with_the_words_of_5_12(probes: Config, tmp_path: Path) -> None:
    directory = tmp_path / "kvm-probes.d/host/system"
    executable(directory, "20-second", 'echo "ARGS=\\"$1 $2 $3\\""')
    executable(directory, "10-first", 'echo "STDIN=\\"$(cat)\\""')
    (directory / "README").write_text("no probe")
    said, wrong = custom.run(probes, "SYSTEM_HOST")
    assert wrong == []
    assert said[1] == 'ARGS="kvm 7 node7"\n'
    given = ElementTree.fromstring(base64.b64decode(Template.parse(said[0]).get("STDIN")))
    assert given.findtext("HOST_ID") == "7"
    assert given.findtext("PROBES_PERIOD/MONITOR_HOST") == "120"
    assert given.findtext("NETWORK/UDP_LISTENER/PORT") == "4124"


def test_an_executable_that_fails_is_told_of_and_spoils_nothing(probes: Config, tmp_path: Path) -> None:
    directory = tmp_path / "kvm-probes.d/vm/monitor"
    executable(directory, "bad", "echo broken >&2; exit 3")
    executable(directory, "good", "echo 'A=1'")
    said, [wrong] = custom.run(probes, "MONITOR_VM")
    assert said == ["A=1\n"]
    assert "status 3: broken" in wrong


@pytest.mark.parametrize("kind", custom.DIRECTORIES)
def test_each_kind_has_its_directory(probes: Config, tmp_path: Path, kind: str) -> None:
    assert custom.run(probes, kind) == ([], [])
    executable(tmp_path / "kvm-probes.d" / custom.DIRECTORIES[kind], "one", "echo X=1")
    assert custom.run(probes, kind) == (["X=1\n"], [])


def test_what_takes_too_long_is_ended_with_all_that_it_started() -> None:
    began = time.monotonic()
    with pytest.raises(commands.CommandError, match="did not end"):
        commands.run(["sh", "-c", "sleep 100 & sleep 100"], 0.2)
    assert time.monotonic() - began < 50


def test_a_command_that_says_too_much_is_refused() -> None:
    with pytest.raises(commands.CommandError, match="says more"):
        commands.run(["head", "-c", str(commands.OUTPUT_LIMIT + 1), "/dev/zero"], 20)


def test_the_address_is_where_the_session_came_from() -> None:
    values = {"host": 1, "name": "n", "hypervisor": "kvm", "port": 1, "session": "s", "run": "/r"}
    text = json.dumps({**values, "address": "auto", "secret": "00"})
    assert Config.read(text, {"SSH_CLIENT": "10.0.0.9 4242 22"}).address == "10.0.0.9"
    with pytest.raises(ConfigError, match="no SSH session"):
        Config.read(text, {})


def test_a_container_is_told_as_lxd_shows_it() -> None:
    counters = {"bytes_received": 7, "bytes_sent": 8}
    found = {
        "name": "one-3",
        "status": "Running",
        "expanded_config": {"limits.memory": "64MiB", "limits.cpu": "0-1,3"},
        "state": {
            "memory": {"usage": 2048 * 1024},
            "cpu": {"usage": 5},
            "network": {"eth0": {"counters": counters}, "lo": {"counters": {"bytes_sent": 99}}},
        },
    }
    counts = {"NETRX": 7, "NETTX": 8}
    assert lxd.domain_of(found) == Domain("one-3", domains.RUNNING, 2048, 64 * 1024, 3, 5, counts)


def test_a_frozen_container_is_suspended() -> None:
    assert lxd.domain_of({"name": "web", "status": "Frozen"}).state == domains.SUSPENDED


def test_nothing_is_said_of_vms_of_a_hypervisor_that_is_not_ours() -> None:
    """All that are missing in a report are powered off: only executables can know what there is."""
    assert StateProbe(CONFIG._replace(hypervisor="mine")).report(0.0) == ""


def test_a_microvm_that_is_too_busy_to_answer_runs() -> None:
    """What is missing in a report is powered off."""
    with tempfile.TemporaryDirectory() as jails:
        path = Path(jails, "firecracker", "one-3", firecracker.SOCKET)
        path.parent.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            with patch.object(firecracker, "_SECONDS", 0.05):
                (found,) = firecracker.read(jails)
            assert (found.vm, found.state) == (3, domains.RUNNING)
        assert firecracker.read(jails) == []
