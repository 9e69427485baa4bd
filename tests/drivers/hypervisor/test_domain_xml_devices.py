"""The devices of a domain: disks, network interfaces, graphics, inputs, PCI."""

import pytest
from hypervisor_vms import SYSTEM_DIR, make_domain

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.domain_xml import HostTraits


def disk(rest: str) -> str:
    return f"DISK = [ DISK_ID = 0, TARGET = vda, {rest} ]"


def test_a_file_disk_is_opened_in_the_system_directory() -> None:
    found = make_domain(disk("TYPE = FILE, DRIVER = qcow2")).find("devices/disk")
    assert found is not None
    assert (found.get("type"), found.get("device")) == ("file", "disk")
    assert found.find(f"source[@file='{SYSTEM_DIR}/disk.0']") is not None
    driver = found.find("driver")
    assert driver is not None
    assert (driver.get("name"), driver.get("type"), driver.get("cache")) == ("qemu", "qcow2", "none")


@pytest.mark.parametrize(
    ("target", "os", "bus"),
    [
        ("hda", "", "ide"),
        ("hda", 'OS = [ MACHINE = "pc-q35-7.2" ]', "sata"),
        ("vdb", "", "virtio"),
        ("xvda", "", "xen"),
        ("sda", "", "scsi"),
        ("sda", "OS = [ SD_DISK_BUS = sata ]", "sata"),
        ("sda", "OS = [ SD_DISK_BUS = usb ]", "usb"),
    ],
)
def test_the_bus_follows_from_the_target(target: str, os: str, bus: str) -> None:
    found = make_domain(f"DISK = [ DISK_ID = 0, TYPE = FILE, TARGET = {target} ]\n{os}").find(
        "devices/disk/target"
    )
    assert found is not None
    assert (found.get("dev"), found.get("bus")) == (target, bus)


@pytest.mark.parametrize("target", ["", "sd", "../a", "vda1", "nvme0"])
def test_a_target_that_no_bus_has_is_refused(target: str) -> None:
    with pytest.raises(DriverError, match="DISK 0 has the target"):
        make_domain(f'DISK = [ DISK_ID = 0, TYPE = FILE, TARGET = "{target}" ]')


def test_a_disk_without_a_number_is_refused() -> None:
    with pytest.raises(DriverError, match="DISK_ID"):
        make_domain('DISK = [ DISK_ID = "../x", TYPE = FILE, TARGET = vda ]')


def test_scsi_disks_share_one_virtio_controller_at_fixed_addresses() -> None:
    domain = make_domain(
        "DISK = [ DISK_ID = 0, TYPE = FILE, TARGET = sda ]\n"
        "DISK = [ DISK_ID = 1, TYPE = FILE, TARGET = sdc ]\n"
        'FEATURES = [ VIRTIO_SCSI_QUEUES = "4" ]'
    )
    assert [address.get("target") for address in domain.findall("devices/disk/address")] == ["0", "2"]
    controllers = domain.findall("devices/controller")
    assert [(item.get("type"), item.get("model")) for item in controllers] == [("scsi", "virtio-scsi")]
    assert controllers[0].find("driver[@queues='4']") is not None


def test_no_scsi_controller_without_a_scsi_disk() -> None:
    assert make_domain(disk("TYPE = FILE")).find("devices/controller") is None


def test_driver_options_come_from_the_disk() -> None:
    driver = make_domain(disk("TYPE = FILE, CACHE = writeback, IO = threads, DISCARD = unmap")).find(
        "devices/disk/driver"
    )
    assert driver is not None
    assert driver.attrib == {
        "name": "qemu",
        "type": "raw",
        "cache": "writeback",
        "io": "threads",
        "discard": "unmap",
    }


def test_a_read_only_disk() -> None:
    assert make_domain(disk("TYPE = FILE, READONLY = YES")).find("devices/disk/readonly") is not None
    assert make_domain(disk("TYPE = FILE, READONLY = NO")).find("devices/disk/readonly") is None


def test_a_cdrom_image_is_a_read_only_cdrom() -> None:
    found = make_domain("DISK = [ DISK_ID = 2, TARGET = hdc, TYPE = CDROM, DRIVER = qcow2 ]").find(
        "devices/disk"
    )
    assert found is not None
    assert found.get("device") == "cdrom"
    assert found.find("readonly") is not None
    assert found.find("driver[@type='raw']") is not None


def test_limits_are_passed_on() -> None:
    tune = make_domain(
        disk("TYPE = FILE, TOTAL_IOPS_SEC = 100, READ_BYTES_SEC = 4096, WRITE_BYTES_SEC_MAX_LENGTH = 5")
    ).find("devices/disk/iotune")
    assert tune is not None
    assert {limit.tag: limit.text for limit in tune} == {
        "total_iops_sec": "100",
        "read_bytes_sec": "4096",
        "write_bytes_sec_max_length": "5",
    }


