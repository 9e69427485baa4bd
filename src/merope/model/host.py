"""Hosts: what runs the virtual machines."""

from dataclasses import dataclass, field
from typing import Annotated

from merope.model.document import (
    Attributes,
    Cdata,
    Document,
    IdSet,
    Integer,
    Nested,
    Text,
    document,
    new_ids,
    new_template,
)
from merope.model.template import Template
from merope.model.topology import NumaNodes


def _no_disks() -> Template:
    return Template([(name, "0") for name in ("DISK_USAGE", "FREE_DISK", "MAX_DISK", "USED_DISK")])


@document("HOST_SHARE")
@dataclass(slots=True)
class HostShare(Document):
    """Capacity and what VMs have of it: memory in KB, CPU in percent of one CPU.

    `total_*` is what was measured, `max_*` that less what is reserved, `*_usage` what is allocated. A CPU is
    given to `vms_thread` pinned VMs at most; `pci_devices` are vectors PCI, whose VMID is the VM that has it.
    """

    mem_usage: Integer = 0
    cpu_usage: Integer = 0
    total_mem: Integer = 0
    total_cpu: Integer = 0
    max_mem: Integer = 0
    max_cpu: Integer = 0
    running_vms: Integer = 0
    vms_thread: Integer = 1
    datastores: Attributes = field(default_factory=_no_disks)
    pci_devices: Attributes = new_template()
    numa_nodes: NumaNodes = field(default_factory=list)


@document("HOST")
@dataclass(slots=True)
class Host(Document):
    """`state` is a HostState. MONITORING of the stored document is empty; the last figures live beside it."""

    id: Integer
    name: Text
    state: Integer = 0
    prev_state: Integer = 0
    im_mad: Cdata = ""
    vm_mad: Cdata = ""
    cluster_id: Integer = 0
    cluster: Text = ""
    host_share: Annotated[HostShare, Nested(HostShare, HostShare)] = field(default_factory=HostShare)
    vms: IdSet = new_ids()
    template: Attributes = new_template()
    monitoring: Attributes = new_template()
