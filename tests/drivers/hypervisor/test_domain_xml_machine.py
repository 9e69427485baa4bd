"""The machine part of a domain: who it is, processors, memory, what it boots, features, what RAW adds."""

from pathlib import Path

import pytest
from hypervisor_vms import SYSTEM_DIR, make_domain, make_vm
from hypothesis import given
from hypothesis import strategies as st

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.domain_xml import (
    HostTraits,
    domain_name,
    domain_text,
    read_defaults,
    vm_id_of,
)

KVM = HostTraits("kvm")


def test_a_domain_is_named_after_its_vm() -> None:
    assert make_domain().findtext("name") == "one-7"


@given(st.integers(min_value=0, max_value=2**31))
def test_a_domain_name_leads_back_to_its_vm(vm_id: int) -> None:
    assert vm_id_of(domain_name(vm_id)) == vm_id


@pytest.mark.parametrize("name", ["one-", "one-7b", "xone-7", "one-7\n", "test", "one--7", "one-٧"])
def test_any_other_name_is_wild(name: str) -> None:
    assert vm_id_of(name) is None


def test_memory_is_given_in_kib() -> None:
    memory = make_domain("MEMORY = 512").find("memory")
    assert memory is not None
    assert (memory.text, memory.get("unit")) == ("524288", "KiB")


@pytest.mark.parametrize("memory", ["0", "-1", "many"])
def test_a_memory_that_is_no_amount_is_refused_by_name(memory: str) -> None:
    with pytest.raises(DriverError, match="VM 7: MEMORY is"):
        make_domain(f'MEMORY = "{memory}"')


def test_a_vm_without_vcpu_has_one() -> None:
    assert make_domain().findtext("vcpu") == "1"


@pytest.mark.parametrize(
    ("cpu", "host", "shares"),
    [
        ("0.1", HostTraits(), "102"),
        ("2", HostTraits(), "2048"),
        ("0.001", HostTraits(), "2"),
        ("2", HostTraits(shares_per_cpu=100, share_limits=(1, 10000)), "200"),
        ("128", HostTraits(shares_per_cpu=100, share_limits=(1, 10000)), "10000"),
    ],
)
def test_cpu_becomes_a_weight_within_the_limits_of_the_host(cpu: str, host: HostTraits, shares: str) -> None:
    assert make_domain(f'CPU = "{cpu}"', host).findtext("cputune/shares") == shares


def test_the_uuid_stays_the_same_from_one_deployment_to_the_next() -> None:
    assert make_domain().findtext("uuid") == make_domain("MEMORY = 128").findtext("uuid")


def test_a_given_uuid_is_kept() -> None:
    given_uuid = "4d68a6fe-2ea5-4c4e-8d7c-2b4d7f2a5a10"
    assert make_domain(f'OS = [ UUID = "{given_uuid}" ]').findtext("uuid") == given_uuid


def test_a_uuid_that_is_none_is_refused() -> None:
    with pytest.raises(DriverError, match="OS/UUID is 'x'"):
        make_domain('OS = [ UUID = "x" ]')


def test_metadata_says_whose_vm_it_is_whatever_its_name_holds() -> None:
    text = domain_text(make_vm(), SYSTEM_DIR, KVM)
    assert '<one:vm xmlns:one="http://opennebula.org' not in text  # declared once, on the root
    assert "<one:name>web &amp; &lt;db&gt;</one:name>" in text
    assert "<one:id>7</one:id>" in text
    assert f"<one:system_datastore>{SYSTEM_DIR}</one:system_datastore>" in text


def test_two_texts_of_one_vm_are_equal() -> None:
    assert domain_text(make_vm(), SYSTEM_DIR, KVM) == domain_text(make_vm(), SYSTEM_DIR, KVM)


def test_architecture_and_machine_type() -> None:
    kind = make_domain('OS = [ ARCH = "i686", MACHINE = "q35" ]').find("os/type")
    assert kind is not None
    assert (kind.get("arch"), kind.get("machine"), kind.text) == ("i686", "q35", "hvm")


def test_a_kernel_that_is_an_image_lies_in_the_system_directory() -> None:
    os = make_domain(
        'OS = [ KERNEL_DS = "$FILE[IMAGE_ID=1]", INITRD_DS = "$FILE[IMAGE_ID=2]", '
        'ROOT = "vda1", KERNEL_CMD = "ro" ]'
    ).find("os")
    assert os is not None
    assert os.findtext("kernel") == f"{SYSTEM_DIR}/kernel"
    assert os.findtext("initrd") == f"{SYSTEM_DIR}/initrd"
    assert os.findtext("cmdline") == "root=/dev/vda1 ro"


@pytest.mark.parametrize(
    ("root", "expected"),
    [("/dev/sda", "root=/dev/sda"), ("UUID=1-2", "root=UUID=1-2"), ("xvda", "root=/dev/xvda")],
)
def test_a_root_is_a_device_however_it_is_written(root: str, expected: str) -> None:
    domain = make_domain(f'OS = [ KERNEL = "/boot/vmlinuz", ROOT = "{root}" ]')
    assert domain.findtext("os/kernel") == "/boot/vmlinuz"
    assert domain.findtext("os/cmdline") == expected


