"""Pinned VMs and those with devices in a plan: what hosts have for them is counted as they are placed."""

from dataclasses import replace

from tests.scheduler.host_shares import host_share, share_xml
from tests.scheduler.test_plan import host, planned, vm, where

from merope.model.pci import Wanted
from merope.model.pinning import Demand, Part
from merope.model.template import Template
from merope.scheduler.parts import Request
from merope.scheduler.reasons import Code
from merope.scheduler.snapshot import GroupView, RoleView
from merope.scheduler.views import host_view_from_xml, vm_request_from_xml

CORE = Request(Demand("CORE", (Part(1, 1024),)))


def test_each_pinned_vm_takes_a_core_until_there_is_none() -> None:
    made = planned([host(0, parts=host_share(cores=2))], [vm(i, parts=CORE) for i in range(3)])
    assert where(made) == {0: 0, 1: 0}
    assert [reason.code for reason in made.reasons[2]] == [Code.NOT_DISPATCHED, Code.HOST_TOPOLOGY]


def test_a_host_that_ranks_best_and_lacks_the_device_is_passed_over() -> None:
    gpu = Request(None, (Wanted(0x8086, 0x10FB, None),))
    made = planned([host(0), host(1, running_vms=5, parts=host_share(devices=1))], [vm(1, parts=gpu)])
    assert where(made) == {1: 1}


def test_what_others_have_already_is_not_given() -> None:
    parts = host_share(cores=2, cpu0=[7], cpu3=[8])
    made = planned([host(0, parts=parts)], [vm(1, parts=CORE)])
    assert [reason.code for reason in made.reasons[1]] == [Code.NO_CAPACITY, Code.HOST_TOPOLOGY]
    thread = Request(Demand("THREAD", (Part(2, 1024),)))
    assert where(planned([host(0, parts=parts)], [vm(1, parts=thread)])) == {1: 0}


def test_huge_pages_are_counted_as_vms_are_placed() -> None:
    request = Request(Demand("THREAD", (Part(1, 20 * 1024),), page_size=2048))
    made = planned([host(0, parts=host_share(cores=4))], [vm(i, parts=request) for i in range(3)])
    assert where(made) == {0: 0}


def test_vms_of_a_group_that_are_solved_anew_give_their_cores_back() -> None:
    group = GroupView(0, (RoleView("r", "ANTI_AFFINED", frozenset({0, 1})),))
    hosts = [host(0, parts=host_share(cores=1)), host(1, parts=host_share(cores=1))]
    picky = replace(vm(1, parts=CORE), requirements="ID = 0")
    made = planned(hosts, [vm(0, parts=CORE), picky], groups=(group,))
    assert where(made) == {0: 1, 1: 0}


def test_a_host_is_read_from_its_document() -> None:
    document = (
        "<HOST><ID>3</ID><NAME>n</NAME><STATE>2</STATE><CLUSTER_ID>0</CLUSTER_ID>"
        f"{share_xml(cores=1, devices=1)}<VMS/><TEMPLATE/><MONITORING/></HOST>"
    )
    view = host_view_from_xml(document)
    assert view is not None
    assert [(node.id, len(node.cores)) for node in view.parts.nodes] == [(0, 1)]
    assert view.parts.devices[0]["ADDRESS"] == "0000:02:00:0"
    assert view.parts.room() == [2, 1 << 20, 16 * 2048, 1]


def test_a_vm_is_read_from_its_document() -> None:
    template = Template.parse(
        "TOPOLOGY=[PIN_POLICY=THREAD,SOCKETS=1,HUGEPAGE_SIZE=2]\nNUMA_NODE=[TOTAL_CPUS=2,MEMORY=1024]\n"
        "PCI=[VENDOR=10de]"
    )
    document = (
        f"<VM><ID>7</ID><STATE>1</STATE><LCM_STATE>0</LCM_STATE>{template.to_xml()}<USER_TEMPLATE/></VM>"
    )
    request = vm_request_from_xml(document)
    assert request is not None
    demand = Demand("THREAD", (Part(2, 1024),), page_size=2048)
    assert request.parts == Request(demand, (Wanted(0x10DE, None, None),))


def test_most_vms_ask_for_nothing_of_the_kind() -> None:
    topology = Template.parse("TOPOLOGY=[SOCKETS=1,CORES=1,THREADS=1]").to_xml()
    document = f"<VM><ID>7</ID><STATE>1</STATE><LCM_STATE>0</LCM_STATE>{topology}<USER_TEMPLATE/></VM>"
    request = vm_request_from_xml(document)
    assert request is not None
    assert request.parts is None