def test_a_limit_that_is_no_number_is_refused() -> None:
    with pytest.raises(DriverError, match="DISK 0: TOTAL_IOPS_SEC is 'fast'"):
        make_domain(disk("TYPE = FILE, TOTAL_IOPS_SEC = fast"))


@pytest.mark.parametrize("kind", ["fs", "swap"])
def test_a_volatile_disk_lies_where_its_disk_type_says(kind: str) -> None:
    assert make_domain(disk(f"TYPE = {kind}, FORMAT = qcow2")).find("devices/disk[@type='file']") is not None
    found = make_domain(disk(f"TYPE = {kind}, DISK_TYPE = BLOCK")).find("devices/disk")
    assert found is not None
    assert found.get("type") == "block"
    assert found.find(f"source[@dev='{SYSTEM_DIR}/disk.0']") is not None


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ('SOURCE = "one/one-3", CLONE = YES', "one/one-3-7-0"),
        ('SOURCE = "one/one-3", CLONE = NO', "one/one-3"),
        ('POOL_NAME = "fast"', "fast/one-sys-7-0"),
    ],
)
def test_a_ceph_disk_is_the_vms_own_copy_or_the_image(attributes: str, name: str) -> None:
    source = make_domain(
        disk(f'TYPE = RBD, CEPH_HOST = "m1:6789 [::1]:6790 m3", CEPH_USER = u, CEPH_SECRET = s, {attributes}')
    ).find("devices/disk[@type='network']/source")
    assert source is not None
    assert (source.get("protocol"), source.get("name")) == ("rbd", name)
    hosts = [(host.get("name"), host.get("port")) for host in source.findall("host")]
    assert hosts == [("m1", "6789"), ("::1", "6790"), ("m3", None)]
    assert source.find("auth[@username='u']/secret[@uuid='s']") is not None


def test_a_gluster_disk() -> None:
    source = make_domain(
        disk('TYPE = GLUSTER, CLONE = YES, SOURCE = "x/y", GLUSTER_HOST = "g1:24007", GLUSTER_VOLUME = vol')
    ).find("devices/disk/source")
    assert source is not None
    assert (source.get("protocol"), source.get("name")) == ("gluster", "vol/100/7/disk.0")
    assert source.find("host[@transport='tcp']") is not None


def test_an_iscsi_disk_logs_in_with_a_secret_that_libvirt_keeps() -> None:
    source = make_domain(
        disk(
            'TYPE = ISCSI, SOURCE = "iqn.2020-01.x:1/1", '
            'ISCSI_HOST = "h:3260", ISCSI_USER = u, ISCSI_USAGE = s'
        )
    ).find("devices/disk/source")
    assert source is not None
    assert (source.get("protocol"), source.get("name")) == ("iscsi", "iqn.2020-01.x:1/1")
    assert source.find("auth/secret[@usage='s']") is not None


def test_a_disk_type_that_nobody_opens_is_refused() -> None:
    with pytest.raises(DriverError, match="DISK 0 has the type SHEEPDOG"):
        make_domain(disk("TYPE = SHEEPDOG"))


def test_the_context_is_a_read_only_cdrom() -> None:
    found = make_domain('CONTEXT = [ TARGET = hda, DISK_ID = 1, PAGE = "hello" ]').find("devices/disk")
    assert found is not None
    assert found.get("device") == "cdrom"
    assert found.find(f"source[@file='{SYSTEM_DIR}/disk.1']") is not None
    assert found.find("readonly") is not None


def test_a_nic_on_a_linux_bridge() -> None:
    nic = make_domain(
        'NIC = [ NIC_ID = 0, BRIDGE = onebr0, BRIDGE_TYPE = linux, MAC = "02:00:0a:01:00:05", '
        "TARGET = one-7-0, MODEL = virtio, VIRTIO_QUEUES = 2 ]"
    ).find("devices/interface")
    assert nic is not None
    assert nic.get("type") == "bridge"
    assert nic.find("source[@bridge='onebr0']") is not None
    assert nic.find("virtualport") is None
    assert nic.find("mac[@address='02:00:0a:01:00:05']") is not None
    assert nic.find("target[@dev='one-7-0']") is not None
    assert nic.find("model[@type='virtio']") is not None
    assert nic.find("driver[@queues='2']") is not None


def test_a_nic_on_an_open_vswitch() -> None:
    nic = make_domain("NIC = [ NIC_ID = 0, BRIDGE = ovsbr0, BRIDGE_TYPE = openvswitch ]").find(
        "devices/interface"
    )
    assert nic is not None
    assert nic.find("virtualport[@type='openvswitch']") is not None


