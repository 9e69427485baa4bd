"""TOPOLOGY, NUMA_NODE and PCI of a new VM, and of one that is resized: 5.12's rules and words."""

import pytest
from tests.core.conftest import sentence
from tests.core.vm_world import ANN, NODE0, NODE1, Cloud, check

from merope.core import vm_topology
from merope.model.errors import ApiError, Code
from merope.model.template import Template
from merope.model.vm import VM

SMALL = "CPU = 1\nMEMORY = 1024\n"


def completed(text: str) -> Template:
    template = Template.parse(SMALL + text)
    vm_topology.complete(template)
    return template


def topology(template: Template) -> dict[str, str]:
    found = template.vector("TOPOLOGY")
    assert found is not None
    return dict(found)


def nodes(template: Template) -> list[tuple[str, str]]:
    return [(node["TOTAL_CPUS"], node["MEMORY"]) for node in template.vectors("NUMA_NODE")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "VCPU=4\nTOPOLOGY=[SOCKETS=2,CORES=2]",
            "Non-pinned VMs with a virtual topology needs to set  SOCKETS, CORES and THREADS numbers.",
        ),
        ("TOPOLOGY=[HUGEPAGE_SIZE=2]", "needs to set  SOCKETS, CORES and THREADS numbers."),
        (
            "VCPU=4\nTOPOLOGY=[SOCKETS=2,CORES=2,THREADS=2]",
            "Total threads per core and socket needs to match VCPU",
        ),
        ("VCPU=5\nTOPOLOGY=[PIN_POLICY=THREAD,CORES=2]", "VCPU is not multiple of the total number of cores"),
        ("VCPU=6\nTOPOLOGY=[PIN_POLICY=THREAD,CORES=2]", "Computed number of threads is not power of 2"),
        (
            "VCPU=5\nTOPOLOGY=[PIN_POLICY=THREAD,SOCKETS=2]",
            "VCPU is not multiple of the number of NUMA nodes",
        ),
        (
            "VCPU=3\nTOPOLOGY=[PIN_POLICY=THREAD,SOCKETS=3]",
            "MEMORY is not multiple of the number of NUMA nodes",
        ),
        (
            "VCPU=2\nTOPOLOGY=[PIN_POLICY=CORE]\nNUMA_NODE=[TOTAL_CPUS=0,MEMORY=1024]",
            "A NUMA_NODE must have TOTAL_CPUS greater than 0",
        ),
        (
            "VCPU=2\nTOPOLOGY=[PIN_POLICY=CORE]\nNUMA_NODE=[TOTAL_CPUS=2]",
            "A NUMA_NODE must have MEMORY greater than 0",
        ),
        (
            "VCPU=2\nTOPOLOGY=[PIN_POLICY=CORE]\nNUMA_NODE=[TOTAL_CPUS=1,MEMORY=1024]",
            "Total CPUS of NUMA nodes is different from VM VCPU",
        ),
        (
            "VCPU=2\nTOPOLOGY=[PIN_POLICY=CORE]\nNUMA_NODE=[TOTAL_CPUS=2,MEMORY=1000]",
            "Total MEMORY of NUMA nodes is different from VM MEMORY",
        ),
        ("VCPU=3\nTOPOLOGY=[PIN_POLICY=THREAD,THREADS=3]", "THREADS must be a power of 2, not 3"),
        (
            "VCPU=4\nTOPOLOGY=[PIN_POLICY=THREAD,THREADS=2]\nNUMA_NODE=[TOTAL_CPUS=3,MEMORY=512]\n"
            "NUMA_NODE=[TOTAL_CPUS=1,MEMORY=512]",
            "NUMA_NODE 0: TOTAL_CPUS (3) is not multiple of THREADS (2)",
        ),
        ("TOPOLOGY=[PIN_POLICY=TIGHT]", "PIN_POLICY must be CORE, THREAD, SHARED or NONE, not 'TIGHT'"),
        ("TOPOLOGY=[PIN_POLICY=CORE,SOCKETS=x]", "SOCKETS must be a positive integer value, not 'x'"),
        ("TOPOLOGY=[PIN_POLICY=CORE,MEMORY_ACCESS=none]", "MEMORY_ACCESS must be shared or private"),
        ("TOPOLOGY=CORE", "TOPOLOGY must be a vector"),
        ("TOPOLOGY=[PIN_POLICY=CORE]\nTOPOLOGY=[PIN_POLICY=CORE]", "Only one TOPOLOGY attribute"),
        ("VCPU=999\nTOPOLOGY=[PIN_POLICY=CORE,SOCKETS=999]", "A VM has at most 128 NUMA nodes"),
    ],
)
def test_a_topology_that_cannot_be_is_refused_in_512s_words(text: str, why: str) -> None:
    with pytest.raises(ApiError) as refused:
        completed(text)
    assert refused.value.code is Code.ALLOCATE
    assert why in refused.value.message


def test_a_pinned_vm_is_one_node_and_has_as_many_cpus_as_virtual_ones() -> None:
    template = completed("VCPU = 4\nTOPOLOGY = [ PIN_POLICY = thread ]")
    assert template.get("CPU") == "4"
    assert topology(template) == {"PIN_POLICY": "THREAD", "SOCKETS": "1"}
    assert nodes(template) == [("4", "1048576")]


