"""The poller: what is found on hosts is taken in, and nothing older than what is known."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.engine.bench import Bench

from merope.engine.job import Answer
from merope.engine.polling import PATIENCE, Poller
from merope.model.host import Host
from merope.model.phase import Phase
from merope.model.states import HostState

PERIOD = 7.0


@dataclass(eq=False)
class Probe:
    request: dict[str, Any]
    done: Callable[[Answer], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Prober:
    """Keeps the questions about hosts until the test answers them."""

    def __init__(self) -> None:
        self.asked: list[Probe] = []

    def probe(self, request: dict[str, Any], seconds: float, done: Callable[[Answer], None]) -> Probe:
        probe = Probe(request, done)
        if request["probe"] == "report":
            self.asked.append(probe)
        return probe

    def take(self, host: str) -> Probe:
        """The question about a host that waits for an answer."""
        found = [probe for probe in self.asked if probe.request["host"] == host and not probe.cancelled]
        assert len(found) == 1
        self.asked.remove(found[0])
        return found[0]


def report(domains: dict[int, str], total_cpu: int = 400) -> Answer:
    """What a host says of itself and of the domains of VMs."""
    measured = {
        "total_cpu": total_cpu,
        "total_memory": 4 << 20,
        "used_cpu": 10,
        "used_memory": 1 << 20,
        "attributes": {"ARCH": "x86_64"},
        "disk": [1000, 100, 900],
        "net_rx": 0,
        "net_tx": 0,
        "topology": [["CORE", {"NODE_ID": "0", "ID": "0", "CPUS": "0,1"}]],
    }
    found = [{"vm_id": oid, "state": state, "metrics": {"CPU": "3.0"}} for oid, state in domains.items()]
    return Answer(True, data={"report": json.dumps(measured), "domains": json.dumps(found)})


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.threads.shutdown()


@pytest.fixture
def prober() -> Prober:
    return Prober()


@pytest.fixture
def poller(bench: Bench, prober: Prober) -> Poller:
    return Poller(bench.cloud, prober, bench.clock, host_seconds=PERIOD)


def host(bench: Bench, oid: int = 0) -> Host:
    return bench.world.get(Host, oid)


async def test_a_host_is_looked_at_again_and_again(bench: Bench, prober: Prober, poller: Poller) -> None:
    poller.start()
    prober.take("node0").done(report({}))
    assert bench.clock.ring() == PERIOD
    prober.take("node0").done(report({}, total_cpu=800))
    assert host(bench).host_share.total_cpu == 800


async def test_a_new_host_is_looked_at_at_once(bench: Bench, prober: Prober, poller: Poller) -> None:
    poller.start()
    await bench.call("one.host.allocate", "node2", "dummy", "dummy", -1)
    prober.take("node2").done(report({}))
    assert host(bench, 2).state == HostState.MONITORED


async def test_a_domain_that_is_gone_is_a_vm_that_is_off(
    bench: Bench, prober: Prober, poller: Poller
) -> None:
    oid = await bench.running()
    poller.start()
    prober.take("node0").done(report({}))
    assert bench.phase(oid) is Phase.POWEROFF


async def test_figures_of_a_vm_are_kept_and_change_nothing_else(
    bench: Bench, prober: Prober, poller: Poller
) -> None:
    oid = await bench.running()
    poller.start()
    prober.take("node0").done(report({oid: "RUNNING"}))
    assert bench.phase(oid) is Phase.RUNNING
    assert "<CPU><![CDATA[3.0]]></CPU>" in bench.world.state.monitoring["vm_pool"][oid]


async def test_a_vm_that_started_after_the_host_was_asked_is_not_taken_to_be_off(
    bench: Bench, prober: Prober, poller: Poller
) -> None:
    poller.start()
    asked = prober.take("node0")
    oid = await bench.running()
    asked.done(report({}))
    assert bench.phase(oid) is Phase.RUNNING
    bench.clock.ring()
    prober.take("node0").done(report({}))
    assert bench.phase(oid) is Phase.POWEROFF


async def test_a_vm_that_was_powered_off_after_the_host_was_asked_is_not_taken_to_run(
    bench: Bench, prober: Prober, poller: Poller
) -> None:
    oid = await bench.running()
    poller.start()
    asked = prober.take("node0")
    await bench.call("one.vm.action", "poweroff", oid)
    await bench.answer(bench.hands.last)
    asked.done(report({oid: "RUNNING"}))
    assert bench.phase(oid) is Phase.POWEROFF


async def test_a_host_is_given_up_after_so_many_failures_in_a_row_and_comes_back(
    bench: Bench, prober: Prober, poller: Poller
) -> None:
    oid = await bench.running()
    poller.start()
    for _ in range(PATIENCE - 1):
        prober.take("node0").done(Answer(False, "no route to host"))
        bench.clock.ring()
    assert bench.phase(oid) is Phase.RUNNING
    prober.take("node0").done(Answer(False, "no route to host"))
    assert (host(bench).state, bench.phase(oid)) == (HostState.ERROR, Phase.UNKNOWN)
    assert "no route to host" in host(bench).template.get("ERROR")
    bench.clock.ring()
    prober.take("node0").done(report({oid: "RUNNING"}))
    assert (host(bench).state, bench.phase(oid)) == (HostState.MONITORED, Phase.RUNNING)


async def test_a_report_that_makes_no_sense_is_logged_and_the_host_is_looked_at_again(
    bench: Bench, prober: Prober, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    poller.start()
    prober.take("node0").done(Answer(True, data={"report": "{", "domains": "[]"}))
    assert "host_pool 0 could not be taken in" in caplog.text
    assert bench.clock.ring() == PERIOD
    assert prober.take("node0")


async def test_a_host_that_was_deleted_is_not_looked_at_any_more(
    bench: Bench, prober: Prober, poller: Poller
) -> None:
    poller.start()
    prober.take("node1").done(report({}))
    await bench.call("one.host.delete", 1)
    bench.clock.ring()
    assert [probe.request["host"] for probe in prober.asked] == ["node0"]


async def test_nothing_is_taken_in_after_the_end(bench: Bench, prober: Prober, poller: Poller) -> None:
    oid = await bench.running()
    poller.start()
    asked = prober.take("node0")
    poller.stop()
    asked.done(report({}))
    assert bench.phase(oid) is Phase.RUNNING


async def test_a_host_with_an_agent_is_asked_only_when_it_is_new(bench: Bench, prober: Prober) -> None:
    poller = Poller(
        bench.cloud, prober, bench.clock, host_seconds=PERIOD, has_agent=lambda host: host.name != "node1"
    )
    poller.start()
    assert [probe.request["host"] for probe in prober.asked] == ["node1"]
    await bench.call("one.host.allocate", "node2", "kvm", "kvm", -1)
    prober.take("node2").done(report({}))
    bench.clock.ring()
    assert [probe.request["host"] for probe in prober.asked] == ["node1"]
