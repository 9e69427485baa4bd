"""How the driver is set, whether KVM works, and that our numbers are libvirt's."""

import importlib
import importlib.util
from pathlib import Path

import pytest

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor import libvirt_api
from merope.drivers.hypervisor.libvirt_probe import Acceleration, probe, remembered
from merope.drivers.hypervisor.libvirt_settings import (
    KVMRC,
    OWN_KVMRC,
    PCI_FILTER,
    read_kvmrc,
    settings_of,
    write_kvmrc,
)
from merope_agent.pci import Filter


def write_rc(home: Path, text: str) -> Path:
    path = home / KVMRC
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_a_kvmrc_is_read_without_a_shell(tmp_path: Path) -> None:
    path = write_rc(
        tmp_path,
        "# comment\nexport LIBVIRT_URI=qemu:///session\nSHUTDOWN_TIMEOUT=30 # seconds\nX='a b'\nY=$(id)\n",
    )
    assert read_kvmrc(path) == {
        "LIBVIRT_URI": "qemu:///session",
        "SHUTDOWN_TIMEOUT": "30",
        "X": "a b",
        "Y": "$(id)",
    }


@pytest.mark.parametrize("line", ["if true; then", "X", "X='open", "1X=2"])
def test_anything_but_an_assignment_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = write_rc(tmp_path, f"A=1\n{line}\n")
    with pytest.raises(DriverError, match="line 2: expected NAME=value"):
        read_kvmrc(path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    values = {"LIBVIRT_URI": "qemu+unix:///system?socket=/a b/c", "ACCELERATION": "qemu"}
    write_kvmrc(tmp_path / KVMRC, values)
    assert read_kvmrc(tmp_path / KVMRC) == values


def test_settings_come_from_the_home_of_the_cloud(tmp_path: Path) -> None:
    write_rc(
        tmp_path, "LIBVIRT_URI=test:///default\nSHUTDOWN_TIMEOUT=30\nFORCE_DESTROY=yes\nACCELERATION=kvm\n"
    )
    settings = settings_of(tmp_path)
    assert settings.uri == "test:///default"
    assert settings.shutdown_timeout == 30
    assert settings.force_destroy
    assert settings.traits.domain_type == "kvm"
    assert settings.datastores == tmp_path / "datastores"
    assert settings_of(tmp_path, tmp_path / "elsewhere").datastores == tmp_path / "elsewhere"


def test_only_devices_that_the_site_names_may_be_given_to_guests(tmp_path: Path) -> None:
    assert settings_of(tmp_path).devices == Filter()
    path = tmp_path / PCI_FILTER
    path.parent.mkdir(parents=True)
    path.write_text(":filter:\n  - '10de:*'\n")
    assert settings_of(tmp_path).devices == Filter(("10de:*",))


def test_what_holds_for_the_front_end_alone_is_apart_and_gives_way(tmp_path: Path) -> None:
    write_kvmrc(tmp_path / OWN_KVMRC, {"LIBVIRT_URI": "qemu+unix:///own", "ACCELERATION": "qemu"})
    assert settings_of(tmp_path).uri == "qemu+unix:///own"
    write_rc(tmp_path, "LIBVIRT_URI=test:///default\n")
    assert settings_of(tmp_path).uri == "test:///default"


def test_a_site_can_insist_on_emulation(tmp_path: Path) -> None:
    write_rc(tmp_path, "ACCELERATION=qemu\n")
    assert settings_of(tmp_path).traits.emulated


def fake_emulator(directory: Path, says: str, then: str = "") -> str:
    """A QEMU that prints its boot and does `then`."""
    path = directory / "qemu"
    path.write_text(f"#!/bin/sh\necho '{says}'\n{then}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    if not Path("/dev/kvm").exists():
        pytest.skip("/dev/kvm is not there, so nothing would be tried")
    path = tmp_path / "vmlinuz"
    path.touch()
    return path


def test_kvm_is_usable_when_a_kernel_reaches_its_root(tmp_path: Path, kernel: Path) -> None:
    emulator = fake_emulator(tmp_path, "VFS: Unable to mount root fs", "exec sleep 30")
    assert probe(emulator, kernel).usable


def test_kvm_that_stops_a_kernel_is_not_usable_and_the_reason_is_told(tmp_path: Path, kernel: Path) -> None:
    emulator = fake_emulator(tmp_path, "KVM internal error. Suberror: 1", "exec sleep 30")
    found = probe(emulator, kernel)
    assert not found.usable
    assert "KVM internal error" in found.reason


def test_a_kernel_that_says_nothing_is_given_up(tmp_path: Path, kernel: Path) -> None:
    emulator = fake_emulator(tmp_path, "Booting", "exec sleep 30")
    found = probe(emulator, kernel, time_limit=0.2)
    assert not found.usable
    assert "Booting" in found.reason


def test_what_was_found_is_kept(tmp_path: Path, kernel: Path) -> None:
    cache = tmp_path / "acceleration.json"
    emulator = fake_emulator(tmp_path, "VFS: Unable to mount root fs")
    found = remembered(cache, emulator, kernel)
    kernel.unlink()
    assert found.usable
    assert remembered(cache, emulator, kernel) == found


def test_another_emulator_is_tried_again(tmp_path: Path, kernel: Path) -> None:
    cache = tmp_path / "acceleration.json"
    remembered(cache, fake_emulator(tmp_path, "VFS: Unable to mount root fs"), kernel)
    other = tmp_path / "other"
    other.mkdir()
    assert not remembered(cache, fake_emulator(other, "no"), kernel).usable


def test_a_damaged_cache_is_no_obstacle(tmp_path: Path, kernel: Path) -> None:
    cache = tmp_path / "acceleration.json"
    cache.write_text("{")
    assert remembered(cache, fake_emulator(tmp_path, "VFS: Unable to mount root fs"), kernel).usable


def test_without_an_emulator_there_is_no_kvm() -> None:
    assert probe("") == Acceleration(False, "no QEMU for this machine is installed")


NAMES = {
    libvirt_api.Code: "VIR_ERR_{}",
    libvirt_api.State: "VIR_DOMAIN_{}",
    libvirt_api.Paused: "VIR_DOMAIN_PAUSED_{}",
    libvirt_api.ShutOff: "VIR_DOMAIN_SHUTOFF_{}",
    libvirt_api.Undefine: "VIR_DOMAIN_UNDEFINE_{}",
    libvirt_api.Migrate: "VIR_MIGRATE_{}",
    libvirt_api.BlockResize: "VIR_DOMAIN_BLOCK_RESIZE_{}",
    libvirt_api.BlockCopy: "VIR_DOMAIN_BLOCK_COPY_{}",
    libvirt_api.Snapshot: "VIR_DOMAIN_SNAPSHOT_CREATE_{}",
    libvirt_api.SnapshotDelete: "VIR_DOMAIN_SNAPSHOT_DELETE_{}",
    libvirt_api.SnapshotRevert: "VIR_DOMAIN_SNAPSHOT_REVERT_{}",
    libvirt_api.Stats: "VIR_DOMAIN_STATS_{}",
    libvirt_api.ErrorSource: "VIR_FROM_{}",
}


def test_our_numbers_are_those_of_the_binding() -> None:
    libvirt = importlib.import_module("libvirt") if importlib.util.find_spec("libvirt") else None
    if libvirt is None:
        pytest.skip("libvirt's Python binding is not installed")
    for enumeration, pattern in NAMES.items():
        for member in enumeration:
            assert member == getattr(libvirt, pattern.format(member.name)), member
    assert libvirt.VIR_DOMAIN_START_VALIDATE == libvirt_api.Create.VALIDATE
    assert libvirt.VIR_DOMAIN_AFFECT_LIVE == libvirt_api.Affect.LIVE
    assert libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE == libvirt_api.Affect.FORCE
    assert libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE == libvirt_api.SaveImage.SECURE
    assert libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT == libvirt_api.AllStats.NOWAIT