def test_sockets_share_cpus_and_memory_evenly() -> None:
    template = completed("VCPU = 4\nTOPOLOGY = [ PIN_POLICY = THREAD, SOCKETS = 2 ]")
    assert nodes(template) == [("2", "524288"), ("2", "524288")]


def test_nodes_may_be_given_one_by_one() -> None:
    template = completed(
        "VCPU = 4\nTOPOLOGY = [ PIN_POLICY = SHARED ]\n"
        "NUMA_NODE = [ TOTAL_CPUS = 3, MEMORY = 1000, CPUS = 7 ]\nNUMA_NODE = [ TOTAL_CPUS = 1, MEMORY = 24 ]"
    )
    assert nodes(template) == [("3", "1024000"), ("1", "24576")]
    assert topology(template)["SOCKETS"] == "2"
    assert "CPUS" not in template.vectors("NUMA_NODE")[0]


def test_threads_follow_from_cores_and_cores_from_threads() -> None:
    for given in ("CORES = 2", "THREADS = 2", "CORES = 2, THREADS = 2"):
        template = completed(f"VCPU = 4\nTOPOLOGY = [ PIN_POLICY = THREAD, {given} ]")
        assert (topology(template)["CORES"], topology(template)["THREADS"]) == ("2", "2")


def test_virtual_cpus_with_a_core_each_are_no_threads() -> None:
    template = completed("VCPU = 4\nTOPOLOGY = [ PIN_POLICY = CORE, CORES = 2 ]")
    assert (topology(template)["CORES"], topology(template)["THREADS"]) == ("4", "1")


def test_a_topology_without_pinning_is_the_guests_alone() -> None:
    template = completed(
        "VCPU = 8\nTOPOLOGY = [ SOCKETS = 2, CORES = 2, THREADS = 2 ]\n"
        "NUMA_NODE = [ TOTAL_CPUS = 8, MEMORY = 1024 ]"
    )
    assert template.get("CPU") == "1"
    assert nodes(template) == []


def test_what_the_core_writes_is_not_taken_from_users() -> None:
    cloud = Cloud()
    text = (
        "TOPOLOGY=[PIN_POLICY=CORE,AUTOMATIC=YES]\n"
        'NUMA_NODE=[TOTAL_CPUS=1,MEMORY=1024,NODE_ID=0,CPUS=0,PREV_CPUS="1"]\n'
        'PCI=[CLASS=0302,ADDRESS="0000:03:00:0",VM_SLOT=7,PCI_ID=9]'
    )
    vm = cloud.get(VM, cloud.vm(SMALL + text, who=0))
    assert vm.template.vectors("NUMA_NODE") == [{"TOTAL_CPUS": "1", "MEMORY": "1048576"}]
    assert "AUTOMATIC" not in topology(vm.template)
    [device] = vm.template.vectors("PCI")
    assert device == {
        "CLASS": "0302",
        "PCI_ID": "0",
        "VM_ADDRESS": "01:01.0",
        "VM_DOMAIN": "0x0000",
        "VM_BUS": "0x01",
        "VM_SLOT": "0x01",
        "VM_FUNCTION": "0x0",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("PCI=[TYPE=NIC]", "PCI 0: one of VENDOR, DEVICE and CLASS is needed"),
        (
            "PCI=[VENDOR=10de]\nPCI=[VENDOR=intel]",
            "PCI 1: VENDOR must be a hexadecimal number",
        ),
        ("PCI=[CLASS=123456]", "PCI 0: CLASS must be a hexadecimal number of four digits"),
        ("PCI=[CLASS=0302,BUS=100]", "PCI 0: BUS must be a hexadecimal number of two digits"),
        ("PCI=gpu", "PCI must be a vector"),
        pytest.param("PCI=[CLASS=0302]\n" * 32, "A VM has at most 31 PCI devices", id="many"),
    ],
)
def test_a_device_that_cannot_be_is_refused(text: str, why: str) -> None:
    error = Cloud().fails(0, "one.vm.allocate", SMALL + text, False)
    assert why in error.message


def test_each_device_has_a_slot_of_the_bus_that_is_asked_for() -> None:
    cloud = Cloud()
    vm = cloud.get(VM, cloud.vm(f"{SMALL}PCI=[CLASS=0302]\nPCI=[CLASS=0x0200,BUS=0x02]", who=0))
    assert [device["VM_ADDRESS"] for device in vm.template.vectors("PCI")] == ["01:01.0", "02:02.0"]


def test_pinning_and_devices_are_the_administrators_to_give() -> None:
    cloud = Cloud()
    for text in ("TOPOLOGY=[PIN_POLICY=CORE]", "PCI=[CLASS=0302]"):
        error = cloud.fails(ANN, "one.vm.allocate", SMALL + text, False)
        assert error.code is Code.AUTHORIZATION


