"""The libvirt driver against libvirt's own test hypervisor, which runs inside this process."""

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypervisor_vms import make_domain, make_vm
from tests.drivers.contract_hypervisor import HypervisorContract, SaveContract, SnapshotContract, find

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import DomainState, Hypervisor
from merope.drivers.hypervisor.domain_xml import HostTraits, domain_text
from merope.drivers.hypervisor.host_figures import LONG_WHILE
from merope.drivers.hypervisor.libvirt import LibvirtHypervisor
from merope.drivers.hypervisor.libvirt_api import Connection, Paused, ShutOff, State, load
from merope.drivers.hypervisor.libvirt_domains import moved_to
from merope.drivers.hypervisor.libvirt_monitor import HostReader, domain_state, machine_types
from merope.drivers.hypervisor.libvirt_session import Session
from merope.drivers.hypervisor.libvirt_settings import KvmSettings
from merope.model.template import Vector
from merope.model.vm import VM

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libvirt") is None, reason="libvirt's Python binding is not installed"
)

NODE = "<node><memory>16777216</memory></node>"
DISK = "DISK = [ DISK_ID = 0, TARGET = vda, TYPE = FILE ]"


class StepClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


class LibvirtCase:
    """A host that is libvirt's test hypervisor; every connection to a node file is a host of its own."""

    other: Hypervisor | None = None
    other_name = ""

    def __init__(self, directory: Path) -> None:
        node = directory / "node.xml"
        node.write_text(NODE)
        self.system_dir = directory / "7"
        self.system_dir.mkdir()
        (self.system_dir / "disk.0").touch()
        self.settings = KvmSettings(
            uri=f"test://{node}", traits=HostTraits("test"), datastores=directory, shutdown_timeout=180.0
        )
        self.clock = StepClock()
        self.session = Session(self.settings.uri)
        self.libvirt = LibvirtHypervisor(self.settings, self.session, self.clock)
        self.driver: Hypervisor = self.libvirt

    def vm(self, vm_id: int) -> VM:
        return make_vm(DISK, vm_id)

    def plugged(self, vm_id: int) -> VM:
        pytest.skip("libvirt's test hypervisor has no devices to plug")

    def exists(self, path: Path) -> bool:
        return path.exists()


@pytest.fixture
def case(tmp_path: Path) -> Iterator[LibvirtCase]:
    made = LibvirtCase(tmp_path)
    yield made
    made.libvirt.close()


class TestLibvirtHypervisor(HypervisorContract, SaveContract, SnapshotContract):
    """The contract of every hypervisor."""


def create_wild(case: LibvirtCase, name: str = "wild") -> None:
    text = domain_text(make_vm(), case.system_dir, HostTraits("test")).replace("one-7", name)
    case.session.run(lambda connection: connection.createXML(text, 0))


def test_a_domain_that_is_not_ours_is_listed_as_wild(case: LibvirtCase) -> None:
    create_wild(case)
    assert [(domain.name, domain.vm_id) for domain in case.driver.domains()] == [("wild", None)]


def test_the_domain_of_another_cloud_is_not_taken_for_ours(case: LibvirtCase) -> None:
    case.driver.deploy(replace(case.vm(7), stime=1), case.system_dir)
    with pytest.raises(DriverError, match="one-7 runs on this host, and it is another cloud's"):
        case.driver.deploy(case.vm(7), case.system_dir)


def test_a_missing_disk_is_named(case: LibvirtCase) -> None:
    (case.system_dir / "disk.0").unlink()
    with pytest.raises(DriverError, match=r"VM 7: there is no .*/disk\.0 on this host"):
        case.driver.deploy(case.vm(7), case.system_dir)


def test_an_error_has_the_words_of_libvirt(case: LibvirtCase) -> None:
    with pytest.raises(DriverError, match="Domain not found"):
        case.driver.reboot("one-7")


def test_libvirt_prints_no_errors_of_its_own(case: LibvirtCase, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DriverError):
        case.driver.reboot("one-7")
    assert capfd.readouterr() == ("", "")


