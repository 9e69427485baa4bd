"""A real guest on the CPUs and the memory node that were chosen for it, which sees the nodes it asked for."""

import os
from pathlib import Path

import pytest
from tests.real.machine import SHELL, Host, vector

from merope.core import measured_topology
from merope.drivers.hypervisor.domain_xml import domain_name
from merope.drivers.hypervisor.libvirt_session import Session
from merope.model import host as hosts
from merope.model import pinning
from merope.model.pinning import Demand, Part
from merope.model.template import Template, Vector
from merope.model.topology import Node
from merope.model.vm import VM

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]

CELL = 64 * 1024
"""KB of each of the guest's nodes."""


def measured(host: Host) -> list[Node]:
    """The nodes of this machine, from its own probes."""
    report = Template((name, Vector(vector)) for name, vector in host.driver.report().topology)
    nodes = measured_topology.nodes(hosts.Host(0, "here"), report)
    assert nodes is not None
    for node in nodes:
        for core in node.cores:
            core.recount(1)
    return nodes


def pinned(vm: VM, nodes: list[Node]) -> pinning.Fit:
    """Gives the VM two nodes of one virtual CPU each, and places them."""
    demand = Demand("THREAD", (Part(1, CELL), Part(1, CELL)), threads=1, sockets=2)
    found = pinning.fit(nodes, demand)
    assert found is not None
    vm.template.set("VCPU", "2")
    vm.template.set("TOPOLOGY", vector(PIN_POLICY="THREAD", SOCKETS=2, CORES=1, THREADS=1))
    for part, place in zip(demand.parts, found.places, strict=True):
        node = vector(TOTAL_CPUS=part.cpus, MEMORY=part.memory)
        pinning.note(node, place)
        vm.template.add("NUMA_NODE", node)
    return found


def affinities(host: Host, vm_id: int) -> list[set[int]]:
    """Where each virtual CPU of the running guest may run, as the kernel has it."""
    name = domain_name(vm_id)
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"guest={name},debug-threads=on".encode() not in words:
            continue
        threads = {}
        for task in (process / "task").iterdir():
            thread = (task / "comm").read_text().strip()
            if thread.startswith("CPU ") and "/" in thread:
                threads[thread] = os.sched_getaffinity(int(task.name))
        return [threads[thread] for thread in sorted(threads)]
    raise AssertionError(f"no process runs {name}")


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two virtual CPUs need two CPUs")
def test_a_guest_runs_on_its_own_cpus_and_sees_its_nodes(host: Host) -> None:
    vm = host.vm(1, SHELL)
    places = pinned(vm, measured(host)).places
    host.driver.deploy(vm, host.prepare(vm))
    guest = host.guest(1)
    guest.wait()
    assert affinities(host, 1) == [set(place.cpus) for place in places]
    seen = guest.run("cat /sys/devices/system/node/node*/cpulist").split()
    assert seen == ["0", "1"]
    sizes = guest.run("grep -h MemTotal /sys/devices/system/node/node*/meminfo").splitlines()
    assert len(sizes) == 2
    tuned = Session(host.libvirtd.uri).run(lambda c: c.lookupByName(domain_name(1)).XMLDesc(0))
    for cell, place in enumerate(places):
        assert f"<memnode cellid='{cell}' mode='strict' nodeset='{place.memory_node}'/>" in tuned


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two virtual CPUs need two CPUs")
def test_a_saved_guest_goes_on_where_it_is_pinned_now(host: Host) -> None:
    vm = host.vm(1)
    first, second = (place.cpus[0] for place in pinned(vm, measured(host)).places)
    directory = host.prepare(vm)
    deploy_id = host.driver.deploy(vm, directory)
    guest = host.guest(1)
    guest.wait()
    boot = guest.boot_id()
    host.driver.save(deploy_id, directory / "checkpoint")
    for node, cpu in zip(vm.template.vectors("NUMA_NODE"), (second, first), strict=True):
        node["CPUS"] = str(cpu)
    host.driver.restore(vm, deploy_id, directory / "checkpoint", directory)
    guest.wait()
    assert guest.boot_id() == boot
    assert affinities(host, 1) == [{second}, {first}]
