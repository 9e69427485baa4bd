"""From what an agent sends to what is told and kept."""

import base64
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.monitor.agents import MASTER, FakeAgent

from merope.monitor import reports
from merope.monitor.intake import Intake
from merope.monitor.outbox import Outbox
from merope.monitor.sessions import Sessions
from merope_agent import message
from merope_agent.template import singles, vector


class Bench:
    """An intake for hosts 0 and 1; what it keeps is in `rows`."""

    def __init__(self) -> None:
        self.sessions = Sessions(MASTER)
        self.outbox = Outbox()
        self.rows: list[tuple[str, int, int, str]] = []
        self.intake = Intake(self.sessions, self.outbox, self.keep, lambda at: 1000 + round(at))
        self.agents = [FakeAgent(host) for host in range(2)]
        for host in range(2):
            self.sessions.expect(host, "s1", 0.0)

    def keep(self, table: str, oid: int, time: int, document: str) -> None:
        self.rows.append((table, oid, time, document))

    def hear(self, kind: str, payload: str, host: int = 0, status: str = message.SUCCESS) -> None:
        self.intake.take(self.agents[host].say(kind, payload, status=status), 7.0)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.outbox.lines()]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_capacity_is_told(bench: Bench) -> None:
    bench.hear("SYSTEM_HOST", 'TOTALCPU="400"\nTOTALMEMORY="1000"\nARCH="x86"\nVM=[ VM_NAME="w" ]\n')
    assert bench.told() == [
        {
            "system": 0,
            "at": 7.0,
            "error": "",
            "total_cpu": 400,
            "total_memory": 1000,
            "attributes": [["ARCH", "x86"], ["VM", {"VM_NAME": "w"}]],
        }
    ]


def test_what_vms_do_is_told(bench: Bench) -> None:
    payload = singles({"SYNC_STATE": "yes", "MISSING_STATE": "unknown"})
    payload += vector("VM", {"ID": 3, "DEPLOY_ID": "one-3", "STATE": "RUNNING"})
    payload += vector("VM", {"ID": -1, "DEPLOY_ID": "web", "STATE": "SUSPENDED"})
    bench.hear("STATE_VM", payload)
    [told] = bench.told()
    assert (told["vms"], told["others"]) == ({"3": "RUNNING"}, {"web": "SUSPENDED"})
    assert (told["complete"], told["missing"]) == (True, "UNKNOWN")


def test_figures_of_a_host_are_told_and_kept(bench: Bench) -> None:
    names = ("FREECPU", "USEDCPU", "FREEMEMORY", "USEDMEMORY", "NETRX", "NETTX")
    bench.hear("MONITOR_HOST", singles({name: place for place, name in enumerate(names)}), host=1)
    document = (
        "<MONITORING><TIMESTAMP>1007</TIMESTAMP><ID>1</ID><CAPACITY><FREE_CPU><![CDATA[0]]></FREE_CPU>"
        "<FREE_MEMORY><![CDATA[2]]></FREE_MEMORY><USED_CPU><![CDATA[1]]></USED_CPU><USED_MEMORY><![CDATA[3]]>"
        "</USED_MEMORY></CAPACITY><SYSTEM><NETRX><![CDATA[4]]></NETRX><NETTX><![CDATA[5]]></NETTX></SYSTEM>"
        "</MONITORING>"
    )
    assert bench.rows == [("host_pool", 1, 1007, document)]
    assert bench.told() == [{"figures": [["host_pool", 1, document]]}]


def test_figures_of_vms_are_told_and_kept(bench: Bench) -> None:
    text = singles({"CPU": "1.5", "MEMORY": 9}) + vector("DISK_SIZE", {"ID": 0, "SIZE": 5})
    payload = vector("VM", {"ID": 4, "DEPLOY_ID": "one-4", "MONITOR": encoded(text)})
    payload += vector("VM", {"ID": 5, "DEPLOY_ID": "one-5", "MONITOR": encoded(singles({"CPU": "2.0"}))})
    bench.hear("MONITOR_VM", payload)
    assert [(table, oid, time) for table, oid, time, _ in bench.rows] == [
        ("vm_pool", 5, 1007) if oid == 5 else ("vm_pool", 4, 1007) for oid in (4, 5)
    ]
    assert bench.rows[0][3] == (
        "<MONITORING><CPU><![CDATA[1.5]]></CPU><DISK_SIZE><ID><![CDATA[0]]></ID><SIZE><![CDATA[5]]></SIZE>"
        "</DISK_SIZE><ID><![CDATA[4]]></ID><MEMORY><![CDATA[9]]></MEMORY><TIMESTAMP><![CDATA[1007]]>"
        "</TIMESTAMP></MONITORING>"
    )