def test_a_paused_domain_is_resumed_by_restore(case: LibvirtCase) -> None:
    vm = case.vm(7)
    deploy_id = case.driver.deploy(vm, case.system_dir)
    case.session.run(lambda connection: connection.lookupByName(deploy_id).suspend())  # type: ignore[attr-defined]
    paused = find(case.driver, deploy_id)
    assert paused is not None
    assert paused.state is DomainState.SUSPENDED
    case.driver.restore(vm, deploy_id, case.system_dir / "checkpoint", case.system_dir)
    resumed = find(case.driver, deploy_id)
    assert resumed is not None
    assert resumed.state is DomainState.RUNNING


def test_a_checkpoint_that_moved_finds_its_disks_where_they_are_now(case: LibvirtCase) -> None:
    template = f'{DISK}\nOS = [ KERNEL_DS = "$FILE[IMAGE_ID=1]" ]'
    vm = make_vm(template)
    saved = domain_text(vm, case.system_dir, HostTraits("test"))
    moved = moved_to(saved, vm, Path("/new/7"), make_domain(template))
    assert moved is not None
    assert 'file="/new/7/disk.0"' in moved
    assert "<kernel>/new/7/kernel</kernel>" in moved
    assert str(case.system_dir) not in moved


def test_a_checkpoint_in_place_needs_no_other_description(case: LibvirtCase) -> None:
    vm = make_vm(DISK)
    saved = domain_text(vm, case.system_dir, HostTraits("test"))
    assert moved_to(saved, vm, case.system_dir, make_domain(DISK)) is None


def test_a_guest_that_goes_on_elsewhere_has_the_cpus_that_it_was_given_there(case: LibvirtCase) -> None:
    pinned = (
        "VCPU = 2\nTOPOLOGY = [ PIN_POLICY = THREAD, SOCKETS = 1, CORES = 1, THREADS = 2 ]\n"
        'NUMA_NODE = [ TOTAL_CPUS = 2, MEMORY = 65536, NODE_ID = {0}, MEMORY_NODE_ID = {0}, CPUS = "{1}" ]\n'
    )
    saved = domain_text(make_vm(pinned.format(0, "0,4")), case.system_dir, HostTraits("test"))
    here = pinned.format(1, "3,7")
    moved = moved_to(saved, make_vm(here), case.system_dir, make_domain(here))
    assert moved is not None
    root = ElementTree.fromstring(moved)
    pins = [(pin.get("vcpu"), pin.get("cpuset")) for pin in root.findall("cputune/vcpupin")]
    assert pins == [("0", "3"), ("1", "7")]
    assert [node.get("nodeset") for node in root.findall("numatune/memnode")] == ["1"]
    assert [cell.get("cpus") for cell in root.findall("cpu/numa/cell")] == ["0-1"]


def test_a_snapshots_id_that_is_given_again_is_another_snapshot(case: LibvirtCase) -> None:
    vm = case.vm(7)
    deploy_id = case.driver.deploy(vm, case.system_dir)
    for time in ("100", "200"):
        vm.template.set("SNAPSHOT", Vector({"SNAPSHOT_ID": "0", "TIME": time}))
        for _ in range(2):
            case.driver.snapshot_create(vm, deploy_id, 0, case.system_dir)
        assert f"<description>{time}</description>" in (case.system_dir / "snap-0.xml").read_text()


@pytest.mark.parametrize("name", ["../snap-0", "snap-0/../../x", "other"])
def test_a_snapshots_name_leads_nowhere_else(case: LibvirtCase, name: str) -> None:
    with pytest.raises(DriverError, match="is not the name of a snapshot"):
        case.driver.snapshot_delete(case.vm(7), "one-7", name, case.system_dir)