def test_no_command_line_without_a_kernel() -> None:
    assert make_domain('OS = [ ROOT = "vda1", KERNEL_CMD = "ro" ]').find("os/cmdline") is None


def test_the_boot_list_of_kinds_is_kept_where_no_device_has_an_order() -> None:
    domain = make_domain('OS = [ BOOT = "cdrom,hd" ]')
    assert [boot.get("dev") for boot in domain.findall("os/boot")] == ["cdrom", "hd"]


def test_an_order_on_a_device_replaces_the_boot_list() -> None:
    domain = make_domain(
        'OS = [ BOOT = "nic0,disk0" ]\nNIC = [ NIC_ID = 0, BRIDGE = br0, ORDER = 1 ]\n'
        "DISK = [ DISK_ID = 0, TARGET = vda, TYPE = FILE, ORDER = 2 ]"
    )
    assert domain.find("os/boot") is None
    orders = [boot.get("order") for boot in domain.iter("boot")]
    assert sorted(order or "" for order in orders) == ["1", "2"]


def test_a_boot_loader_is_named() -> None:
    assert make_domain('OS = [ BOOTLOADER = "/usr/bin/pygrub" ]').findtext("bootloader") == "/usr/bin/pygrub"


def test_acpi_is_on_unless_switched_off() -> None:
    assert [feature.tag for feature in make_domain().findall("features/*")] == ["acpi"]
    domain = make_domain('FEATURES = [ ACPI = "no", PAE = "yes", APIC = "yes" ]')
    assert [feature.tag for feature in domain.findall("features/*")] == ["pae", "apic"]


def test_hyperv_brings_its_options_and_its_clock() -> None:
    domain = make_domain('FEATURES = [ HYPERV = "yes", LOCALTIME = "yes" ]')
    assert [option.tag for option in domain.findall("features/hyperv/*")] == ["relaxed", "vapic", "spinlocks"]
    clock = domain.find("clock")
    assert clock is not None
    assert clock.get("offset") == "localtime"
    assert [timer.get("name") for timer in clock] == ["hypervclock"]


def test_a_guest_agent_gets_its_channel() -> None:
    target = make_domain('FEATURES = [ GUEST_AGENT = "yes" ]').find("devices/channel/target")
    assert target is not None
    assert target.get("name") == "org.qemu.guest_agent.0"


def test_the_balloon_reports_what_the_guest_uses() -> None:
    assert make_domain().find("devices/memballoon/stats[@period]") is not None


@pytest.mark.parametrize(
    ("model", "host", "mode"),
    [
        ("host-passthrough", KVM, "host-passthrough"),
        ("host-passthrough", HostTraits("qemu"), "maximum"),
        ("host-model", KVM, "host-model"),
    ],
)
def test_the_hosts_cpu_is_passed_through_only_where_there_is_one(
    model: str, host: HostTraits, mode: str
) -> None:
    cpu = make_domain(f'CPU_MODEL = [ MODEL = "{model}" ]', host).find("cpu")
    assert cpu is not None
    assert cpu.get("mode") == mode


def test_a_named_cpu_model_is_asked_for_exactly() -> None:
    cpu = make_domain('CPU_MODEL = [ MODEL = "Nehalem" ]').find("cpu")
    assert cpu is not None
    assert (cpu.get("mode"), cpu.get("match"), cpu.findtext("model")) == ("custom", "exact", "Nehalem")


@pytest.mark.parametrize(
    ("vcpu", "topology", "expected"),
    [
        (8, "SOCKETS = 2, CORES = 2, THREADS = 2", ("2", "2", "2")),
        (8, "CORES = 2", ("4", "2", "1")),
        (8, "SOCKETS = 2", ("2", "4", "1")),
        (8, "CORES = 2, THREADS = 2", ("2", "2", "2")),
    ],
)
def test_the_topology_always_multiplies_to_vcpu(
    vcpu: int, topology: str, expected: tuple[str, str, str]
) -> None:
    found = make_domain(f"VCPU = {vcpu}\nTOPOLOGY = [ {topology} ]").find("cpu/topology")
    assert found is not None
    assert (found.get("sockets"), found.get("cores"), found.get("threads")) == expected


def test_a_topology_that_does_not_multiply_to_vcpu_is_refused() -> None:
    with pytest.raises(DriverError, match="2 sockets of 2 cores of 2 threads, VCPU is 4"):
        make_domain("VCPU = 4\nTOPOLOGY = [ SOCKETS = 2, CORES = 2, THREADS = 2 ]")


PINNED = """
VCPU = 4
TOPOLOGY = [ PIN_POLICY = {policy}, SOCKETS = 2, CORES = 2, THREADS = 1,
             HUGEPAGE_SIZE = 2, MEMORY_ACCESS = shared ]
NUMA_NODE = [ TOTAL_CPUS = 2, MEMORY = 32768, NODE_ID = 0, CPUS = "0,4" ]
NUMA_NODE = [ TOTAL_CPUS = 2, MEMORY = 32768, NODE_ID = 1, CPUS = "1,5" ]
"""