def test_a_nic_without_a_bridge_is_a_plain_tap() -> None:
    nic = make_domain("NIC = [ NIC_ID = 0, SCRIPT = x ]").find("devices/interface[@type='ethernet']")
    assert nic is not None
    assert nic.find("script[@path='x']") is not None


def test_a_nic_of_dpdk_speaks_over_a_socket_of_the_vm() -> None:
    source = make_domain(
        "NIC = [ NIC_ID = 0, BRIDGE = b, BRIDGE_TYPE = openvswitch_dpdk, TARGET = one-7-0, MODEL = virtio ]"
    ).find("devices/interface[@type='vhostuser']/source")
    assert source is not None
    assert source.get("path") == f"{SYSTEM_DIR}/one-7-0"


def test_a_filter_knows_the_address_of_the_nic() -> None:
    parameters = make_domain(
        'NIC = [ NIC_ID = 0, BRIDGE = b, FILTER = clean-traffic, IP = "10.0.0.5", MAC = "02:00:0a:00:00:05" ]'
    ).findall("devices/interface/filterref/parameter")
    assert {item.get("name"): item.get("value") for item in parameters} == {
        "IP": "10.0.0.5",
        "MAC": "02:00:0a:00:00:05",
    }


def test_bandwidth_is_given_for_each_direction() -> None:
    bandwidth = make_domain(
        "NIC = [ NIC_ID = 0, BRIDGE = b, INBOUND_AVG_BW = 100, INBOUND_PEAK_BW = 200, INBOUND_PEAK_KB = 50, "
        "OUTBOUND_PEAK_BW = 300 ]"
    ).find("devices/interface/bandwidth")
    assert bandwidth is not None
    assert {item.tag: item.attrib for item in bandwidth} == {
        "inbound": {"average": "100", "peak": "200", "burst": "50"},
        "outbound": {"average": "300", "peak": "300"},
    }


def test_graphics_on_a_given_port() -> None:
    found = make_domain(
        'GRAPHICS = [ TYPE = VNC, LISTEN = "127.0.0.1", PORT = 5907, PASSWD = "s&s", KEYMAP = "de" ]'
    ).find("devices/graphics")
    assert found is not None
    assert found.attrib == {
        "type": "vnc",
        "port": "5907",
        "listen": "127.0.0.1",
        "passwd": "s&s",
        "keymap": "de",
    }


def test_graphics_without_a_port_leave_the_choice_to_libvirt() -> None:
    assert make_domain("GRAPHICS = [ TYPE = vnc ]").find("devices/graphics[@autoport='yes']") is not None


def test_spice_brings_its_devices() -> None:
    devices = make_domain("GRAPHICS = [ TYPE = SPICE, PORT = 5907 ]").find("devices")
    assert devices is not None
    assert {"video", "sound", "channel"} <= {device.tag for device in devices}


def test_sdl_needs_no_port() -> None:
    found = make_domain("GRAPHICS = [ TYPE = SDL ]").find("devices/graphics")
    assert found is not None
    assert found.attrib == {"type": "sdl"}


def test_unknown_graphics_are_refused() -> None:
    with pytest.raises(DriverError, match="GRAPHICS/TYPE is 'HOLOGRAM'"):
        make_domain("GRAPHICS = [ TYPE = hologram ]")


def test_inputs_are_listed() -> None:
    domain = make_domain("INPUT = [ TYPE = tablet, BUS = usb ]\nINPUT = [ TYPE = mouse, BUS = ps2 ]")
    found = [(item.get("type"), item.get("bus")) for item in domain.findall("devices/input")]
    assert found == [("tablet", "usb"), ("mouse", "ps2")]


def test_the_emulator_of_the_vm_wins_over_that_of_the_host() -> None:
    host = HostTraits("qemu", "/usr/bin/qemu-system-x86_64")
    assert make_domain("", host).findtext("devices/emulator") == "/usr/bin/qemu-system-x86_64"
    assert make_domain('EMULATOR = "/opt/qemu"', host).findtext("devices/emulator") == "/opt/qemu"


def test_a_pci_device_is_handed_over_by_its_address() -> None:
    device = make_domain(
        'PCI = [ DOMAIN = "0000", BUS = "3b", SLOT = "00", FUNCTION = "1", VM_BUS = "01", VM_SLOT = "02", '
        'VM_FUNCTION = "0" ]'
    ).find("devices/hostdev")
    assert device is not None
    source = device.find("source/address")
    assert source is not None
    assert (source.get("bus"), source.get("function")) == ("0x3b", "0x1")
    address = device.find("address")
    assert address is not None
    assert address.get("slot") == "0x2"


def test_a_pci_device_without_an_address_is_refused() -> None:
    with pytest.raises(DriverError, match="PCI device has no address"):
        make_domain('PCI = [ VENDOR = "10de" ]')