def test_a_domain_knows_the_files_that_its_disks_are_links_to(case: LibvirtCase) -> None:
    (case.system_dir / "disk.0.snap").mkdir()
    (case.system_dir / "disk.0").rename(case.system_dir / "disk.0.snap" / "3")
    (case.system_dir / "disk.0").symlink_to("disk.0.snap/3")
    deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
    described = case.session.run(lambda connection: connection.lookupByName(deploy_id).XMLDesc())
    assert f"<source file='{case.system_dir}/disk.0.snap/3'/>" in described


class Deaf(LibvirtHypervisor):
    """A host whose guests don't hear the power button."""

    presses = 0

    def _press_power_button(self, name: str) -> None:
        self.presses += 1


def deaf_host(case: LibvirtCase, settings: KvmSettings) -> Deaf:
    return Deaf(settings, case.session, case.clock)


def test_a_guest_that_does_not_power_off_fails_the_shutdown_in_time(case: LibvirtCase) -> None:
    deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
    host = deaf_host(case, case.settings)
    with pytest.raises(DriverError, match="did not power off within 180 s"):
        host.shutdown(deploy_id)
    assert 180 <= case.clock.now < 181
    assert find(case.driver, deploy_id) is not None


def test_the_power_button_is_pressed_again_while_the_guest_does_not_hear(case: LibvirtCase) -> None:
    deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
    host = deaf_host(case, replace(case.settings, shutdown_timeout=35.0))
    with pytest.raises(DriverError):
        host.shutdown(deploy_id)
    assert host.presses == 4


def test_a_site_may_force_what_does_not_power_off(case: LibvirtCase) -> None:
    deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
    deaf_host(case, replace(case.settings, force_destroy=True)).shutdown(deploy_id)
    assert find(case.driver, deploy_id) is None


@pytest.mark.parametrize("name", ["", "h/system?command=x", "a b", "-x", "h?x", "h#x", "h\n"])
def test_a_destination_is_the_name_of_a_host_and_nothing_more(case: LibvirtCase, name: str) -> None:
    deploy_id = case.driver.deploy(case.vm(7), case.system_dir)
    with pytest.raises(DriverError, match="is not the name of a host"):
        case.driver.migrate(deploy_id, name)


def test_migration_goes_to_the_system_of_the_other_host(case: LibvirtCase) -> None:
    assert case.libvirt.destination_uri("node-2.site") == "qemu+ssh://node-2.site/system"


def test_a_connection_that_broke_is_opened_again(case: LibvirtCase) -> None:
    opened = []
    binding = load()

    class Counting:
        libvirtError = binding.libvirtError  # noqa: N815

        def open(self, name: str | None = None) -> Connection:
            opened.append(name)
            return binding.open(name)

    session = Session(case.settings.uri, Counting)  # type: ignore[arg-type]
    calls = []

    def operation(connection: Connection) -> str:
        calls.append(connection)
        if len(calls) == 1:
            connection.close()
            connection.lookupByName("anything")
        return "done"

    assert session.run(operation) == "done"
    assert len(opened) == 2
    session.close()


def test_an_unknown_place_is_an_error_that_may_pass(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="cannot connect to test:///") as caught:
        LibvirtHypervisor(KvmSettings(uri=f"test://{tmp_path}/none.xml")).domains()
    assert caught.value.retry_safe


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (State.RUNNING, 1, DomainState.RUNNING),
        (State.BLOCKED, 0, DomainState.RUNNING),
        (State.SHUTDOWN, 0, DomainState.RUNNING),
        (State.PAUSED, Paused.USER, DomainState.SUSPENDED),
        (State.PAUSED, Paused.IOERROR, DomainState.SUSPENDED),
        (State.PAUSED, Paused.MIGRATION, DomainState.RUNNING),
        (State.PAUSED, Paused.SAVE, DomainState.RUNNING),
        (State.PAUSED, Paused.STARTING_UP, DomainState.RUNNING),
        (State.PAUSED, Paused.CRASHED, DomainState.FAILURE),
        (State.PMSUSPENDED, 0, DomainState.SUSPENDED),
        (State.CRASHED, 0, DomainState.FAILURE),
        (State.SHUTOFF, ShutOff.CRASHED, DomainState.FAILURE),
        (State.SHUTOFF, 1, DomainState.POWEROFF),
    ],
)
def test_every_state_of_libvirt_has_one_of_ours(state: int, reason: int, expected: DomainState) -> None:
    assert domain_state(state, reason) is expected


