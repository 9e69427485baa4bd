"""Disks, interfaces, snapshots and servers are found by their names, too."""

import pytest
from tests.cli.recorded import FakeCloud, command

VM = (
    "<VM><ID>0</ID><TEMPLATE>"
    "<DISK><DISK_ID>0</DISK_ID><TARGET>vda</TARGET><IMAGE>debian</IMAGE></DISK>"
    "<DISK><DISK_ID>1</DISK_ID><TARGET>vdb</TARGET><IMAGE>data</IMAGE></DISK>"
    "<DISK><DISK_ID>3</DISK_ID><TARGET>vdc</TARGET><IMAGE>data</IMAGE></DISK>"
    "<NIC><NIC_ID>0</NIC_ID><NAME>NIC0</NAME></NIC><NIC_ALIAS><NIC_ID>2</NIC_ID><NAME>alias</NAME></NIC_ALIAS>"
    "<SNAPSHOT><SNAPSHOT_ID>4</SNAPSHOT_ID><NAME>before</NAME></SNAPSHOT></TEMPLATE>"
    "<SNAPSHOTS><DISK_ID>0</DISK_ID><SNAPSHOT><ID>5</ID><NAME>clean</NAME></SNAPSHOT></SNAPSHOTS>"
    "<SNAPSHOTS><DISK_ID>1</DISK_ID><SNAPSHOT><ID>6</ID><NAME>clean</NAME></SNAPSHOT></SNAPSHOTS></VM>"
)
IMAGE = "<IMAGE><ID>0</ID><SNAPSHOTS><SNAPSHOT><ID>7</ID><NAME>clean</NAME></SNAPSHOT></SNAPSHOTS></IMAGE>"
ZONE = "<ZONE><ID>0</ID><SERVER_POOL><SERVER><ID>8</ID><NAME>one</NAME></SERVER></SERVER_POOL></ZONE>"
ROUTER = (
    "<VROUTER><ID>0</ID><TEMPLATE><NIC><NIC_ID>9</NIC_ID><NETWORK>net</NETWORK></NIC></TEMPLATE></VROUTER>"
)
_METHODS = """
    vm.detach vm.detachnic vm.snapshotrevert vm.disksnapshotrevert vm.disksnapshotdelete vm.disksnapshotrename
    vm.diskresize vm.disksaveas image.snapshotflatten zone.delserver vrouter.detachnic
"""


def _cloud() -> FakeCloud:
    documents = {"vm": VM, "image": IMAGE, "zone": ZONE, "vrouter": ROUTER}
    cloud = FakeCloud({f"one.{kind}.info": document for kind, document in documents.items()})
    cloud.answers |= {f"one.{method}": 0 for method in _METHODS.split()}
    return cloud


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("onevm disk-detach 0 vdb", ("one.vm.detach", (0, 1))),
        ("onevm disk-detach 0 debian", ("one.vm.detach", (0, 0))),
        ("onevm nic-detach 0 NIC0", ("one.vm.detachnic", (0, 0))),
        ("onevm nic-detach 0 alias", ("one.vm.detachnic", (0, 2))),
        ("onevm snapshot-revert 0 before", ("one.vm.snapshotrevert", (0, 4))),
        ("onevm disk-snapshot-revert 0 vda clean", ("one.vm.disksnapshotrevert", (0, 0, 5))),
        ("onevm disk-snapshot-delete 0 1 clean", ("one.vm.disksnapshotdelete", (0, 1, 6))),
        ("onevm disk-snapshot-rename 0 0 clean new", ("one.vm.disksnapshotrename", (0, 0, 5, "new"))),
        ("onevm disk-resize 0 vda 1G", ("one.vm.diskresize", (0, 0, "1024"))),
        ("onevm disk-saveas 0 vda copy", ("one.vm.disksaveas", (0, 0, "copy", "", -1))),
        ("oneimage snapshot-flatten 0 clean", ("one.image.snapshotflatten", (0, 7))),
        ("onezone server-del 0 one", ("one.zone.delserver", (0, 8))),
        ("onevrouter nic-detach 0 net", ("one.vrouter.detachnic", (0, 9))),
    ],
)
def test_a_part_is_found_by_its_name(line: str, call: tuple[str, tuple[object, ...]]) -> None:
    cloud = _cloud()
    assert command(line, cloud).code == 0
    assert cloud.calls[-1] == call


def test_an_id_needs_no_look() -> None:
    cloud = _cloud()
    command("onevm disk-snapshot-revert 0 1 6", cloud)
    assert [c.method for c in cloud.calls] == ["one.vm.disksnapshotrevert"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("onevm disk-detach 0 nosuch", "VM 0 has no disk named nosuch."),
        ("onevm disk-detach 0 data", "VM 0 has several disks named data (1, 3): use the id."),
        ("onevm disk-snapshot-revert 0 vdc clean", "VM 0 has no snapshot named clean."),
        ("onezone server-reset 0 two", "ZONE 0 has no server named two."),
        ("oneimage snapshot-delete 0 nosuch", "IMAGE 0 has no snapshot named nosuch."),
    ],
)
def test_a_part_that_is_not_there_or_not_alone_is_named(line: str, message: str) -> None:
    cloud = _cloud()
    outcome = command(line, cloud)
    assert (outcome.code, outcome.err) == (255, message + "\n")
    assert {c.method.rpartition(".")[2] for c in cloud.calls} == {"info"}


def test_a_scheduled_revert_keeps_the_id_of_the_snapshot() -> None:
    cloud = _cloud()
    cloud.answers["one.vm.update"] = 0
    line = "onevm disk-snapshot-revert 0 vda clean --schedule +60"
    assert command(line, cloud).code == 0
    assert 'ARGS="0,5"' in str(cloud.calls[-1].arguments[1])
