"""What VMs get of a host's CPUs, memory nodes, huge pages and devices, and what probes change of these."""

from tests.core.conftest import sentence
from tests.core.schemas import check_schema
from tests.core.vm_world import NODE0, NODE1, PINNED, TOPOLOGY, Cloud, check

from merope.core import check_topology
from merope.core.transaction import SYSTEM
from merope.model.errors import Code
from merope.model.host import Host
from merope.model.phase import Phase
from merope.model.vm import VM

SMALL = "CPU = 1\nMEMORY = 256\n"


def pinned(policy: str, vcpus: int, more: str = "") -> str:
    return f"{SMALL}VCPU = {vcpus}\nTOPOLOGY = [ PIN_POLICY = {policy}{more} ]\n"


def ready() -> Cloud:
    cloud = Cloud()
    cloud.pins(NODE0, NODE1)
    return cloud


def deployed(cloud: Cloud, template: str, host: int = NODE0) -> VM:
    oid = cloud.vm(template, who=0)
    cloud.call(0, "one.vm.deploy", oid, host)
    check(cloud)
    return cloud.get(VM, oid)


def cores(cloud: Cloud, host: int = NODE0) -> list[str]:
    """CPUS of each core as the host's document has it, with D for one that is dedicated."""
    share = cloud.get(Host, host).host_share
    found = []
    for node in share.numa_nodes:
        for core in node.cores:
            pairs = ",".join(
                f"{cpu}:{'/'.join(map(str, vms)) or ('i' if cpu in core.isolated else '-')}"
                for cpu, vms in core.cpus.items()
            )
            found.append(("D " if core.dedicated else "") + pairs)
    return found


def places(vm: VM) -> list[tuple[str, str, str]]:
    return [(n["NODE_ID"], n["CPUS"], n["MEMORY_NODE_ID"]) for n in vm.template.vectors("NUMA_NODE")]


def test_threads_are_given_in_whole_cores_where_they_can_be() -> None:
    cloud = ready()
    vm = deployed(cloud, pinned("THREAD", 2))
    assert places(vm) == [("0", "0,4", "0")]
    assert cores(cloud) == ["0:0,4:0", "1:-,5:-", "2:-,6:-", "3:-,7:-"]
    topology = vm.template.vector("TOPOLOGY")
    assert topology is not None
    assert (topology["THREADS"], topology["CORES"], topology["AUTOMATIC"]) == ("2", "1", "YES")


def test_a_dedicated_core_gives_none_of_its_threads_to_others() -> None:
    cloud = ready()
    vm = deployed(cloud, pinned("CORE", 1))
    assert places(vm) == [("0", "0", "0")]
    assert cores(cloud)[0] == "D 0:0,4:-"
    for _ in range(3):
        deployed(cloud, pinned("CORE", 1))
    assert [each.startswith("D ") for each in cores(cloud)] == [True] * 4
    late = cloud.vm(pinned("THREAD", 1).replace("256", "64"), who=0)
    cloud.call(0, "one.host.update", NODE0, "RESERVED_CPU=-400", 1)
    error = cloud.fails(0, "one.vm.deploy", late, NODE0)
    assert sentence(error) == (
        Code.ACTION,
        f"virtual machine [{late}] does not fit in host [0]. Cannot allocate NUMA topology",
    )


def test_a_core_that_is_in_use_is_filled_before_another_is_begun() -> None:
    cloud = ready()
    first = deployed(cloud, pinned("THREAD", 1, ", THREADS = 1"))
    second = deployed(cloud, pinned("THREAD", 1, ", THREADS = 1, NODE_AFFINITY = 0"))
    assert (places(first), places(second)) == ([("0", "0", "0")], [("0", "4", "0")])


def test_nodes_of_the_vm_are_spread_over_those_of_the_host() -> None:
    cloud = ready()
    vm = deployed(cloud, pinned("SHARED", 4, ", SOCKETS = 2"))
    assert places(vm) == [("0", "0,4", "0"), ("1", "2,6", "1")]


def test_memory_comes_from_the_nearest_node_that_has_it() -> None:
    cloud = ready()
    full = deployed(cloud, pinned("THREAD", 1).replace("256", "1600"))
    near = deployed(cloud, pinned("THREAD", 1, ", NODE_AFFINITY = 0").replace("256", "1000"))
    assert places(full) == [("0", "0", "0")]
    assert places(near) == [("0", "4", "1")]
    share = cloud.get(Host, NODE0).host_share
    assert [node.usage for node in share.numa_nodes] == [1600 * 1024, 1000 * 1024]