def test_cpu_use_is_what_was_used_between_two_readings(case: LibvirtCase) -> None:
    reader = case.libvirt._domains
    seen: dict[str, tuple[float, int]] = {}
    assert reader._cpu_since_last("u", 5 * 10**9, seen) == 0.0
    reader._cpu = seen
    case.clock.sleep(2.0)
    assert reader._cpu_since_last("u", 6 * 10**9, {}) == 50.0


def test_a_domain_started_anew_has_used_nothing_yet(case: LibvirtCase) -> None:
    reader = case.libvirt._domains
    reader._cpu = {"u": (0.0, 5 * 10**9)}
    case.clock.sleep(1.0)
    assert reader._cpu_since_last("u", 10**9, {}) == 0.0


def make_proc(directory: Path, busy: int, idle: int) -> Path:
    proc = directory / "proc"
    (proc / "net").mkdir(parents=True, exist_ok=True)
    (proc / "meminfo").write_text(
        "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\nHugePages_Total: 0\n"
    )
    (proc / "stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3\n")
    (proc / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast CPU\ncpu MHz\t\t: 2599.998\n")
    (proc / "net/dev").write_text("head\nhead\n    lo: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\n")
    return proc


def test_the_hosts_memory_and_cpu_come_from_proc(case: LibvirtCase, tmp_path: Path) -> None:
    proc = make_proc(tmp_path, busy=100, idle=100)
    reader = HostReader(case.settings, case.clock, proc)
    first = case.session.run(reader.read)
    assert (first.total_memory, first.used_memory) == (1000, 600)
    make_proc(tmp_path, busy=125, idle=175)
    second = case.session.run(reader.read)
    assert second.used_cpu == second.total_cpu // 4
    assert second.attributes["MODELNAME"] == "Fast CPU"
    assert second.attributes["CPUSPEED"] == "2599"


def test_cores_are_read_seldom_and_what_is_free_each_time(case: LibvirtCase, tmp_path: Path) -> None:
    root = tmp_path / "root"
    node = root / "sys/devices/system/node/node0"
    (root / "proc").mkdir(parents=True)
    node.mkdir(parents=True)
    (node / "cpulist").write_text("0-1\n")
    (root / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemFree: 100 kB\n")
    reader = HostReader(case.settings, case.clock, make_proc(tmp_path, 1, 1), root)
    names = [(name, vector.get("FREE")) for name, vector in case.session.run(reader.read).topology]
    assert names == [("CORE", None), ("CORE", None), ("MEMORY_NODE", "100")]
    (node / "cpulist").write_text("0\n")
    (root / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemFree: 50 kB\n")
    names = [(name, vector.get("FREE")) for name, vector in case.session.run(reader.read).topology]
    assert names == [("CORE", None), ("CORE", None), ("MEMORY_NODE", "50")]
    case.clock.sleep(LONG_WHILE)
    assert [name for name, _ in case.session.run(reader.read).topology] == ["CORE", "MEMORY_NODE"]


def test_each_datastore_on_the_host_is_measured(case: LibvirtCase) -> None:
    (case.settings.datastores / "100").mkdir()
    report = case.driver.report()
    assert set(report.datastores) == {7, 100}
    total, used, free = report.datastores[100]
    assert total > 0
    assert used + free <= total


def test_machine_types_are_those_of_the_hosts_architecture() -> None:
    capabilities = """<capabilities>
      <guest><os_type>hvm</os_type><arch name='i686'><machine>old</machine></arch></guest>
      <guest><os_type>hvm</os_type><arch name='x86_64'><machine>pc</machine><machine>q35</machine>
        <domain type='kvm'><machine>pc</machine></domain></arch></guest>
    </capabilities>"""
    assert list(machine_types(capabilities, "x86_64")) == ["pc", "q35"]
