"""What a real guest does under the libvirt driver: boot, context, power off, memory, disk, wild ones."""

import shutil
import time
from pathlib import Path

import pytest
from tests.drivers.contract_hypervisor import find
from tests.real.machine import Host, eventually

from merope.daemon.libvirtd import OwnLibvirtd
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import DomainState
from merope.drivers.hypervisor.domain_xml import domain_text
from merope.drivers.hypervisor.libvirt_session import Session
from merope.model.template import Vector

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]


def test_a_guest_takes_its_address_name_and_page_from_its_context(host: Host) -> None:
    vm = host.vm(1, "SET_HOSTNAME=web-1\nPAGE=<h1>It's $HOME `id`</h1>")
    host.driver.deploy(vm, host.prepare(vm))
    guest = host.guest(1)
    guest.wait()
    assert guest.get() == "<h1>It's $HOME `id`</h1>\n"
    info = guest.info()
    assert info["hostname"] == "web-1"
    assert info["addresses"] == [f"{guest.address}/24"]


def test_a_start_script_sees_the_context(host: Host) -> None:
    vm = host.vm(1, "SET_HOSTNAME=web-1\nSTART_SCRIPT=echo by $SET_HOSTNAME at $ETH0_IP >/www/index.html")
    host.driver.deploy(vm, host.prepare(vm))
    guest = host.guest(1)
    guest.wait()
    assert guest.get() == f"by web-1 at {guest.address}\n"


@pytest.mark.runs("hypervisor/kvm", "shutdown")
def test_the_disk_is_kept_over_a_power_off_and_the_memory_is_not(host: Host) -> None:
    vm = host.vm(1)
    directory = host.prepare(vm)
    guest = host.guest(1)
    deploy_id = host.driver.deploy(vm, directory)
    guest.wait()
    guest.get("/cgi-bin/note?write=kept-1")
    first_boot = guest.boot_id()
    assert guest.hits() == 1

    host.driver.shutdown(deploy_id)
    host.driver.shutdown(deploy_id)
    assert host.driver.domains() == []

    host.driver.deploy(vm, directory)
    guest.wait()
    assert guest.get("/cgi-bin/note") == "kept-1\n"
    assert guest.get("/boots") == "2\n"
    assert guest.boot_id() != first_boot
    assert guest.hits() == 1


@pytest.mark.runs("hypervisor/kvm", "save", "restore")
def test_the_memory_is_kept_over_a_checkpoint(host: Host) -> None:
    vm = host.vm(1)
    directory = host.prepare(vm)
    checkpoint = directory / "checkpoint"
    guest = host.guest(1)
    deploy_id = host.driver.deploy(vm, directory)
    guest.wait()
    boot = guest.boot_id()
    assert [guest.hits(), guest.hits()] == [1, 2]

    host.driver.save(deploy_id, checkpoint)
    host.driver.save(deploy_id, checkpoint)
    assert host.driver.domains() == []
    assert checkpoint.stat().st_size > 1_000_000
    assert not guest.serves()

    host.driver.restore(vm, deploy_id, checkpoint, directory)
    guest.wait()
    assert guest.hits() == 3
    assert guest.boot_id() == boot
    assert not checkpoint.exists()


def test_a_checkpoint_is_restored_in_another_directory(host: Host) -> None:
    vm = host.vm(1)
    directory = host.prepare(vm)
    guest = host.guest(1)
    deploy_id = host.driver.deploy(vm, directory)
    guest.wait()
    boot = guest.boot_id()
    host.driver.save(deploy_id, directory / "checkpoint")

    elsewhere = directory.rename(directory.with_name("100"))
    host.driver.restore(vm, deploy_id, elsewhere / "checkpoint", elsewhere)
    guest.wait()
    assert guest.boot_id() == boot
    assert guest.get("/cgi-bin/note?write=moved") == "moved\n"


@pytest.mark.runs("hypervisor/kvm", "reboot", "reset")
@pytest.mark.parametrize("how", ["reboot", "reset"])
def test_a_guest_boots_anew(host: Host, how: str) -> None:
    vm = host.vm(1)
    guest = host.guest(1)
    deploy_id = host.driver.deploy(vm, host.prepare(vm))
    guest.wait()
    boot = guest.boot_id()
    getattr(host.driver, how)(deploy_id)
    eventually("another boot id", lambda: guest.has_rebooted(boot))
    assert guest.get("/boots") == "2\n"


def test_a_guest_lives_on_while_libvirtd_starts_again(host: Host) -> None:
    vm = host.vm(1)
    guest = host.guest(1)
    deploy_id = host.driver.deploy(vm, host.prepare(vm))
    guest.wait()
    boot = guest.boot_id()

    host.libvirtd.stop()
    assert guest.boot_id() == boot
    host.libvirtd.wait(host.libvirtd.start())

    domain = find(host.driver, deploy_id)
    assert domain is not None
    assert domain.state is DomainState.RUNNING
    host.driver.cancel(deploy_id)
    assert not guest.serves()