def test_figures_as_executables_of_5_12_print_them_are_read_too(bench: Bench) -> None:
    bench.hear("MONITOR_VM", f'VM = [ ID = "6",\n  UUID = "x", MONITOR = "{encoded("CPU = 3")}" ]\n')
    assert [row[1] for row in bench.rows] == [6]


def test_what_one_probe_garbles_spoils_nothing_else(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.hear("SYSTEM_HOST", message.SEPARATOR.join(['TOTALCPU="100"\n', "A = [", 'B="2"\n']))
    [told] = bench.told()
    assert (told["total_cpu"], told["attributes"]) == (100, [["B", "2"]])
    assert "host 0: what a probe printed cannot be read" in caplog.text


def test_a_garbled_list_of_vms_is_not_taken_for_all_of_them(bench: Bench) -> None:
    bench.hear("STATE_VM", message.SEPARATOR.join(['SYNC_STATE="yes"\n', "VM = ["]))
    assert bench.told()[0]["complete"] is False


def test_a_failed_look_is_told_with_its_reason(bench: Bench) -> None:
    bench.hear("STATE_VM", 'ERROR="virsh failed"\n', status=message.FAILURE)
    assert bench.told()[0]["error"] == "virsh failed"


def test_numbers_that_are_none_are_complained_of(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.hear("MONITOR_HOST", 'FREECPU="much"\n')
    assert bench.told() == []
    assert 'FREECPU must be an integer, not "much"' in caplog.text


def test_an_unknown_kind_is_a_sign_of_life(bench: Bench) -> None:
    bench.hear("NEWS", "A=1")
    assert bench.told() == []
    assert bench.sessions.fallen_silent(8.0, 5.0) == [1]


def test_what_an_agent_complains_of_is_in_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.hear("LOG", 'MESSAGE="x failed"\n', status="W")
    assert "host 0: x failed" in caplog.text


def test_the_newest_of_each_is_told_when_there_is_room(bench: Bench) -> None:
    for cpus in (100, 200):
        bench.hear("SYSTEM_HOST", f'TOTALCPU="{cpus}"\n')
        bench.hear(
            "MONITOR_VM", vector("VM", {"ID": 4, "DEPLOY_ID": "one-4", "MONITOR": encoded(f'CPU="{cpus}"\n')})
        )
    system, figures = bench.told()
    assert system["total_cpu"] == 200
    assert [oid for _, oid, _ in figures["figures"]] == [4]
    assert "200" in figures["figures"][0][2]
    assert len(bench.rows) == 2
    assert bench.told() == []


def test_a_host_that_speaks_again_is_told_of(bench: Bench) -> None:
    bench.sessions.fallen_silent(100.0, 30.0)
    bench.hear("BEACON_HOST", "")
    assert bench.told() == [{"heard": 0}]


def test_forged_messages_change_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    forger = FakeAgent(0, master=bytes(32))
    with caplog.at_level(logging.INFO):
        assert bench.intake.take(forger.say("SYSTEM_HOST", 'TOTALCPU="1"\n'), 7.0) == b""
    assert (bench.told(), bench.rows, caplog.text) == ([], [], "")


@given(st.text(max_size=400))
def test_whatever_a_payload_says_the_next_one_is_heard(payload: str) -> None:
    bench = Bench()
    payload = payload.encode("utf-8", "replace").decode()
    for kind in message.KINDS:
        bench.hear(kind, payload)
    bench.told()
    bench.hear("SYSTEM_HOST", 'TOTALCPU="100"\n')
    assert bench.told()[0]["total_cpu"] == 100


@given(
    st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True), st.text(max_size=20), max_size=6)
)
def test_figures_read_quickly_are_those_of_the_template_language(values: dict[str, str]) -> None:
    payload = vector("VM", {"ID": 1, "DEPLOY_ID": "one-1", "MONITOR": encoded(singles(values))})
    slow = payload.replace("VM=[ ", "VM = [ ")
    wrong: list[str] = []
    assert list(reports.vm_figures(payload, wrong)) == list(reports.vm_figures(slow, wrong))
    assert wrong == []
