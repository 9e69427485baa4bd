"""The agents of hosts, as the core sees them: started, believed, missed, and started again."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.engine.bench import Bench

from merope.engine.agents import PATIENCE, RETRY_SECONDS, Agents, Place, reports_by_agent
from merope.model.host import Host
from merope.model.phase import Phase
from merope.model.settings import MonitorSettings
from merope.model.states import HostState
from merope.model.template import Vector

SILENCE = 180.0


class Starter:
    """Starts nothing; the test says how it went."""

    def __init__(self) -> None:
        self.started: list[tuple[int, str, Callable[[str], None]]] = []
        self.stopped: list[int] = []

    def start(self, host: Place, session: str, done: Callable[[str], None]) -> None:
        self.started.append((host.id, session, done))

    def stop(self, host: Place) -> None:
        self.stopped.append(host.id)

    def take(self, host: int) -> Callable[[str], None]:
        """The one attempt that is under way for a host."""
        [found] = [item for item in self.started if item[0] == host]
        self.started.remove(found)
        return found[2]


class Receiver:
    def __init__(self) -> None:
        self.runs = False
        self.told: list[dict[str, Any]] = []

    def start(self) -> None:
        self.runs = True

    def tell(self, what: dict[str, Any]) -> None:
        self.told.append(what)


class Site:
    """A cloud of two hosts with agents; `now` is the clock of both ends."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.receiver = Receiver()
        self.starter = Starter()
        self.now = 1000.0
        self.sessions = 0
        self.agents = Agents(
            self.bench.cloud,
            self.receiver,
            self.starter,
            self.bench.clock,
            lambda host: host.im_mad != "polled",
            silence=SILENCE,
            clock=lambda: self.now,
            new_session=self.new_session,
        )

    def new_session(self) -> str:
        self.sessions += 1
        return f"s{self.sessions}"

    def begin(self) -> None:
        self.agents.start()
        self.hear(listening=4124)
        for host in (0, 1):
            self.starter.take(host)("")

    def hear(self, **said: Any) -> None:
        self.agents.hear(said)

    def system(self, host: int = 0, cpu: int = 400, error: str = "", **attributes: str) -> None:
        pairs = [["DS_LOCATION_TOTAL_MB", "100"], *map(list, attributes.items())]
        facts = {"at": self.now, "error": error, "total_cpu": cpu, "total_memory": 4 << 20}
        self.hear(system=host, attributes=pairs, **facts)

    def states(self, host: int = 0, vms: dict[int, str] | None = None, **more: Any) -> None:
        facts: dict[str, Any] = {
            "at": self.now,
            "error": "",
            "others": {},
            "complete": True,
            "missing": "POWEROFF",
        }
        facts["vms"] = {str(oid): state for oid, state in (vms or {}).items()}
        self.hear(states=host, **{**facts, **more})

    def host(self, oid: int = 0) -> Host:
        return self.bench.world.get(Host, oid)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.bench.threads.shutdown()


async def test_an_agent_is_started_when_there_is_somebody_to_report_to(site: Site) -> None:
    site.agents.start()
    assert site.starter.started == []
    assert site.receiver.runs
    assert [word["expect"] for word in site.receiver.told] == [0, 1]
    site.hear(listening=4124)
    assert [item[:2] for item in site.starter.started] == [(0, "s1"), (1, "s2")]


async def test_a_new_host_gets_an_agent_at_once(site: Site) -> None:
    site.begin()
    await site.bench.call("one.host.allocate", "node2", "kvm", "kvm", -1)
    site.starter.take(2)
    await site.bench.call("one.host.allocate", "node3", "polled", "kvm", -1)
    assert site.starter.started == []


async def test_a_host_that_reports_is_on(site: Site) -> None:
    site.begin()
    await site.bench.call("one.host.allocate", "node2", "kvm", "kvm", -1)
    site.system(2, ARCH="x86_64")
    host = site.host(2)
    assert (host.state, host.host_share.total_cpu, host.template.get("ARCH")) == (2, 400, "x86_64")
    assert host.host_share.datastores.get("MAX_DISK") == "100"
    assert "DS_LOCATION_TOTAL_MB" not in host.template


