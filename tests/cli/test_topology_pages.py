"""What `onehost show` and `onevm show` tell of NUMA nodes and PCI devices (EU report D3.1, SR2.6)."""

from tests.cli.recorded import FakeCloud, command

from merope.model.host import Host, HostShare
from merope.model.template import Template
from merope.model.topology import Core, HugePages, Node
from merope.model.vm import VM


def page(line: str, method: str, document: str) -> list[str]:
    return command(line, FakeCloud({method: document})).out.splitlines()


def below(lines: list[str], heading: str, count: int) -> list[str]:
    """The lines of a table, without its heading and the blank line under it."""
    start = next(i for i, line in enumerate(lines) if line.strip() == heading)
    return lines[start + 2 : start + 2 + count]


def shown_host() -> list[str]:
    cores = [
        Core(0, {0: [7], 4: [7, 8]}, free=1),
        Core(1, {1: [9], 5: []}, dedicated=True),
        Core(2, {2: [], 6: []}, isolated={2}, free=1),
    ]
    pages = [HugePages(2048, 2048, 1536, 512)]
    node = Node(0, cores, pages, 8 << 20, 1 << 20, 7 << 20, 1 << 20, (0,))
    share = HostShare(numa_nodes=[node])
    share.pci_devices = Template.parse(
        'PCI=[SHORT_ADDRESS="03:00.0",TYPE="10de:1eb8:0302",DEVICE_NAME="Tesla T4",VMID=7]\n'
        'PCI=[SHORT_ADDRESS="02:00.0",TYPE="8086:10fb:0200",DEVICE_NAME="82599ES",VMID="-1"]'
    )
    return page("onehost show 0", "one.host.info", Host(0, "node0", host_share=share).to_xml())


def test_a_node_shows_which_cpus_are_used_free_and_isolated() -> None:
    assert below(shown_host(), "NUMA NODES", 2) == [
        " ID CORES                               USED FREE",
        "  0 XX XX I-                               4    1",
    ]


def test_memory_and_huge_pages_of_a_node_are_shown() -> None:
    lines = shown_host()
    assert below(lines, "NUMA MEMORY", 2)[1].split() == ["0", "8G", "7G", "1024M", "1024M"]
    assert below(lines, "NUMA HUGEPAGES", 2)[1].split() == ["0", "2M", "2048", "1536", "512"]


def test_the_devices_of_a_host_are_shown_with_who_has_them() -> None:
    assert below(shown_host(), "PCI DEVICES", 3)[1:] == [
        "   7 03:00.0 10de:1eb8:0302 Tesla T4",
        "     02:00.0 8086:10fb:0200 82599ES",
    ]


def shown_vm(template: str) -> list[str]:
    vm = VM(7, 0, 0, "oneadmin", "oneadmin", "vnf", template=Template.parse(template))
    return page("onevm show 7", "one.vm.info", vm.to_xml())


def test_a_machine_shows_where_its_nodes_are() -> None:
    lines = shown_vm(
        "TOPOLOGY=[PIN_POLICY=THREAD,SOCKETS=2,CORES=1,THREADS=4,HUGEPAGE_SIZE=2]\n"
        'NUMA_NODE=[NODE_ID=0,CPUS="0,4,1,5",MEMORY=524288,TOTAL_CPUS=4]\n'
        'NUMA_NODE=[NODE_ID=1,CPUS="2,6,3,7",MEMORY=524288,TOTAL_CPUS=4]'
    )
    assert [line.split() for line in below(lines, "NUMA NODES", 3)] == [
        ["ID", "CPUS", "MEMORY", "TOTAL_CPUS"],
        ["0", "0,4,1,5", "512M", "4"],
        ["1", "2,6,3,7", "512M", "4"],
    ]
    assert [line.split() for line in below(lines, "TOPOLOGY", 2)] == [
        ["NUMA_NODES", "CORES", "SOCKETS", "THREADS", "PIN_POLICY", "HUGEPAGE", "ACCESS"],
        ["2", "1", "2", "4", "THREAD", "2M", "-"],
    ]


def test_a_machine_shows_the_devices_that_it_asked_for_and_has() -> None:
    lines = shown_vm(
        'PCI=[PCI_ID=0,VENDOR=10de,ADDRESS="0000:03:00:0",VM_ADDRESS="01:01.0"]\n'
        'PCI=[PCI_ID=1,TYPE=NIC,CLASS=0200,VM_ADDRESS="01:02.0"]'
    )
    assert [line.split() for line in below(lines, "PCI DEVICES", 3)] == [
        ["ID", "ASKED", "TYPE", "ADDRESS", "VM_ADDRESS"],
        ["0", "10de::", "-", "0000:03:00:0", "01:01.0"],
        ["1", "::0200", "NIC", "-", "01:02.0"],
    ]