def test_huge_pages_are_counted_and_never_overdrawn() -> None:
    cloud = ready()
    first = deployed(cloud, pinned("THREAD", 1, ", HUGEPAGE_SIZE = 2").replace("256", "1024"))
    second = deployed(cloud, pinned("THREAD", 1, ", HUGEPAGE_SIZE = 2").replace("256", "1024"))
    assert {place[2] for vm in (first, second) for place in places(vm)} == {"0", "1"}
    share = cloud.get(Host, NODE0).host_share
    assert [pages.usage for node in share.numa_nodes for pages in node.huge_pages] == [512, 512]
    third = cloud.vm(pinned("THREAD", 1, ", HUGEPAGE_SIZE = 2"), who=0)
    assert "Cannot allocate NUMA" in cloud.fails(0, "one.vm.deploy", third, NODE0).message
    other = cloud.vm(pinned("THREAD", 1, ", HUGEPAGE_SIZE = 1024"), who=0)
    assert "Cannot allocate NUMA" in cloud.fails(0, "one.vm.deploy", other, NODE0).message


def test_a_device_is_given_to_one_vm_and_its_node_comes_first() -> None:
    cloud = ready()
    vm = deployed(cloud, f"{pinned('THREAD', 2)}PCI = [ VENDOR = 0x10DE ]")
    assert places(vm) == [("1", "2,6", "1")]
    [device] = vm.template.vectors("PCI")
    assert (device["ADDRESS"], device["BUS"], device["NUMA_NODE"]) == ("0000:03:00:0", "03", "1")
    assert (device["VM_ADDRESS"], device["VM_BUS"]) == ("01:01.0", "0x01")
    held = cloud.get(Host, NODE0).host_share.pci_devices.vectors("PCI")
    assert [each["VMID"] for each in held] == ["-1", str(vm.id)]
    late = cloud.vm(f"{SMALL}PCI = [ CLASS = 0302 ]", who=0)
    error = cloud.fails(0, "one.vm.deploy", late, NODE0)
    assert error.message.endswith("does not fit in host [0]. Unavailable PCI device.")
    cloud.call(0, "one.vm.deploy", late, NODE1)
    check(cloud)


def test_where_its_node_is_full_a_device_near_the_cpus_is_taken() -> None:
    cloud = Cloud()
    cloud.pins(NODE0)
    cards = TOPOLOGY + 'PCI = [ VENDOR = 10de, ADDRESS = "0000:04:00:0", NUMA_NODE = 0 ]\n'
    cloud.measure(NODE0, cards)
    for _ in range(2):
        deployed(cloud, pinned("CORE", 1, ", NODE_AFFINITY = 1"))
    vm = deployed(cloud, f"{pinned('CORE', 1)}PCI = [ VENDOR = 10de ]")
    assert places(vm)[0][0] == "0"
    assert vm.template.vectors("PCI")[0]["ADDRESS"] == "0000:04:00:0"


def test_devices_are_found_for_all_that_a_vm_asks_for() -> None:
    cloud = ready()
    vm = deployed(cloud, f"{SMALL}PCI = [ CLASS = 0200 ]\nPCI = [ VENDOR = 10de ]")
    assert [each["ADDRESS"] for each in vm.template.vectors("PCI")] == ["0000:02:00:0", "0000:03:00:0"]


def test_a_migration_keeps_its_cpus_on_the_source_until_it_has_arrived() -> None:
    cloud = ready()
    oid = deployed(cloud, PINNED.replace("THREAD", "CORE")).id
    cloud.steps(2)
    cloud.call(0, "one.vm.migrate", oid, NODE1, False, False, -1, 1)
    cloud.steps(1)
    assert cloud.phase(oid) is Phase.PROLOG_MIGRATE
    assert oid not in cloud.get(Host, NODE0).vms
    assert any(each.startswith("D ") for each in cores(cloud))
    cloud.steps(1, ok=False, message="no space")
    cloud.call(0, "one.vm.recover", oid, 0)
    vm = cloud.get(VM, oid)
    assert vm.history is not None
    assert (vm.history.hid, vm.phase) == (NODE0, Phase.BOOT)
    assert all("CPUS" in node and "PREV_CPUS" not in node for node in vm.template.vectors("NUMA_NODE"))
    assert not any(each.startswith("D ") for each in cores(cloud, NODE1))
    check(cloud)