def test_pinned_vcpus_get_a_cpu_each_and_memory_beside_it() -> None:
    domain = make_domain(PINNED.format(policy="THREAD"))
    pins = [(pin.get("vcpu"), pin.get("cpuset")) for pin in domain.findall("cputune/vcpupin")]
    assert pins == [("0", "0"), ("1", "4"), ("2", "1"), ("3", "5")]
    nodes = [(node.get("cellid"), node.get("nodeset")) for node in domain.findall("numatune/memnode")]
    assert nodes == [("0", "0"), ("1", "1")]
    cells = [(cell.get("cpus"), cell.get("memory"), cell.get("memAccess")) for cell in domain.iter("cell")]
    assert cells == [("0-1", "32768", "shared"), ("2-3", "32768", "shared")]
    page = domain.find("memoryBacking/hugepages/page")
    assert page is not None
    assert (page.get("size"), page.get("unit")) == ("2", "M")


def test_shared_pinning_lets_each_vcpu_run_on_all_cpus_of_its_node() -> None:
    pins = make_domain(PINNED.format(policy="SHARED")).findall("cputune/vcpupin")
    assert [pin.get("cpuset") for pin in pins] == ["0,4", "0,4", "1,5", "1,5"]


def test_no_pinning_without_a_policy() -> None:
    domain = make_domain(PINNED.format(policy="NONE"))
    assert domain.find("cputune/vcpupin") is None
    assert domain.find("numatune") is None


def raw(data: str, kind: str = "kvm") -> str:
    escaped = data.replace('"', '\\"')
    return f'RAW = [ TYPE = "{kind}", DATA = "{escaped}" ]'


def test_raw_devices_join_the_devices() -> None:
    domain = make_domain(raw("<devices><serial type='pty'/></devices>"))
    assert len(domain.findall("devices")) == 1
    assert domain.find("devices/serial") is not None
    assert domain.find("devices/memballoon") is not None


def test_raw_knows_libvirts_prefixes() -> None:
    domain = make_domain(raw("<qemu:commandline><qemu:arg value='-S'/></qemu:commandline>"))
    assert domain.find("{http://libvirt.org/schemas/domain/qemu/1.0}commandline") is not None


def test_raw_changes_what_is_there() -> None:
    vcpu = make_domain(raw("<vcpu placement='static' cpuset='1'>2</vcpu>")).find("vcpu")
    assert vcpu is not None
    assert (vcpu.text, vcpu.get("cpuset")) == ("2", "1")


def test_raw_of_another_hypervisor_is_not_ours() -> None:
    assert make_domain(raw("<not xml", kind="vmware")).find("not") is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("<devices>", "not well-formed"),
        ("</domain><domain>", "not well-formed"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "not well-formed"),
        ("plain words", "text outside"),
    ],
)
def test_raw_that_is_no_xml_is_refused_with_the_reason(data: str, why: str) -> None:
    with pytest.raises(DriverError, match=f"VM 7: RAW/DATA .*{why}"):
        make_domain(raw(data))


def test_a_site_may_have_its_own_defaults(tmp_path: Path) -> None:
    path = tmp_path / "vmm_exec_kvm.conf"
    path.write_text('EMULATOR = "/opt/qemu"\nNIC = [ MODEL = "virtio" ]\nFEATURES = [ APIC = "yes" ]\n')
    domain = make_domain("NIC = [ NIC_ID = 0, BRIDGE = br0 ]", defaults=read_defaults(path))
    assert domain.findtext("devices/emulator") == "/opt/qemu"
    assert domain.find("devices/interface/model[@type='virtio']") is not None
    assert [feature.tag for feature in domain.findall("features/*")] == ["acpi", "apic"]


def test_wrong_defaults_name_their_file(tmp_path: Path) -> None:
    path = tmp_path / "vmm_exec_kvm.conf"
    path.write_text("FEATURES = [")
    with pytest.raises(DriverError, match=r"vmm_exec_kvm\.conf: .*line 1"):
        read_defaults(path)


def test_a_uefi_guest_keeps_its_variables_beside_its_disks() -> None:
    os = make_domain("OS = [ FIRMWARE = UEFI ]").find("os")
    assert os is not None
    assert os.get("firmware") == "efi"
    assert os.findtext("nvram") == str(SYSTEM_DIR / "nvram")


def test_a_firmware_of_the_host_is_its_loader() -> None:
    loader = make_domain('OS = [ FIRMWARE = "/usr/share/OVMF/OVMF_CODE.fd" ]').find("os/loader")
    assert loader is not None
    assert (loader.text, loader.get("type")) == ("/usr/share/OVMF/OVMF_CODE.fd", "pflash")


def test_a_firmware_that_is_none_is_refused() -> None:
    with pytest.raises(DriverError, match="OS/FIRMWARE is 'coreboot', expected BIOS, UEFI or the path"):
        make_domain("OS = [ FIRMWARE = coreboot ]")


def test_bios_is_what_there_is_without_a_word() -> None:
    assert make_domain("OS = [ FIRMWARE = BIOS ]").find("os/nvram") is None
