"""Switching a host off and clearing it, in the simulated world."""

from dataclasses import replace
from pathlib import Path

import pytest

from merope.drivers.simulated.world import World
from merope.engine import plans
from merope.engine.job import Answer, Job
from merope.engine.places import Layout
from merope.engine.toolbox import SimulatedDrivers
from merope.model.effect import Effect
from merope.model.host import Host
from merope.model.template import Template
from merope.model.vm import VM

LAYOUT = Layout(Path("/var/lib/one/datastores"))


@pytest.fixture
def world() -> World:
    """Two hosts; VM 5 runs on node1, with its disks on storage that all see."""
    made = World()
    for name in ("node0", "node1"):
        made.add_host(name)
    vm = VM(5, 0, 0, "oneadmin", "oneadmin", "five", template=Template.parse("MEMORY=64"))
    made.start(made.host("node1"), vm, LAYOUT.system_dir(0, 5))
    return made


def run(world: World, op: str, host: Host, **arguments: str | int) -> Answer:
    job = Job(Effect(100, op, host.id, host.id, dict(arguments)), host=host)
    return plans.run(SimulatedDrivers(world, LAYOUT), Job.from_json(job.to_json()))


def host(name: str, fencing: str = "FENCING=[DRIVER=dummy]") -> Host:
    return Host(int(name[-1]), name, template=Template.parse(fencing))


def test_a_host_is_switched_off_and_read_back(world: World) -> None:
    answer = run(world, "host.fence", host("node1"))
    assert (answer.ok, answer.data) == (True, {"power": "off", "by": "dummy"})
    assert not world.hosts["node1"].powered
    assert run(world, "host.fence", host("node1")) == answer


def test_one_that_cannot_be_reached_is_switched_off_all_the_same(world: World) -> None:
    world.host_is_cut_off("node1")
    assert run(world, "host.fence", host("node1")).ok
    assert world.place(5) is None


def test_what_every_controller_said_is_told(world: World) -> None:
    world.silent.add("node1")
    answer = run(world, "host.fence", host("node1", "FENCING=[DRIVER=dummy]\nFENCING=[DRIVER=other]"))
    assert not answer.ok
    assert answer.message == "; ".join(
        f"{name}: the controller of host node1 does not answer" for name in ("dummy", "other")
    )


def test_without_a_controller_nothing_is_off(world: World) -> None:
    answer = run(world, "host.fence", host("node1", ""))
    assert (answer.ok, "there is no FENCING" in answer.message) == (False, True)


def left(**more: str | int) -> dict[str, str | int]:
    known: dict[str, str | int] = {
        "vm": 5,
        "ds": 0,
        "tm_mad": "dummy",
        "vm_mad": "dummy",
        "deploy_id": "one-5",
    }
    return {**known, "files": 0, "home": "node0", "home_mad": "dummy", **more}


def test_a_domain_is_removed_when_its_vm_runs_where_it_should(world: World) -> None:
    domain = world.hosts["node1"].domains
    world.hosts["node0"].domains = {name: replace(each) for name, each in domain.items()}
    assert run(world, "host.clear", host("node1"), **left()).ok
    assert (list(world.hosts["node1"].domains), len(world.hosts["node0"].domains)) == ([], 1)


def test_the_only_domain_of_a_vm_is_left_alone(world: World) -> None:
    answer = run(world, "host.clear", host("node1"), **left())
    assert (answer.ok, answer.message) == (
        False,
        "VM 5 is not on node0, where it should be: it is left alone",
    )
    assert world.place(5) is not None


def test_it_is_left_alone_too_when_its_home_cannot_be_asked(world: World) -> None:
    world.host_is_cut_off("node0")
    assert not run(world, "host.clear", host("node1"), **left()).ok
    assert world.place(5) is not None


def test_a_vm_that_is_to_run_nowhere_is_removed(world: World) -> None:
    assert run(world, "host.clear", host("node1"), **left(home="")).ok
    assert world.place(5) is None


def test_an_older_order_than_the_last_of_the_vm_is_refused(world: World) -> None:
    world.fence(5, 101)
    answer = run(world, "host.clear", host("node1"), **left(home=""))
    assert not answer.ok
    assert world.place(5) is not None
