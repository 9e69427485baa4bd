"""Every domain is valid by libvirt's own schema, whatever its template holds."""

from pathlib import Path

import pytest
from hypervisor_vms import SYSTEM_DIR, make_vm
from lxml import etree

from merope.drivers.hypervisor.domain_xml import HostTraits, domain_text

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")

pytestmark = pytest.mark.skipif(not SCHEMA.exists(), reason=f"libvirt's schema {SCHEMA} is not installed")

ONE_OF_EVERYTHING = """
VCPU = 8
MEMORY = 1024
CPU_MODEL = [ MODEL = host-passthrough ]
TOPOLOGY = [ PIN_POLICY = THREAD, SOCKETS = 2, CORES = 2, THREADS = 2,
             HUGEPAGE_SIZE = 2, MEMORY_ACCESS = shared ]
NUMA_NODE = [ TOTAL_CPUS = 4, MEMORY = 524288, NODE_ID = 0, CPUS = "0,1,2,3" ]
NUMA_NODE = [ TOTAL_CPUS = 4, MEMORY = 524288, NODE_ID = 1, CPUS = "4,5,6,7" ]
OS = [ ARCH = x86_64, MACHINE = pc, KERNEL_DS = "$FILE[IMAGE_ID=1]", INITRD = "/boot/initrd", ROOT = vda1,
       KERNEL_CMD = "console=ttyS0 quiet", UUID = "4d68a6fe-2ea5-4c4e-8d7c-2b4d7f2a5a10" ]
FEATURES = [ PAE = yes, APIC = yes, HYPERV = yes, LOCALTIME = yes, GUEST_AGENT = yes, VIRTIO_SCSI_QUEUES = 2 ]
DISK = [ DISK_ID = 0, TARGET = vda, TYPE = FILE, DRIVER = qcow2, CACHE = none, IO = native, DISCARD = unmap,
         ORDER = 1,
         TOTAL_BYTES_SEC = 1000, TOTAL_BYTES_SEC_MAX = 2000, TOTAL_BYTES_SEC_MAX_LENGTH = 3,
         READ_IOPS_SEC = 5, WRITE_IOPS_SEC = 6 ]
DISK = [ DISK_ID = 1, TARGET = sda, TYPE = BLOCK, READONLY = YES ]
DISK = [ DISK_ID = 2, TARGET = sdb, TYPE = RBD, SOURCE = "one/one-1", CLONE = YES, CEPH_HOST = "a:6789 b",
         CEPH_USER = u, CEPH_SECRET = "4d68a6fe-2ea5-4c4e-8d7c-2b4d7f2a5a10" ]
DISK = [ DISK_ID = 3, TARGET = vdb, TYPE = GLUSTER, GLUSTER_HOST = "g:24007", GLUSTER_VOLUME = v,
         SOURCE = "1/x" ]
DISK = [ DISK_ID = 4, TARGET = vdc, TYPE = ISCSI, SOURCE = "iqn.2020-01.x:1/1", ISCSI_HOST = "h:3260",
         ISCSI_USER = u, ISCSI_USAGE = s ]
DISK = [ DISK_ID = 5, TARGET = vdd, TYPE = swap, FORMAT = raw ]
DISK = [ DISK_ID = 6, TARGET = hdb, TYPE = CDROM ]
CONTEXT = [ DISK_ID = 7, TARGET = hda, NETWORK = YES ]
NIC = [ NIC_ID = 0, BRIDGE = onebr0, BRIDGE_TYPE = linux, MAC = "02:00:0a:01:00:05", TARGET = one-7-0,
        MODEL = virtio, VIRTIO_QUEUES = 2, FILTER = clean-traffic, IP = "10.1.0.5", ORDER = 2,
        INBOUND_AVG_BW = 100, INBOUND_PEAK_BW = 200, INBOUND_PEAK_KB = 50, OUTBOUND_AVG_BW = 100 ]
NIC = [ NIC_ID = 1, BRIDGE = ovs0, BRIDGE_TYPE = openvswitch, MAC = "02:00:0a:01:00:06" ]
NIC = [ NIC_ID = 2, BRIDGE_TYPE = none, MAC = "02:00:0a:01:00:07" ]
GRAPHICS = [ TYPE = VNC, LISTEN = "0.0.0.0", PORT = 5907, PASSWD = secret, KEYMAP = en-us ]
GRAPHICS = [ TYPE = SPICE, PORT = 5908 ]
INPUT = [ TYPE = tablet, BUS = usb ]
PCI = [ DOMAIN = "0000", BUS = "3b", SLOT = "00", FUNCTION = "1", VM_BUS = "01",
        VM_SLOT = "02", VM_FUNCTION = "0" ]
RAW = [ TYPE = kvm, DATA = "<devices><serial type='pty'/><console type='pty'/></devices>
        <qemu:commandline><qemu:arg value='-no-hpet'/></qemu:commandline>" ]
"""

TEMPLATES = {
    "nothing but memory": "",
    "one of everything": ONE_OF_EVERYTHING,
    "boot by kinds": "OS = [ BOOT = 'hd' ]\nDISK = [ DISK_ID = 0, TARGET = sda, TYPE = FILE ]".replace(
        "'", '"'
    ),
    "UEFI": "OS = [ FIRMWARE = UEFI, MACHINE = q35 ]",
    "UEFI that starts what is signed": "OS = [ FIRMWARE = UEFI, MACHINE = q35, FIRMWARE_SECURE = YES ]",
    "a firmware of the host": 'OS = [ FIRMWARE = "/usr/share/OVMF/OVMF_CODE.fd", FIRMWARE_SECURE = YES ]',
    "without acpi": 'FEATURES = [ ACPI = "no" ]',
    "a named model": 'CPU_MODEL = [ MODEL = "Nehalem" ]',
    "graphics by themselves": "GRAPHICS = [ TYPE = VNC ]\nGRAPHICS = [ TYPE = SDL ]",
}


@pytest.fixture(scope="module")
def schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(str(SCHEMA)))


@pytest.mark.parametrize("kind", ["kvm", "qemu"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_domain_is_valid_by_libvirts_schema(schema: etree.RelaxNG, name: str, kind: str) -> None:
    text = domain_text(make_vm(TEMPLATES[name]), SYSTEM_DIR, HostTraits(kind, "/usr/bin/qemu-system-x86_64"))
    assert schema.validate(etree.fromstring(text)), f"{schema.error_log}\n{text}"