def test_a_migration_that_has_arrived_leaves_nothing_behind() -> None:
    cloud = ready()
    oid = deployed(cloud, PINNED).id
    cloud.steps(2)
    cloud.call(0, "one.vm.migrate", oid, NODE1, False, False, -1, 2)
    cloud.steps(2)
    assert cores(cloud) == ["0:-,4:-", "1:-,5:-", "2:-,6:-", "3:-,7:-"]
    assert [d["VMID"] for d in cloud.get(Host, NODE0).host_share.pci_devices.vectors("PCI")] == ["-1", "-1"]
    check(cloud)


def test_an_undeployed_vm_may_have_other_threads_on_the_next_host() -> None:
    cloud = ready()
    cloud.measure(
        NODE1,
        "CORE=[NODE_ID=0,ID=0,CPUS=0]\nCORE=[NODE_ID=0,ID=1,CPUS=1]\n"
        "MEMORY_NODE=[NODE_ID=0,TOTAL=4194304,FREE=4194304,USED=0,DISTANCE=0]",
    )
    oid = deployed(cloud, pinned("THREAD", 2)).id
    cloud.steps(2)
    cloud.call(0, "one.vm.action", "undeploy", oid)
    cloud.steps(2)
    cloud.call(0, "one.vm.action", "resume", oid)
    cloud.call(0, "one.vm.deploy", oid, NODE1)
    assert places(cloud.get(VM, oid)) == [("0", "0,1", "0")]
    check(cloud)


def test_a_stopped_vm_goes_on_with_the_threads_that_its_guest_has_seen() -> None:
    cloud = ready()
    cloud.measure(NODE1, "CORE=[NODE_ID=0,ID=0,CPUS=0]\nCORE=[NODE_ID=0,ID=1,CPUS=1]")
    oid = deployed(cloud, pinned("THREAD", 2)).id
    cloud.steps(2)
    cloud.call(0, "one.vm.action", "stop", oid)
    cloud.steps(2)
    cloud.call(0, "one.vm.action", "resume", oid)
    assert "Cannot allocate NUMA" in cloud.fails(0, "one.vm.deploy", oid, NODE1).message
    cloud.call(0, "one.vm.deploy", oid, NODE0)
    check(cloud)


# What the administrator and the probes say


def test_isolated_cpus_are_never_given() -> None:
    cloud = ready()
    cloud.call(0, "one.host.update", NODE0, 'ISOLCPUS="0-1,4,5,6"', 1)
    assert cores(cloud) == ["0:i,4:i", "1:i,5:i", "2:-,6:i", "3:-,7:-"]
    assert places(deployed(cloud, pinned("CORE", 1))) == [("1", "3", "1")]
    assert places(deployed(cloud, pinned("THREAD", 1))) == [("1", "2", "1")]
    oid = cloud.vm(pinned("THREAD", 1), who=0)
    assert "Cannot allocate NUMA" in cloud.fails(0, "one.vm.deploy", oid, NODE0).message


def test_a_cpu_that_a_vm_has_is_isolated_when_it_is_returned() -> None:
    cloud = ready()
    oid = deployed(cloud, pinned("THREAD", 2)).id
    cloud.call(0, "one.host.update", NODE0, 'ISOLCPUS="0,4"', 1)
    assert cores(cloud)[0] == f"0:{oid},4:{oid}"
    check(cloud)
    cloud.call(0, "one.vm.recover", oid, 3)
    assert cores(cloud)[0] == "0:i,4:i"


def test_several_vms_share_a_cpu_where_the_host_allows_it() -> None:
    cloud = ready()
    cloud.call(0, "one.host.update", NODE0, 'VMS_THREAD="2"\nISOLCPUS="1-3,5-7"\nRESERVED_CPU="-400"', 1)
    assert cloud.get(Host, NODE0).host_share.vms_thread == 2
    vms = [deployed(cloud, pinned("THREAD", 2)) for _ in range(2)]
    assert [places(vm) for vm in vms] == [[("0", "0,4", "0")]] * 2
    assert cores(cloud)[0] == "0:0/1,4:0/1"
    body = cloud.get(Host, NODE0).to_xml()
    assert "<CPUS><![CDATA[0:0,0:1,4:0,4:1]]></CPUS>" in body
    oid = cloud.vm(pinned("THREAD", 1), who=0)
    assert "Cannot allocate NUMA" in cloud.fails(0, "one.vm.deploy", oid, NODE0).message
    cloud.call(0, "one.vm.recover", vms[0].id, 3)
    assert cores(cloud)[0] == "0:1,4:1"
    check(cloud)