@pytest.mark.runs("hypervisor/kvm", "migrate")
def test_a_guest_moves_with_its_snapshots_to_another_host_while_it_runs(
    host: Host, second_host: Host
) -> None:
    vm = host.vm(1)
    del vm.template.vectors("NIC")[0]["TARGET"]  # the two hosts share one kernel, which has each name once
    guest = host.guest(1)
    deploy_id = host.driver.deploy(vm, host.prepare(vm))
    guest.wait()
    boot = guest.boot_id()
    assert guest.hits() == 1
    snapshot = host.driver.snapshot_create(vm, deploy_id, 0, host.directory(1))

    mover = host.migrating_to(second_host)
    mover.migrate(deploy_id, "mrp-host2")
    mover.migrate(deploy_id, "mrp-host2")
    assert host.driver.domains() == []
    assert [domain.vm_id for domain in second_host.driver.domains()] == [1]
    guest.wait()
    assert guest.hits() == 2
    assert guest.boot_id() == boot
    second_host.driver.snapshot_revert(vm, deploy_id, snapshot, host.directory(1))
    guest.wait()
    assert guest.hits() == 2
    second_host.driver.cancel(deploy_id)
    with pytest.raises(DriverError, match="runs neither here nor on mrp-host2"):
        mover.migrate(deploy_id, "mrp-host2")


@pytest.mark.runs("hypervisor/kvm", "migrate")
def test_a_migration_that_takes_too_long_is_given_up_and_the_guest_stays(
    host: Host, second_host: Host
) -> None:
    vm = host.vm(1)
    del vm.template.vectors("NIC")[0]["TARGET"]  # the two hosts share one kernel, which has each name once
    guest = host.guest(1)
    deploy_id = host.driver.deploy(vm, host.prepare(vm))
    guest.wait()
    boot = guest.boot_id()
    mover = host.migrating_to(second_host, migrate_timeout=1.0, migrate_bandwidth=1)
    with pytest.raises(DriverError, match=r"did not move to mrp-host2 within 1 s .* and stays"):
        mover.migrate(deploy_id, "mrp-host2")
    assert second_host.driver.domains() == []
    guest.wait()
    assert guest.boot_id() == boot


@pytest.mark.skipif(not Path("/usr/share/OVMF").exists(), reason="ovmf is not installed")
def test_a_machine_with_uefi_runs_and_has_its_variables_beside_its_disks(host: Host) -> None:
    vm = host.vm(1)
    vm.template.remove("OS")
    vm.template.add("OS", Vector({"FIRMWARE": "UEFI", "MACHINE": "q35"}))
    vm.template.remove("NIC")
    deploy_id = host.driver.deploy(vm, host.prepare(vm))
    domain = find(host.driver, deploy_id)
    assert domain is not None
    assert domain.state is DomainState.RUNNING
    assert (host.directory(1) / "nvram").stat().st_size > 0


@pytest.mark.runs("hypervisor/kvm", "domains")
def test_what_a_guest_uses_is_measured(host: Host) -> None:
    vm = host.vm(1)
    guest = host.guest(1)
    deploy_id = host.driver.deploy(vm, host.prepare(vm))
    guest.wait()
    host.driver.domains()
    started = time.monotonic()
    while time.monotonic() - started < 1.0:
        guest.hits()
    domain = find(host.driver, deploy_id)
    assert domain is not None
    figures = {name: float(value) for name, value in domain.metrics.items()}
    assert 1.0 < figures["CPU"] <= 200.0
    assert figures["MEMORY"] > 32 * 1024
    assert figures["NETRX"] > 0
    assert figures["NETTX"] > 0
    assert figures["DISKRDBYTES"] > 10_000_000
    assert (domain.memory_kb, domain.vcpus) == (128 * 1024, 1)


def test_a_guest_of_somebody_else_is_listed_as_wild(host: Host) -> None:
    text = domain_text(host.vm(1), host.directory(1), host.settings.traits).replace("one-1<", "somebody<")
    host.directory(1).mkdir(parents=True)
    shutil.copyfile(host.image, host.directory(1) / "disk.0")
    (host.directory(1) / "disk.1").touch()
    Session(host.libvirtd.uri).run(lambda connection: connection.createXML(text, 0))
    assert [(domain.name, domain.vm_id) for domain in host.driver.domains()] == [("somebody", None)]


def test_raw_that_libvirts_schema_refuses_is_refused_when_validation_is_wanted(host: Host) -> None:
    vm = host.vm(1)
    directory = host.prepare(vm)
    vm.template.add("RAW", Vector({"TYPE": "kvm", "DATA": "<nonsense/>", "VALIDATE": "YES"}))
    with pytest.raises(DriverError, match="XML document failed to validate"):
        host.driver.deploy(vm, directory)


def test_a_libvirtd_that_stopped_leaves_no_mount_and_no_process(image: Path, tmp_path: Path) -> None:
    libvirtd = OwnLibvirtd(tmp_path)
    process = libvirtd.start()
    libvirtd.wait(process)
    assert libvirtd.start() == process
    assert libvirtd.stop()
    assert not process.alive
    assert not libvirtd.stop()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
