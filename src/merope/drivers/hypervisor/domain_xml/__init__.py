"""The libvirt document of a virtual machine, built element by element from its template.

`domain` is a pure function of the VM, the directory of its disks and what the host is like. The attributes
are those of the Virtual Machine Template (OpenNebula 5.12); what a template leaves open is in
`settings.DEFAULTS`, which a site may replace.
"""

from merope.drivers.hypervisor.domain_xml.domain import (
    domain,
    domain_name,
    domain_text,
    domain_uuid,
    vm_id_of,
)
from merope.drivers.hypervisor.domain_xml.settings import DEFAULTS, HostTraits, read_defaults

__all__ = [
    "DEFAULTS",
    "HostTraits",
    "domain",
    "domain_name",
    "domain_text",
    "domain_uuid",
    "read_defaults",
    "vm_id_of",
]
