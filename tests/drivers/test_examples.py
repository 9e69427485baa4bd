"""The samples in examples/ do what they show, run by the cloud's own drivers from its `remotes/`."""

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from tests.drivers.contract_hypervisor import HypervisorContract, SaveContract
from tests.drivers.contract_network import NetworkCase, NetworkContract

from merope.drivers import registry
from merope.drivers.auth.base import Places, Refused
from merope.drivers.auth.executable import ExecutableDriver
from merope.drivers.context import Context
from merope.drivers.diskimage import create_qcow2
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.market.base import Content
from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.ip_link import links, run_ip
from merope.drivers.transfer.base import Place
from merope.engine.places import Layout
from merope.engine.toolbox import LocalDrivers
from merope.model.authentication import Credentials
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.template import Template, Vector
from merope.model.vm import VM

EXAMPLES = Path(__file__).parents[2] / "examples"
MB = 1024 * 1024

needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed")
needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
needs_iso = pytest.mark.skipif(shutil.which("genisoimage") is None, reason="genisoimage is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="bridges need root")


@pytest.fixture
def drivers(tmp_path: Path) -> LocalDrivers:
    shutil.copytree(EXAMPLES / "remotes", tmp_path / "remotes", ignore=shutil.ignore_patterns("__pycache__"))
    return LocalDrivers(tmp_path, Layout(tmp_path / "datastores"))


class PlainQemuCase:
    """Machines without a system: firmware that finds nothing to boot is all that the contract needs."""

    def __init__(self, drivers: LocalDrivers, system_dir: Path) -> None:
        self._drivers = drivers
        self.other: Hypervisor | None = None
        self.other_name = ""
        self.system_dir = system_dir
        self.driver = drivers.hypervisor("plainqemu", "localhost", self.vm(7))

    def vm(self, vm_id: int) -> VM:
        text = f"MEMORY = 32\nCPU = 0.1\nDISK = [ DISK_ID = {0 if vm_id == 7 else vm_id}, DRIVER = qcow2 ]"
        return VM(vm_id, 0, 0, "oneadmin", "oneadmin", f"vm{vm_id}", template=Template.parse(text))

    def plugged(self, vm_id: int) -> VM:
        return self.vm(vm_id)

    def exists(self, path: Path) -> bool:
        return path.exists()


@needs_qemu
@pytest.mark.runs(
    "hypervisor/executable", "deploy", "shutdown", "cancel", "reset", "save", "restore", "domains", "report"
)
class TestPlainQemu(HypervisorContract, SaveContract):
    @pytest.fixture
    def case(
        self, drivers: LocalDrivers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[PlainQemuCase]:
        monkeypatch.setenv("PLAINQEMU_RUN", str(tmp_path / "run"))
        system_dir = tmp_path / "datastores" / "0" / "7"
        system_dir.mkdir(parents=True)
        for disk in ("disk.0", "disk.8"):
            create_qcow2(system_dir / disk, 1)
        made = PlainQemuCase(drivers, system_dir)
        yield made
        for domain in made.driver.domains():
            made.driver.cancel(domain.deploy_id)

    def test_what_it_cannot_do_is_said(self, case: PlainQemuCase) -> None:
        with pytest.raises(DriverError, match="plainqemu has no executable snapshot_create"):
            case.driver.snapshot_create(case.vm(7), "one-7", 0, case.system_dir)


@needs_qemu_img
@pytest.mark.runs(
    "transfer/executable", "clone", "link", "save_back", "make_image", "resize", "snapshot_create",
    "snapshot_revert", "snapshot_delete", "copy_out", "move", "delete",
)  # fmt: skip
def test_a_transfer_of_a_third_party_carries_disks_through_their_life(
    drivers: LocalDrivers, tmp_path: Path
) -> None:
    store = tmp_path / "datastores" / "1"
    store.mkdir(parents=True)
    image = store / "image"
    image.write_bytes(b"boot" + bytes(MB - 4))
    transfer = drivers.transfer("copying")
    place = Place("", tmp_path / "datastores" / "0" / "7" / "disk.0")
    transfer.clone(image, place, 2, "raw")
    assert place.path.read_bytes()[:4] == b"boot"
    assert place.path.stat().st_size == 2 * MB
    transfer.snapshot_create(place, 0, "raw")
    place.path.write_bytes(b"changed")
    transfer.copy_out(place, 0, "raw", store / "copy", "raw")
    assert (store / "copy").read_bytes()[:4] == b"boot"
    transfer.snapshot_revert(place, 0, "raw")
    assert place.path.read_bytes()[:4] == b"boot"
    transfer.snapshot_delete(place, 0)
    moved = Place("", tmp_path / "datastores" / "2" / "7")
    transfer.move(Place("", place.path.parent), moved)
    transfer.save_back(Place("", moved.path / "disk.0"), image)
    assert image.stat().st_size == 2 * MB
    transfer.make_image(1, "qcow2", "", Place("", moved.path / "disk.1"))
    assert (moved.path / "disk.1").read_bytes()[:3] == b"QFI"
    transfer.delete(moved)
    assert not moved.path.exists()


@needs_iso
@pytest.mark.runs("transfer/executable", "make_context")
def test_a_transfer_of_a_third_party_writes_the_context(drivers: LocalDrivers, tmp_path: Path) -> None:
    place = Place("", tmp_path / "datastores" / "0" / "7" / "disk.1")
    drivers.transfer("copying").make_context(Context({"NETWORK": "YES"}), place)
    assert b"NETWORK='YES'" in place.path.read_bytes()


def test_a_transfer_of_a_third_party_is_told_nothing_but_paths_of_vms(
    drivers: LocalDrivers, tmp_path: Path
) -> None:
    with pytest.raises(DriverError):
        drivers.transfer("copying").delete(Place("", tmp_path / "remotes"))
    assert (tmp_path / "remotes").is_dir()


@needs_qemu_img
@pytest.mark.runs(
    "datastore/executable", "copy", "make", "clone", "remove", "stat", "monitor", "export", "snapshot_revert",
    "snapshot_delete", "snapshot_flatten",
)  # fmt: skip
def test_a_datastore_of_a_third_party_keeps_images(drivers: LocalDrivers, tmp_path: Path) -> None:
    driver = drivers.datastore("directory")
    store = Datastore(1, 0, 0, "oneadmin", "oneadmin", "mine", base_path=str(tmp_path / "images"))
    path = tmp_path / "download"
    path.write_bytes(b"boot" * MB)
    assert driver.stat(str(path), store) == 4
    image = Image(5, 0, 0, "oneadmin", "oneadmin", "img", path=str(path), size=4)
    stored = driver.copy(image, store)
    image.source, image.fstype = stored.source, stored.image_format
    assert Path(stored.source).read_bytes() == path.read_bytes()
    assert driver.export(image, store).path == Path(stored.source)
    made = driver.make(Image(6, 0, 0, "oneadmin", "oneadmin", "new", fstype="qcow2", size=3), store)
    assert made.image_format == "qcow2"
    copied = driver.clone(Image(7, 0, 0, "oneadmin", "oneadmin", "c", size=4), stored.source, store)
    assert Path(copied.source).read_bytes() == path.read_bytes()
    kept = Path(f"{stored.source}.snap")
    kept.mkdir()
    for number in "012":
        (kept / number).write_text(number)
    driver.snapshot_revert(image, 0, store)
    assert Path(stored.source).read_text() == "0"
    driver.snapshot_delete(image, 1, store)
    assert not (kept / "1").exists()
    driver.snapshot_flatten(image, 2, store)
    assert Path(stored.source).read_text() == "2"
    assert not kept.exists()
    usage = driver.monitor(store)
    assert usage.total >= usage.free > 0
    driver.remove(image, store)
    assert not Path(stored.source).exists()


class TapBridgeCase:
    def __init__(self, drivers: LocalDrivers, bridge: str) -> None:
        self.driver: NetworkDriver = drivers.network("tapbridge", "")
        self.bridge = bridge
        run_ip(["link", "add", "name", bridge, "type", "bridge"])

    def vm(self, vm_id: int) -> VM:
        where = f"BRIDGE = {self.bridge}, TARGET = {self.bridge}-{vm_id}0"
        nic = f"NIC = [ NIC_ID = 0, VN_MAD = tapbridge, {where} ]"
        return VM(vm_id, 0, 0, "oneadmin", "oneadmin", f"vm{vm_id}", template=Template.parse(nic))

    def start(self, vm: VM) -> str:
        return f"one-{vm.id}"

    def state(self) -> object:
        mine = (link for link in links().values() if self.bridge in (link.name, link.master))
        return [(link.name, link.kind, link.up, link.master) for link in mine]

    def clear(self) -> None:
        for name in [*(link.name for link in links().values() if link.master == self.bridge), self.bridge]:
            run_ip(["link", "delete", "dev", name])


@needs_root
@pytest.mark.runs("network/executable", "pre", "post", "clean", "update")
class TestTapBridge(NetworkContract):
    @pytest.fixture
    def case(self, drivers: LocalDrivers) -> Iterator[TapBridgeCase]:
        made = TapBridgeCase(drivers, f"mrx{os.getpid() % 100000}")
        yield made
        made.clear()

    def test_unplugging_one_nic_takes_nothing_from_the_others(self, case: NetworkCase) -> None:
        """Every NIC has a tap of its own here, which is known by its TARGET."""
        vm = case.vm(7)
        case.driver.pre(vm)
        with_one = case.state()
        (first,) = vm.template.vectors("NIC")
        vm.template.add("NIC", Vector({**first, "NIC_ID": "1", "TARGET": f"{first['TARGET'][:-1]}1"}))
        case.driver.pre(vm, 1)
        for _ in range(2):
            case.driver.clean(vm, 1)
        assert case.state() == with_one

    def test_what_is_in_clean_d_is_run_after_it(
        self, case: NetworkCase, drivers: LocalDrivers, tmp_path: Path
    ) -> None:
        further = tmp_path / "remotes" / "vnm" / "tapbridge" / "clean.d"
        further.mkdir()
        (further / "10-note").write_text(f"#!/bin/sh\ncat > {tmp_path}/noted\n")
        (further / "10-note").chmod(0o755)
        case.driver.clean(case.vm(7))
        assert (tmp_path / "noted").read_text()


@pytest.mark.runs("ipam/executable", "register", "get", "allocate", "free")
def test_addresses_of_a_third_party_are_given_once(drivers: LocalDrivers) -> None:
    manager = drivers.ipam("textfile", 1)
    found = manager.register({"IPAM_MAD": "textfile"})
    assert (found["IP"], found["SIZE"]) == ("10.99.0.10", "3")
    ranged = {**found, "AR_ID": "0", "MAC": "02:00:0a:63:00:0a"}
    assert [manager.get(ranged, 1)["IP"] for _ in range(2)] == ["10.99.0.10", "10.99.0.11"]
    with pytest.raises(DriverError, match=r"10\.99\.0\.11 is not free"):
        manager.allocate(ranged, 1, 1)
    manager.free(ranged, 1, 1)
    manager.allocate(ranged, 1, 1)


def test_a_marketplace_of_a_third_party_offers_an_image(drivers: LocalDrivers, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"boot")
    template = Template([("BASE_URL", "http://apps.example/"), ("PUBLIC_DIR", str(tmp_path))])
    market = Marketplace(100, 0, 0, "oneadmin", "oneadmin", "shelf", template=template)
    app = MarketplaceApp(5, 0, 0, "oneadmin", "oneadmin", "app")
    driver = drivers.market("shelf")
    assert driver.offer(app, market, Content(image, 1, "raw")).source == "http://apps.example/app-5"
    assert (tmp_path / "app-5").read_bytes() == b"boot"
    assert driver.monitor(market).total > 0
    driver.remove(app, market)
    assert not (tmp_path / "app-5").exists()


@pytest.mark.runs("auth/executable", "authenticate")
def test_a_login_of_a_third_party(drivers: LocalDrivers, tmp_path: Path) -> None:
    driver = ExecutableDriver(Places(tmp_path, tmp_path), "wordlist")
    found = driver.authenticate(Credentials("ann", "", "password", 0))
    assert (found.name, [member.gid for member in found.groups]) == ("ann", [1])
    with pytest.raises(Refused, match="the name or the password is not right"):
        driver.authenticate(Credentials("ann", "", "wrong", 0))


def test_a_driver_in_python_comes_as_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `pip install examples/python-driver` leaves: the package, and its entry points."""
    shutil.copytree(EXAMPLES / "python-driver" / "mirror_driver", tmp_path / "mirror_driver")
    info = tmp_path / "merope_mirror_driver-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: merope-mirror-driver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[merope.drivers.transfer]\nmirror = mirror_driver:MirrorTransfer\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mirror_driver", raising=False)
    registry.driver.cache_clear()
    try:
        assert "mirror" in {entry.name for entry in entry_points(group="merope.drivers.transfer")}
        location = tmp_path / "datastores"
        image = tmp_path / "image"
        image.write_text("boot")
        target = Place("", location / "0" / "7" / "disk.0")
        registry.transfer("mirror")(location).clone(image, target, 0, "raw")
        assert target.path.read_text() == "boot"
    finally:
        registry.driver.cache_clear()


def test_attributes_of_nics_without_a_value_are_told_as_a_dash(drivers: LocalDrivers, tmp_path: Path) -> None:
    action = tmp_path / "remotes" / "vmm" / "plainqemu" / "attach_nic"
    action.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\n')
    action.chmod(0o755)
    vm = VM(7, 0, 0, "oneadmin", "oneadmin", "vm")
    vm.template.add("NIC", Vector({"NIC_ID": "1", "MAC": "02:00:00:00:00:01", "BRIDGE": "br0"}))
    drivers.hypervisor("plainqemu", "localhost", vm).attach_nic(vm, "one-7", 1, tmp_path)
    assert (tmp_path / "said").read_text() == "one-7 02:00:00:00:00:01 br0 - - -\n"