def test_a_report_that_says_the_same_is_not_written() -> None:
    cloud = ready()
    before = cloud.get(Host, NODE0).to_xml()
    cloud.measure(NODE0, TOPOLOGY.replace("FREE = 2000000", "FREE = 1999000"))
    assert cloud.get(Host, NODE0).to_xml() == before
    cloud.measure(NODE0, TOPOLOGY.replace("FREE = 2000000", "FREE = 1000000"))
    assert [node.free for node in cloud.get(Host, NODE0).host_share.numa_nodes] == [1000000, 1000000]


def test_what_a_report_does_not_speak_of_stays() -> None:
    cloud = ready()
    before = cloud.get(Host, NODE0).to_xml()
    cloud.measure(NODE0, "")
    assert cloud.get(Host, NODE0).to_xml() == before
    cloud.measure(NODE0, "HUGEPAGE=[NODE_ID=0,SIZE=2048,PAGES=600,FREE=600]")
    share = cloud.get(Host, NODE0).host_share
    assert share.numa_nodes[0].huge_pages[0].pages == 600
    assert len(share.numa_nodes[0].cores) == 2
    assert len(share.pci_devices) == 2


def test_what_a_vm_has_is_not_forgotten_when_it_is_not_reported_any_more() -> None:
    cloud = ready()
    oid = deployed(cloud, f"{pinned('CORE', 1)}PCI = [ VENDOR = 10de ]").id
    cloud.measure(NODE0, "CORE=[NODE_ID=0,ID=0,CPUS=9]\nMEMORY_NODE=[NODE_ID=0,TOTAL=10,FREE=10,USED=0]")
    assert cores(cloud) == ["9:-", f"D 2:{oid}"]
    assert len(cloud.get(Host, NODE0).host_share.pci_devices) == 1
    check(cloud)
    cloud.call(0, "one.vm.recover", oid, 3)
    cloud.measure(NODE0, "CORE=[NODE_ID=0,ID=0,CPUS=9]")
    assert cores(cloud) == ["9:-"]
    assert not cloud.get(Host, NODE0).host_share.pci_devices


def test_nonsense_of_a_probe_is_left_out() -> None:
    cloud = Cloud()
    cloud.measure(
        NODE0,
        'CORE=[NODE_ID=x,ID=0,CPUS=0]\nCORE=[NODE_ID=0,ID=0,CPUS="1,1,-,99999999"]\nCORE=[NODE_ID=0,ID=1,CPUS=1]\n'
        "CORE=[NODE_ID=0,ID=0,CPUS=2]\nMEMORY_NODE=[NODE_ID=0,TOTAL=much]\nHUGEPAGE=[NODE_ID=7,SIZE=0]\nPCI=[BUS=1]",
    )
    assert cores(cloud) == ["1:-"]
    assert not cloud.get(Host, NODE0).host_share.pci_devices


def test_fsck_finds_and_repairs_what_hosts_have_wrong() -> None:
    cloud = ready()
    oid = deployed(cloud, PINNED).id
    right = cloud.get(Host, NODE0).to_xml()
    tx = cloud.transaction(SYSTEM)
    share = tx.edit(Host, NODE0).host_share
    share.numa_nodes[0].cores[0].cpus[0] = [99]
    share.numa_nodes[1].usage += 1
    share.pci_devices.vectors("PCI")[0]["VMID"] = str(oid + 1)
    cloud.commit(tx)
    findings = list(check_topology.hosts(cloud.state))
    assert len(findings) == 2
    for finding in findings:
        assert finding.repair is not None
        tx = cloud.transaction(SYSTEM)
        finding.repair(tx)
        cloud.commit(tx)
    assert cloud.get(Host, NODE0).to_xml() == right


def test_documents_with_topologies_are_valid_by_the_schemas() -> None:
    cloud = ready()
    oid = deployed(cloud, PINNED).id
    check_schema(cloud.call(0, "one.host.info", NODE0), "host")
    check_schema(cloud.call(0, "one.hostpool.info"), "host_pool")
    check_schema(cloud.call(0, "one.vm.info", oid), "vm")
