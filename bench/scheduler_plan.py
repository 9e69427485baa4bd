"""Seconds to plan pending VMs over hosts: `python bench/scheduler_plan.py [vms] [hosts] [shapes]`.

`shapes` is how many different requests (capacity, requirements, rank) the VMs bring.
"""

import resource
import sys
import time
from dataclasses import replace

from merope.scheduler.plan import plan
from merope.scheduler.snapshot import (
    DatastoreView,
    GroupView,
    HostView,
    Limits,
    Plan,
    RoleView,
    Snapshot,
    VmRequest,
)
from merope.scheduler.views import TableView, datastore_view_from_xml, host_view_from_xml

HOST = """<HOST><ID>{i}</ID><NAME>node-{i:05d}</NAME><STATE>2</STATE><PREV_STATE>2</PREV_STATE>
<IM_MAD><![CDATA[kvm]]></IM_MAD><VM_MAD><![CDATA[kvm]]></VM_MAD><CLUSTER_ID>0</CLUSTER_ID>
<CLUSTER>default</CLUSTER><HOST_SHARE><MEM_USAGE>0</MEM_USAGE><CPU_USAGE>0</CPU_USAGE>
<TOTAL_MEM>268435456</TOTAL_MEM><TOTAL_CPU>6400</TOTAL_CPU><MAX_MEM>268435456</MAX_MEM>
<MAX_CPU>6400</MAX_CPU><RUNNING_VMS>0</RUNNING_VMS><VMS_THREAD>1</VMS_THREAD>
<DATASTORES><FREE_DISK><![CDATA[2038280]]></FREE_DISK></DATASTORES><PCI_DEVICES/><NUMA_NODES/>
</HOST_SHARE><VMS/><TEMPLATE><ARCH><![CDATA[x86_64]]></ARCH><HYPERVISOR><![CDATA[kvm]]></HYPERVISOR>
<RACK><![CDATA[{rack}]]></RACK></TEMPLATE><MONITORING><CAPACITY>
<FREE_CPU><![CDATA[{free}]]></FREE_CPU><FREE_MEMORY><![CDATA[{memory}]]></FREE_MEMORY>
<USED_CPU><![CDATA[80]]></USED_CPU><USED_MEMORY><![CDATA[1]]></USED_MEMORY></CAPACITY><SYSTEM/>
</MONITORING></HOST>"""
DATASTORE = """<DATASTORE><ID>0</ID><TYPE>1</TYPE><STATE>0</STATE><CLUSTERS><ID>0</ID></CLUSTERS>
<TOTAL_MB>9000000</TOTAL_MB><FREE_MB>9000000</FREE_MB><USED_MB>1</USED_MB><TEMPLATE>
<SHARED><![CDATA[YES]]></SHARED></TEMPLATE></DATASTORE>"""

#: VMs that each bring requirements and a rank of their own; nothing can be shared between them.
OWN_EXPRESSIONS = 5000


def hosts(count: int) -> tuple[HostView, ...]:
    views = [
        host_view_from_xml(
            HOST.format(i=i, rack=i % 20, free=6400 - i % 97, memory=268435456 - i % 89 * 1024)
        )
        for i in range(count)
    ]
    return tuple(view for view in views if view is not None)


def datastores() -> tuple[DatastoreView, ...]:
    view = datastore_view_from_xml(DATASTORE)
    return (view,) if view is not None else ()


def vms(count: int, shapes: int, rank: str) -> tuple[VmRequest, ...]:
    return tuple(
        VmRequest(
            id=i,
            uid=2,
            gid=0,
            cpu=10 + i % shapes,
            memory=(64 + i % shapes) * 1024,
            system_disk=10,
            automatic_requirements="(CLUSTER_ID = 0) & !(PUBLIC_CLOUD = YES) & !(PIN_POLICY = PINNED)",
            requirements='HYPERVISOR = "kvm" & FREE_CPU > 10',
            automatic_ds_requirements='("CLUSTERS/ID" @> 0)',
            rank=rank,
        )
        for i in range(count)
    )


def timed(label: str, snapshot: Snapshot) -> Plan:
    start = time.perf_counter()
    made = plan(snapshot)
    took = time.perf_counter() - start
    print(f"{label:<34}{took:7.3f} s  {len(made.placements):6d} placed  {len(made.reasons):6d} waiting")
    return made


def main() -> None:
    numbers = [int(arg) for arg in sys.argv[1:]] + [5000, 500, 10][len(sys.argv) - 1 :]
    vm_count, host_count, shapes = numbers
    start = time.perf_counter()
    fleet = hosts(host_count)
    print(
        f"{vm_count} VMs, {host_count} hosts, {shapes} shapes; host views {time.perf_counter() - start:.3f} s"
    )
    for label, kinds, rank in (
        ("one shape, striping", 1, ""),
        ("shapes, striping", shapes, ""),
        ("shapes, rank FREE_MEMORY", shapes, "FREE_MEMORY"),
        ("shapes, fixed rank", shapes, "RACK"),
        ("every VM its own shape, striping", vm_count, ""),
    ):
        timed(label, Snapshot(fleet, datastores(), vms(vm_count, kinds, rank)))
    full = [HostView(h.id, h.cluster_id, 5, h.free_memory, h.attributes) for h in fleet]
    timed("no capacity", Snapshot(tuple(full), datastores(), vms(vm_count, shapes, "")))
    timed("MAX_HOST 1", Snapshot(fleet, datastores(), vms(vm_count, shapes, ""), limits=Limits(per_host=1)))
    few = tuple(
        HostView(
            h.id, 0, 100, h.free_memory, TableView({"CLUSTER_ID": "0", "HYPERVISOR": "kvm", "FREE_CPU": "99"})
        )
        for h in fleet
    )
    timed("room for some", Snapshot(few, datastores(), vms(vm_count, shapes, "")))
    own = tuple(
        replace(vm, requirements=f'HYPERVISOR = "kvm" & RACK != {vm.id}', rank=f"FREE_MEMORY + {vm.id}")
        for vm in vms(vm_count, shapes, "")[:OWN_EXPRESSIONS]
    )
    timed(f"{len(own)} VMs, own expressions", Snapshot(fleet, datastores(), own))
    for policy in ("ANTI_AFFINED", "AFFINED"):
        group = GroupView(0, (RoleView("role", policy, frozenset(range(100))),))
        timed(f"a group of 100, {policy}", Snapshot(fleet, datastores(), vms(100, 10, ""), groups=(group,)))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
