"""VMs and domains that the tests of hypervisor drivers share."""

from pathlib import Path
from xml.etree.ElementTree import Element

from merope.drivers.hypervisor.domain_xml import HostTraits, domain
from merope.model.template import Template
from merope.model.vm import VM, History

SYSTEM_DIR = Path("/var/lib/one/datastores/0/7")
EMULATED = HostTraits("qemu")


def make_vm(text: str = "", vm_id: int = 7) -> VM:
    """A VM whose template is the text, over 64 MB and a tenth of a CPU."""
    template = Template.parse('MEMORY = "64"\nCPU = "0.1"\n')
    template.merge(Template.parse(text))
    record = History(oid=vm_id, seq=0, hostname="node1", hid=0, cid=0, stime=0, ds_id=100)
    return VM(
        id=vm_id,
        uid=2,
        gid=1,
        uname="ann",
        gname="users",
        name="web & <db>",
        stime=1700000000,
        template=template,
        history_records=[record],
    )


def make_domain(text: str = "", host: HostTraits = EMULATED, defaults: Template | None = None) -> Element:
    """The domain of such a VM, on a host that emulates unless told otherwise."""
    return domain(make_vm(text), SYSTEM_DIR, host, defaults)
