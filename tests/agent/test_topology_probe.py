"""The topology probe reads what the kernel shows, here in trees of files that tests make up."""

from pathlib import Path

import pytest

from merope.model.template import Template
from merope_agent import topology

SYS = "sys/devices/system"


def write(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content + "\n")


def machine(root: Path, *, nodes: int = 2, cores: int = 2, threads: int = 2) -> Path:
    """A machine whose CPUs are numbered as most are: first one thread of every core, then the others."""
    all_cores = nodes * cores
    for cpu in range(all_cores * threads):
        core = cpu % all_cores
        write(
            root,
            f"{SYS}/cpu/cpu{cpu}/topology/thread_siblings_list",
            ",".join(str(core + thread * all_cores) for thread in range(threads)),
        )
        write(root, f"{SYS}/cpu/cpu{cpu}/topology/core_id", str(core % cores))
    for node in range(nodes):
        first = node * cores
        cpus = [f"{first + t * all_cores}-{first + cores - 1 + t * all_cores}" for t in range(threads)]
        write(root, f"{SYS}/node/node{node}/cpulist", ",".join(cpus))
        write(
            root,
            f"{SYS}/node/node{node}/meminfo",
            f"Node {node} MemTotal:       8000000 kB\nNode {node} MemFree:        {node}000000 kB",
        )
        distances = " ".join("10" if other == node else "21" for other in range(nodes))
        write(root, f"{SYS}/node/node{node}/distance", distances)
        for size, pages in ((2048, 1024), (1048576, 2)):
            directory = f"{SYS}/node/node{node}/hugepages/hugepages-{size}kB"
            write(root, f"{directory}/nr_hugepages", str(pages))
            write(root, f"{directory}/free_hugepages", str(pages - node))
    write(root, "proc/meminfo", "MemTotal:       16000000 kB\nMemFree:        1000000 kB")
    return root


def test_cores_are_told_with_their_threads(tmp_path: Path) -> None:
    found = topology.cores(machine(tmp_path))
    assert [tuple(vector.values()) for _, vector in found] == [
        ("0", "0", "0,4"),
        ("0", "1", "1,5"),
        ("1", "0", "2,6"),
        ("1", "1", "3,7"),
    ]


def test_memory_is_told_with_the_nodes_from_the_nearest(tmp_path: Path) -> None:
    found = [vector for _, vector in topology.memory_nodes(machine(tmp_path))]
    assert found[1] == {
        "NODE_ID": "1",
        "TOTAL": "8000000",
        "FREE": "1000000",
        "USED": "7000000",
        "DISTANCE": "1 0",
    }


def test_huge_pages_of_each_size_are_told_with_those_that_are_free(tmp_path: Path) -> None:
    found = [tuple(vector.values()) for _, vector in topology.huge_pages(machine(tmp_path))]
    assert found == [
        ("0", "2048", "1024", "1024"),
        ("0", "1048576", "2", "2"),
        ("1", "2048", "1024", "1023"),
        ("1", "1048576", "2", "1"),
    ]


def test_a_machine_of_one_node_has_all_the_memory(tmp_path: Path) -> None:
    [(_, vector)] = topology.memory_nodes(machine(tmp_path, nodes=1))
    assert (vector["TOTAL"], vector["DISTANCE"]) == ("16000000", "0")


def test_a_kernel_without_nodes_is_one_node_of_all_cpus(tmp_path: Path) -> None:
    for cpu in range(2):
        write(tmp_path, f"{SYS}/cpu/cpu{cpu}/topology/core_id", str(cpu))
    write(tmp_path, f"{SYS}/cpu/cpufreq/boost", "1")
    write(tmp_path, "proc/meminfo", "MemTotal: 100 kB\nMemFree: 40 kB")
    found = topology.topology(tmp_path)
    assert [(name, vector["NODE_ID"]) for name, vector in found] == [
        ("CORE", "0"),
        ("CORE", "0"),
        ("MEMORY_NODE", "0"),
    ]
    assert [vector["CPUS"] for name, vector in found if name == "CORE"] == ["0", "1"]


def test_cpus_that_are_off_are_not_told(tmp_path: Path) -> None:
    root = machine(tmp_path, nodes=1, cores=2, threads=1)
    write(root, f"{SYS}/cpu/cpu1/online", "0")
    assert [vector["CPUS"] for _, vector in topology.cores(root)] == ["0"]


def test_cores_of_two_dies_with_the_same_numbers_are_told_apart(tmp_path: Path) -> None:
    root = machine(tmp_path, nodes=1, cores=2, threads=1)
    write(root, f"{SYS}/cpu/cpu1/topology/core_id", "0")
    assert [(v["ID"], v["CPUS"]) for _, v in topology.cores(root)] == [("0", "0"), ("1", "1")]


def test_what_is_printed_is_read_by_the_cloud(tmp_path: Path) -> None:
    found = topology.topology(machine(tmp_path))
    read = Template.parse(topology.text(found))
    assert [(name, dict(vector)) for name, vector in read.items() if isinstance(vector, dict)] == sorted(
        ((name, vector) for name, vector in found), key=lambda item: item[0]
    )


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-3,8", [0, 1, 2, 3, 8]), ("", []), ("5", [5]), ("x,2-", [2])]
)
def test_lists_of_the_kernel_are_read(text: str, numbers: list[int]) -> None:
    assert list(topology.ranges(text)) == numbers


def test_this_machine_has_its_cpus() -> None:
    found = topology.topology()
    assert any(name == "CORE" for name, _ in found)
    assert all(int(v["TOTAL"]) > 0 for name, v in found if name == "MEMORY_NODE")