async def test_domains_that_are_nobodys_are_shown_until_they_are_imported_or_gone(site: Site) -> None:
    site.begin()
    wild = Vector({"VM_NAME": "web", "DEPLOY_ID": "web", "IMPORT_TEMPLATE": "Q1BVPTE="})
    facts = {"at": 0, "error": "", "total_cpu": 400, "total_memory": 4 << 20}
    site.hear(system=0, attributes=[["VM", wild], ["VM", {**wild, "DEPLOY_ID": "db"}]], **facts)
    assert [vm["DEPLOY_ID"] for vm in site.host().template.vectors("VM")] == ["web", "db"]
    oid = await site.bench.call("one.vm.allocate", "CPU=1 MEMORY=16 DEPLOY_ID=web", False)
    await site.bench.call("one.vm.deploy", oid, 0)
    site.hear(system=0, attributes=[["VM", wild]], **facts)
    assert site.host().template.vectors("VM") == []


async def test_a_domain_that_is_gone_is_a_vm_that_is_off(site: Site) -> None:
    oid = await site.bench.running()
    site.begin()
    site.now += 10
    site.states()
    assert site.bench.phase(oid) is Phase.POWEROFF


async def test_a_missing_domain_is_what_its_probe_says_it_is(site: Site) -> None:
    oid = await site.bench.running()
    site.begin()
    site.now += 10
    site.states(missing="UNKNOWN")
    assert site.bench.phase(oid) is Phase.UNKNOWN


async def test_a_list_that_is_not_whole_says_nothing_of_who_is_not_on_it(site: Site) -> None:
    oid = await site.bench.running()
    site.begin()
    site.now += 10
    site.states(complete=False)
    assert site.bench.phase(oid) is Phase.RUNNING


async def test_a_report_says_nothing_of_a_vm_that_changed_after_the_look(site: Site) -> None:
    site.begin()
    site.now += 10
    looked = site.now
    site.now += 5
    oid = await site.bench.running()
    site.now += 5
    site.states(at=looked)
    assert site.bench.phase(oid) is Phase.RUNNING
    site.now += 5
    site.states()
    assert site.bench.phase(oid) is Phase.POWEROFF


async def test_a_report_from_before_there_was_anybody_to_hear_it_changes_no_vm(site: Site) -> None:
    oid = await site.bench.running()
    site.begin()
    site.states(at=site.now - 50)
    assert site.bench.phase(oid) is Phase.RUNNING


async def test_figures_are_shown_of_what_there_is(site: Site) -> None:
    oid = await site.bench.running()
    site.begin()
    site.hear(
        figures=[["vm_pool", oid, "<MONITORING>1</MONITORING>"], ["vm_pool", 99, "x"], ["host_pool", 0, "y"]]
    )
    assert site.bench.world.state.monitoring == {
        "vm_pool": {oid: "<MONITORING>1</MONITORING>"},
        "host_pool": {0: "y"},
    }


# What goes wrong


async def test_an_agent_that_cannot_be_started_is_tried_again_and_then_its_host_is_in_error(
    site: Site,
) -> None:
    oid = await site.bench.running()
    site.agents.start()
    site.hear(listening=4124)
    for _ in range(PATIENCE - 1):
        site.starter.take(0)("no route to host")
        assert site.bench.clock.ring() == RETRY_SECONDS
    assert site.host().state == HostState.MONITORED
    site.starter.take(0)("no route to host")
    assert (site.host().state, site.bench.phase(oid)) == (HostState.ERROR, Phase.UNKNOWN)
    assert "Error monitoring Host node0 (0): no route to host" in site.host().template.get("ERROR")
    assert site.bench.clock.ring() == SILENCE
    site.starter.take(0)("")
    site.system()
    await site.bench.settle()
    site.now += 10
    site.states(vms={oid: "RUNNING"})
    assert (site.host().state, site.bench.phase(oid)) == (HostState.MONITORED, Phase.RUNNING)
    assert site.host().template.get("ERROR") == ""


async def test_a_silent_agent_is_started_again_and_then_its_host_is_in_error(site: Site) -> None:
    site.begin()
    site.hear(silent=0)
    site.starter.take(0)("")
    assert site.host().state == HostState.MONITORED
    site.hear(silent=0)
    assert site.host().state == HostState.ERROR
    assert "nothing has come from its agent" in site.host().template.get("ERROR")
    site.starter.take(0)("")
    # What it measures of itself is not yet what its VMs do: it may have some of others (core/host_return.py).
    site.system()
    assert site.host().state == HostState.ERROR
    site.states()
    assert site.host().state == HostState.MONITORED


async def test_an_agent_that_is_being_started_is_not_silent(site: Site) -> None:
    site.begin()
    site.hear(silent=0)
    site.hear(silent=0)
    assert site.host().state == HostState.MONITORED
    site.starter.take(0)("")
    assert site.receiver.told[-1] == {"wait": 0}
    site.hear(silent=0)
    assert site.host().state == HostState.ERROR


