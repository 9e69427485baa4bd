"""For each reason that the scheduler knows, a VM that waits for just that reason, and what it is told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from tests.scheduler.host_shares import host_share
from tests.scheduler.test_plan import GB, datastore, host, planned, vm

from merope.model.pci import Wanted
from merope.model.pinning import Demand, Part
from merope.scheduler.parts import Request
from merope.scheduler.reasons import Code, explain
from merope.scheduler.snapshot import (
    Access,
    GroupView,
    Limits,
    NetworkView,
    NicRequest,
    Plan,
    RoleView,
    VmRequest,
)
from merope.scheduler.views import TableView

NETWORK_CARD = Request(None, (Wanted(None, None, 0x200),))
USER = {"uid": 2, "gid": 1}
NIC = NicRequest(0)
WAITS = 7
"""The id of the VM that waits in each case."""


class Case(NamedTuple):
    make: Callable[[], Plan]
    codes: Sequence[Code]
    told: str


def network(free: int = 5, **attributes: str) -> NetworkView:
    return NetworkView(0, frozenset({0}), free, TableView({"ID": "0", **attributes}))


def access(hosts: Sequence[int] = (0,), stores: Sequence[int] = (0,), nets: Sequence[int] = (0,)) -> Access:
    return Access(frozenset(hosts), frozenset(stores), frozenset(nets))


def waiting(**fields: object) -> VmRequest:
    return replace(vm(WAITS), **fields)  # type: ignore[arg-type]


def group(policy: str, ids: Sequence[int], **fields: object) -> GroupView:
    role = replace(RoleView("r", policy, frozenset(ids)), **fields)  # type: ignore[arg-type]
    return GroupView(0, (role,))


def together() -> Plan:
    """Two that must share a host, one of which no host has room for."""
    big = vm(8, cpu=900)
    return planned([host(0)], [waiting(), big], groups=(group("AFFINED", (WAITS, 8)),))


CASES: Mapping[Code, Case] = {
    Code.NO_HOSTS: Case(lambda: planned([], [waiting()]), [Code.NO_HOSTS], "No hosts enabled to run VMs"),
    Code.NOT_AUTHORIZED: Case(
        lambda: planned([host(0)], [waiting(**USER)], access={2: access(hosts=())}),
        [Code.NOT_AUTHORIZED, Code.HOST_FORBIDDEN],
        "User is not authorized to use any host. 1 host is not for this user",
    ),
    Code.HOST_FORBIDDEN: Case(
        lambda: planned([host(0, cpu=0), host(1)], [waiting(**USER)], access={2: access(hosts=(0,))}),
        [Code.NO_CAPACITY, Code.HOST_FORBIDDEN, Code.HOST_CPU],
        "No host with enough capacity to deploy the VM. 1 host is not for this user, 1 host lacks 1 CPU",
    ),
    Code.NO_CAPACITY: Case(
        lambda: planned([host(0, cpu=50), host(1, cpu=20)], [waiting()]),
        [Code.NO_CAPACITY, Code.HOST_CPU],
        "No host with enough capacity to deploy the VM. 2 hosts lack CPU (the nearest 0.5 CPU)",
    ),
    Code.HOST_CPU: Case(
        lambda: planned([host(0, cpu=50)], [waiting()]),
        [Code.NO_CAPACITY, Code.HOST_CPU],
        "No host with enough capacity to deploy the VM. 1 host lacks 0.5 CPU",
    ),
    Code.HOST_MEMORY: Case(
        lambda: planned([host(n, memory=GB // 2) for n in range(12)], [waiting(memory=5 * GB // 2)]),
        [Code.NO_CAPACITY, Code.HOST_MEMORY],
        "No host with enough capacity to deploy the VM. 12 hosts lack memory (the nearest 2 GB)",
    ),
    Code.HOST_CPU_AND_MEMORY: Case(
        lambda: planned([host(0, cpu=0, memory=0)], [waiting()]),
        [Code.NO_CAPACITY, Code.HOST_CPU_AND_MEMORY],
        "No host with enough capacity to deploy the VM. 1 host lacks 1 CPU and 1 GB of memory",
    ),
    Code.NO_MATCH: Case(
        lambda: planned([host(0)], [waiting(requirements="GPU = yes")]),
        [Code.NO_MATCH, Code.HOST_REQUIREMENTS],
        "No host meets capacity and SCHED_REQUIREMENTS: GPU = yes. 1 host does not meet SCHED_REQUIREMENTS",
    ),
    Code.HOST_REQUIREMENTS: Case(
        lambda: planned([host(0), host(1)], [waiting(requirements="ID > 1")]),
        [Code.NO_MATCH, Code.HOST_REQUIREMENTS],
        "No host meets capacity and SCHED_REQUIREMENTS: ID > 1. 2 hosts do not meet SCHED_REQUIREMENTS",
    ),
    Code.HOST_AUTOMATIC: Case(
        lambda: planned([host(0)], [waiting(automatic_requirements="CLUSTER_ID = 9")]),
        [Code.NO_MATCH, Code.HOST_AUTOMATIC],
        "No host meets capacity and SCHED_REQUIREMENTS: CLUSTER_ID = 9. "
        "1 host is not of the clusters or the kind that the VM needs",
    ),
    Code.REQUIREMENTS_ERROR: Case(
        lambda: planned([host(0)], [waiting(requirements="GPU =")]),
        [Code.REQUIREMENTS_ERROR],
        "Error in SCHED_REQUIREMENTS: 'GPU =', error: ",
    ),
    Code.NO_OTHER_HOST: Case(
        lambda: planned([host(0)], [waiting(resched=True, current_host=0, keep_datastore=0)]),
        [Code.NO_OTHER_HOST, Code.HOST_CURRENT],
        "No other host to move the VM to. 1 host is where the VM is now",
    ),
    Code.HOST_CURRENT: Case(
        lambda: planned([host(0), host(1, cpu=0)], [waiting(resched=True, current_host=0, keep_datastore=0)]),
        [Code.NO_CAPACITY, Code.HOST_CPU, Code.HOST_CURRENT],
        "No host with enough capacity to deploy the VM. 1 host lacks 1 CPU, 1 host is where the VM is now",
    ),
    Code.HOST_LOCAL: Case(
        lambda: planned(
            [host(0), host(1, cpu=0, public_cloud=True)], [waiting(public_cloud=True)], datastores=[]
        ),
        [Code.NO_CAPACITY, Code.HOST_CPU, Code.HOST_LOCAL],
        "No host with enough capacity to deploy the VM. 1 host lacks 1 CPU, "
        "1 host is local and the VM can only go to a public cloud",
    ),
    Code.HOST_LIMIT: Case(
        lambda: planned([host(0)], [vm(1), waiting()], limits=Limits(per_host=1)),
        [Code.NOT_DISPATCHED, Code.HOST_LIMIT],
        "1 host got MAX_HOST VMs in this round",
    ),
    Code.NOT_DISPATCHED: Case(
        lambda: planned([host(0, cpu=100)], [vm(1), waiting()]),
        [Code.NOT_DISPATCHED, Code.HOST_CPU],
        "1 host lacks 1 CPU",
    ),
    Code.NO_DATASTORES: Case(
        lambda: planned([host(0)], [waiting()], datastores=[]),
        [Code.NO_DATASTORES],
        "No system datastores found to run VMs",
    ),
    Code.DS_NOT_AUTHORIZED: Case(
        lambda: planned([host(0)], [waiting(**USER)], access={2: access(stores=())}),
        [Code.DS_NOT_AUTHORIZED, Code.DS_FORBIDDEN],
        "User is not authorized to use any system datastore. 1 datastore is not for this user",
    ),
    Code.DS_FORBIDDEN: Case(
        lambda: planned(
            [host(0)],
            [waiting(**USER, system_disk=20_000)],
            datastores=[datastore(0), datastore(1, free=90_000)],
            access={2: access()},
        ),
        [Code.DS_NO_CAPACITY, Code.DS_FORBIDDEN, Code.DS_FULL],
        "No system datastore with enough capacity for the VM. 1 datastore is not for this user, "
        "1 datastore lacks 9.8 GB",
    ),
    Code.DS_NO_CAPACITY: Case(
        lambda: planned([host(0)], [waiting(system_disk=10_512)]),
        [Code.DS_NO_CAPACITY, Code.DS_FULL],
        "No system datastore with enough capacity for the VM. 1 datastore lacks 512 MB",
    ),
    Code.DS_FULL: Case(
        lambda: planned(
            [host(0)],
            [waiting(system_disk=11_024)],
            datastores=[datastore(0), datastore(1, free=9_000)],
        ),
        [Code.DS_NO_CAPACITY, Code.DS_FULL],
        "No system datastore with enough capacity for the VM. 2 datastores lack space (the nearest 1 GB)",
    ),
    Code.DS_NO_MATCH: Case(
        lambda: planned([host(0)], [waiting(ds_requirements="SSD = yes")]),
        [Code.DS_NO_MATCH, Code.DS_REQUIREMENTS],
        "No system datastore meets capacity and SCHED_DS_REQUIREMENTS: SSD = yes. "
        "1 datastore does not meet the requirements",
    ),
    Code.DS_REQUIREMENTS: Case(
        lambda: planned(
            [host(0)], [waiting(ds_requirements="ID > 9")], datastores=[datastore(0), datastore(1)]
        ),
        [Code.DS_NO_MATCH, Code.DS_REQUIREMENTS],
        "2 datastores do not meet the requirements",
    ),
    Code.DS_REQUIREMENTS_ERROR: Case(
        lambda: planned([host(0)], [waiting(ds_requirements="(")]),
        [Code.DS_REQUIREMENTS_ERROR],
        "Error in SCHED_DS_REQUIREMENTS: '(', error: ",
    ),
    Code.DS_NOT_MONITORED: Case(
        lambda: planned([host(0)], [waiting()], datastores=[replace(datastore(0, free=0), monitored=False)]),
        [Code.NOT_DISPATCHED, Code.HOST_DATASTORE, Code.DS_NOT_MONITORED],
        "1 host has no system datastore with enough space, 1 datastore has not been monitored yet",
    ),
    Code.HOST_DATASTORE: Case(
        lambda: planned([host(0, cluster=1)], [waiting()], datastores=[datastore(0, clusters=(0,))]),
        [Code.NOT_DISPATCHED, Code.HOST_DATASTORE],
        "1 host has no system datastore with enough space",
    ),
    Code.IMAGE_DATASTORE_FULL: Case(
        lambda: planned(
            [host(0)], [waiting(image_space=((1, 50),))], image_datastores=(datastore(1, free=49),)
        ),
        [Code.IMAGE_DATASTORE_FULL],
        "Cannot schedule VM. Image Datastore 1 does not have enough capacity",
    ),
    Code.NO_NETWORKS: Case(
        lambda: planned([host(0)], [waiting(nics=(NIC,))]),
        [Code.NO_NETWORKS],
        "No networks found to run VMs",
    ),
    Code.NET_NOT_AUTHORIZED: Case(
        lambda: planned(
            [host(0)], [waiting(**USER, nics=(NIC,))], networks=(network(),), access={2: access(nets=())}
        ),
        [Code.NET_NOT_AUTHORIZED, Code.NET_FORBIDDEN],
        "User is not authorized to use any network. 1 network is not for this user",
    ),
    Code.NET_FORBIDDEN: Case(
        lambda: planned(
            [host(0)],
            [waiting(**USER, nics=(NIC,))],
            networks=(network(free=0), replace(network(), id=1)),
            access={2: access()},
        ),
        [Code.NET_NO_CAPACITY, Code.NET_FORBIDDEN, Code.NET_FULL],
        "No network with enough capacity for the VM. 1 network is not for this user, "
        "1 network has no free lease",
    ),
    Code.NET_NO_CAPACITY: Case(
        lambda: planned([host(0)], [waiting(nics=(NIC,))], networks=(network(free=0),)),
        [Code.NET_NO_CAPACITY, Code.NET_FULL],
        "No network with enough capacity for the VM. 1 network has no free lease",
    ),
    Code.NET_FULL: Case(
        lambda: planned(
            [host(0)], [waiting(nics=(NIC,))], networks=(network(free=0), replace(network(free=0), id=1))
        ),
        [Code.NET_NO_CAPACITY, Code.NET_FULL],
        "2 networks have no free lease",
    ),
    Code.NET_NO_MATCH: Case(
        lambda: planned([host(0)], [waiting(nics=(NicRequest(0, "SPEED > 10"),))], networks=(network(),)),
        [Code.NET_NO_MATCH, Code.NET_REQUIREMENTS],
        "No network meet leases and SCHED_NIC_REQUIREMENTS: (SPEED > 10). "
        "1 network does not meet the requirements",
    ),
    Code.NET_REQUIREMENTS: Case(
        lambda: planned(
            [host(0)],
            [waiting(nics=(NicRequest(0, "ID > 9"),))],
            networks=(network(), replace(network(), id=1)),
        ),
        [Code.NET_NO_MATCH, Code.NET_REQUIREMENTS],
        "2 networks do not meet the requirements",
    ),
    Code.NET_REQUIREMENTS_ERROR: Case(
        lambda: planned([host(0)], [waiting(nics=(NicRequest(0, "&"),))], networks=(network(),)),
        [Code.NET_REQUIREMENTS_ERROR],
        "'&', error: ",
    ),
    Code.HOST_NETWORK: Case(
        lambda: planned(
            [host(0, cluster=1)], [waiting(nics=(NIC,))], [datastore(0, clusters=(1,))], networks=(network(),)
        ),
        [Code.NOT_DISPATCHED, Code.HOST_NETWORK],
        "1 host has no networks with free leases for the NICs",
    ),
    Code.HOST_TOPOLOGY: Case(
        lambda: planned(
            [host(0, parts=host_share(cores=1)), host(1), host(2, cpu=0)],
            [waiting(parts=Request(Demand("CORE", (Part(2, 1024),))))],
        ),
        [Code.NO_CAPACITY, Code.HOST_TOPOLOGY, Code.HOST_CPU],
        "No host with enough capacity to deploy the VM. 2 hosts cannot allocate NUMA topology, "
        "1 host lacks 1 CPU",
    ),
    Code.HOST_PCI: Case(
        lambda: planned(
            [host(0, parts=host_share(devices=1))],
            [vm(1, parts=NETWORK_CARD), waiting(parts=NETWORK_CARD)],
        ),
        [Code.NOT_DISPATCHED, Code.HOST_PCI],
        "1 host has no such PCI device free",
    ),
    Code.GROUP_CONFLICT: Case(
        lambda: planned([host(0)], [waiting()], groups=(group("ANTI_AFFINED", (WAITS, 1)),), located={1: 0}),
        [Code.GROUP_CONFLICT, Code.HOST_GROUP],
        "No host satisfies these rules of the VM group together: ANTI_AFFINED role r (VM 1 is on host 0). "
        "1 host is against the rules of the VM group",
    ),
    Code.HOST_GROUP: Case(
        lambda: planned(
            [host(0), host(1, cpu=0)],
            [waiting()],
            groups=(group("NONE", (WAITS,), host_anti_affined=frozenset({0})),),
        ),
        [Code.GROUP_CONFLICT, Code.HOST_CPU, Code.HOST_GROUP],
        "1 host lacks 1 CPU, 1 host is against the rules of the VM group",
    ),
    Code.GROUP_NO_ROOM: Case(
        lambda: planned([host(0, cpu=150)], [waiting(), vm(8)], groups=(group("AFFINED", (WAITS, 8)),)),
        [Code.GROUP_NO_ROOM, Code.HOST_CPU],
        "No host has room for the 2 VMs of the VM group that must share one. 1 host lacks 0.5 CPU",
    ),
    Code.GROUP_WAITS: Case(together, [Code.GROUP_WAITS], "Waits for VM 8, with which it must share a host"),
    Code.DISPATCH_LIMIT: Case(
        lambda: planned([host(0)], [vm(1), waiting()], limits=Limits(dispatch=1)),
        [Code.DISPATCH_LIMIT],
        "Waiting for the next round: MAX_DISPATCH of 1 reached",
    ),
    Code.VM_LIMIT: Case(
        lambda: planned([host(0)], [vm(1), waiting()], limits=Limits(vms=1)),
        [Code.VM_LIMIT],
        "Waiting for a later round: MAX_VM of 1 VMs reached",
    ),
}


def test_there_is_a_case_for_each_reason() -> None:
    assert set(CASES) == set(Code)


@pytest.mark.parametrize("code", list(CASES), ids=lambda code: code.name)
def test_a_vm_waits_for_just_this_reason_and_says_so(code: Code) -> None:
    case = CASES[code]
    reasons = case.make().reasons[WAITS]
    assert [reason.code for reason in reasons] == list(case.codes)
    assert code in case.codes
    assert case.told in explain(reasons)