def test_a_resized_vm_shares_evenly_again() -> None:
    cloud = Cloud()
    oid = cloud.vm(f"{SMALL}VCPU=4\nTOPOLOGY=[PIN_POLICY=THREAD,SOCKETS=2,THREADS=2]", who=0)
    cloud.call(0, "one.vm.resize", oid, "VCPU=8\nMEMORY=2048")
    vm = cloud.get(VM, oid)
    assert nodes(vm.template) == [("4", "1048576"), ("4", "1048576")]
    assert (topology(vm.template)["CORES"], vm.template.get("CPU")) == ("2", "8")


def test_nodes_that_were_given_one_by_one_are_not_divided_anew() -> None:
    cloud = Cloud()
    given = "NUMA_NODE=[TOTAL_CPUS=3,MEMORY=512]\nNUMA_NODE=[TOTAL_CPUS=1,MEMORY=512]"
    oid = cloud.vm(f"{SMALL}VCPU=4\nTOPOLOGY=[PIN_POLICY=THREAD]\n{given}", who=0)
    error = cloud.fails(0, "one.vm.resize", oid, "VCPU=8")
    assert sentence(error) == (Code.ACTION, "Total CPUS of NUMA nodes is different from VM VCPU")
    assert nodes(cloud.get(VM, oid).template) == [("3", "524288"), ("1", "524288")]


def test_a_vm_that_is_resized_on_its_host_is_pinned_anew() -> None:
    cloud = Cloud()
    cloud.pins(NODE0)
    oid = cloud.vm(f"{SMALL}VCPU=2\nTOPOLOGY=[PIN_POLICY=THREAD]", who=0)
    cloud.call(0, "one.vm.deploy", oid, NODE0)
    cloud.steps(2)
    cloud.call(0, "one.vm.action", "poweroff", oid)
    cloud.steps(1)
    cloud.call(0, "one.vm.resize", oid, "VCPU=4", False)
    [node] = cloud.get(VM, oid).template.vectors("NUMA_NODE")
    assert len(node["CPUS"].split(",")) == 4
    check(cloud)
    error = cloud.fails(0, "one.vm.resize", oid, "VCPU=8", False)
    assert sentence(error) == (
        Code.ACTION,
        f"virtual machine [{oid}] does not fit in host [0]. Cannot allocate NUMA topology",
    )
    check(cloud)


def test_a_host_that_does_not_pin_takes_no_pinned_vm() -> None:
    cloud = Cloud()
    cloud.pins(NODE0)
    cloud.call(0, "one.host.update", NODE0, "PIN_POLICY=NONE", 1)
    oid = cloud.vm(f"{SMALL}TOPOLOGY=[PIN_POLICY=THREAD]", who=0)
    for host in (NODE0, NODE1):
        error = cloud.fails(0, "one.vm.deploy", oid, host, False)
        assert "Cannot allocate NUMA topology: the host's PIN_POLICY is not PINNED" in error.message


CARD = "PCI = [ TYPE = NIC, CLASS = 0200, NETWORK_ID = 0 ]"


def test_a_device_that_is_a_nic_has_a_lease_of_its_network() -> None:
    cloud = Cloud()
    text = f"{SMALL}NIC = [ NETWORK_ID = 0 ]\nPCI = [ CLASS = 0302 ]\n{CARD}\nCONTEXT = [ NETWORK = YES ]"
    oid = cloud.vm(text, who=0)
    vm = cloud.get(VM, oid)
    [_, card] = vm.template.vectors("PCI")
    assert (card["PCI_ID"], card["NIC_ID"], card["NETWORK"], card["IP"]) == ("1", "1", "private", "10.1.0.11")
    context = vm.template.vector("CONTEXT")
    assert context is not None
    assert (context["PCI0_ADDRESS"], context["PCI1_ADDRESS"]) == ("01:01.0", "01:02.0")
    assert (context["PCI1_IP"], context["PCI1_MAC"]) == ("10.1.0.11", card["MAC"])
    assert not any(key.startswith("ETH1_") for key in context)
    check(cloud)
    cloud.call(0, "one.vm.action", "terminate", oid)
    check(cloud)


def test_a_guest_is_told_the_vlan_of_a_device_that_is_a_nic() -> None:
    """It puts the tag on itself: the host has no part in what such a card sends."""
    cloud = Cloud()
    cloud.call(0, "one.vn.update", 0, "VLAN_ID = 50", 1)
    oid = cloud.vm(f"{SMALL}{CARD}\nCONTEXT = [ NETWORK = YES ]", who=0)
    context = cloud.get(VM, oid).template.vector("CONTEXT")
    assert context is not None
    assert context["PCI0_VLAN_ID"] == "50"


def test_a_device_that_is_a_nic_needs_a_network_that_is_there() -> None:
    cloud = Cloud(vm_restricted_attr=())
    error = cloud.fails(
        ANN, "one.vm.allocate", f"{SMALL}{CARD.replace('NETWORK_ID = 0', 'NETWORK_ID = 9')}", False
    )
    assert error.code is Code.NO_EXISTS
    error = cloud.fails(0, "one.vm.allocate", f"{SMALL}PCI=[TYPE=NIC,CLASS=0200,NETWORK_MODE=auto]", False)
    assert "PCI cannot use NETWORK_MODE auto" in error.message