async def test_an_agent_that_spoke_in_between_has_its_chance_again(site: Site) -> None:
    site.begin()
    site.hear(silent=0)
    site.starter.take(0)("")
    site.system()
    site.hear(silent=0)
    assert site.host().state == HostState.MONITORED


async def test_the_session_of_an_agent_that_is_started_again_is_a_new_one(site: Site) -> None:
    site.begin()
    site.receiver.told.clear()
    site.hear(silent=1)
    assert site.receiver.told == [
        {"expect": 1, "session": "s3", "began": None},
        {"start": 1, "began": 1000.0},
    ]


async def test_who_speaks_again_after_all_is_asked_for_everything(site: Site) -> None:
    site.begin()
    site.hear(silent=0)
    for _ in range(PATIENCE):
        site.starter.take(0)("no")
        site.bench.clock.ring()
    site.starter.take(0)
    site.hear(heard=0)
    site.starter.take(0)


async def test_a_host_whose_vms_cannot_be_seen_is_in_error_until_they_can(site: Site) -> None:
    site.begin()
    for _ in range(PATIENCE):
        assert site.host().state == HostState.MONITORED
        site.states(error="virsh failed")
    assert site.host().state == HostState.ERROR
    assert "virsh failed" in site.host().template.get("ERROR")
    site.system()
    assert site.host().state == HostState.ERROR
    site.states()
    assert site.host().state == HostState.MONITORED


async def test_a_receiver_that_was_started_again_is_told_whom_to_expect(site: Site) -> None:
    site.begin()
    assert list(site.agents.greeting()) == [
        {"expect": 0, "session": "s1", "began": 1000.0},
        {"expect": 1, "session": "s2", "began": 1000.0},
    ]
    site.hear(listening=4124)
    assert site.starter.started == []


# What administrators do


async def test_a_disabled_host_goes_on_reporting(site: Site) -> None:
    site.begin()
    await site.bench.call("one.host.status", 0, 1)
    site.system(cpu=800)
    assert site.host().state == HostState.DISABLED
    assert site.host().host_share.total_cpu == 800
    assert site.starter.stopped == []


async def test_the_agent_of_a_host_that_is_taken_offline_or_away_is_ended(site: Site) -> None:
    site.begin()
    await site.bench.call("one.host.status", 0, 2)
    await site.bench.call("one.host.delete", 1)
    assert site.starter.stopped == [0, 1]
    assert {"forget": 0} in site.receiver.told
    site.system()
    assert site.host().state == HostState.OFFLINE


async def test_enabling_a_host_starts_its_agent_anew(site: Site) -> None:
    site.begin()
    await site.bench.call("one.host.status", 0, 0)
    site.starter.take(0)("")
    assert site.starter.started == []
    await site.bench.call("one.host.status", 1, 2)
    await site.bench.call("one.host.status", 1, 0)
    site.starter.take(1)


async def test_a_host_of_another_name_is_another_place(site: Site) -> None:
    site.begin()
    await site.bench.call("one.host.rename", 0, "elsewhere")
    site.starter.take(0)


async def test_nothing_is_taken_in_after_the_end(site: Site) -> None:
    site.begin()
    site.agents.stop()
    site.system(cpu=800)
    assert site.host().host_share.total_cpu != 800


@pytest.mark.parametrize(
    ("im_mad", "expected"), [("kvm", True), ("lxd", True), ("vcenter", False), ("dummy", False)]
)
def test_hosts_with_probes_of_their_own_have_agents(im_mad: str, expected: bool) -> None:
    assert reports_by_agent(MonitorSettings().im_mad, Host(0, "h", im_mad=im_mad)) is expected


async def test_nodes_and_devices_of_a_host_are_in_its_share(site: Site) -> None:
    site.begin()
    core = Vector({"NODE_ID": "0", "ID": "0", "CPUS": "0,1"})
    memory = Vector({"NODE_ID": "0", "TOTAL": "1024", "FREE": "512", "USED": "512", "DISTANCE": "0"})
    facts = {"at": 0, "error": "", "total_cpu": 200, "total_memory": 1024}
    site.hear(system=0, attributes=[["CORE", core], ["MEMORY_NODE", memory], ["ARCH", "x"]], **facts)
    [node] = site.host().host_share.numa_nodes
    assert [core.id for core in node.cores] == [0]
    assert site.host().template.vectors("CORE") == []
