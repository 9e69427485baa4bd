"""Snapshots of persistent images, which VMs have left in either form: copies, or a chain of differences."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.drivers.crash import crash_points

from merope.drivers.datastore.base import DatastoreDriver
from merope.drivers.datastore.fs import FsDatastore
from merope.drivers.errors import DriverError
from merope.drivers.simulated.datastore import SimulatedDatastore
from merope.drivers.simulated.transfer import SimulatedTransfer
from merope.drivers.simulated.world import World
from merope.drivers.snapshot_files import image_files
from merope.drivers.transfer.base import Place, Transfer
from merope.drivers.transfer.qcow2 import Qcow2Transfer
from merope.drivers.transfer.shared import SharedTransfer
from merope.model.datastore import Datastore
from merope.model.image import Image

needs_qemu = pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-img", "qemu-io"))), reason="needs qemu-img and qemu-io"
)


@dataclass
class Case:
    """An image whose snapshots 0 and 1 say what it was; it was reverted to 0 and written to since.

    `contents` answers something that is equal for equal bytes.
    """

    driver: DatastoreDriver
    transfer: Transfer
    location: Path
    world: World | None = None

    def __post_init__(self) -> None:
        base = self.location / "1"
        self.datastore = Datastore(1, 0, 0, "oneadmin", "oneadmin", "default", base_path=str(base))
        self.image = Image(5, 0, 0, "oneadmin", "oneadmin", "image", regtime=100, size=2, fstype="qcow2")
        self.disk = Place("", self.location / "0" / "7" / "disk.0")

    def prepare(self) -> None:
        if self.world is None:
            shutil.rmtree(self.location, ignore_errors=True)
        self.image.source = self.driver.make(self.image, self.datastore).source
        self.transfer.link(Path(self.image.source), self.disk, "qcow2")
        self.kept = []
        for number in range(2):
            self._write(number + 1)
            self.kept.append(self.contents())
            self.transfer.snapshot_create(self.disk, number, "qcow2")
        self.transfer.snapshot_revert(self.disk, 0, "qcow2")
        self._write(9)
        self.transfer.save_back(self.disk, Path(self.image.source))

    def _write(self, number: int) -> None:
        if self.world is not None:
            file = self.world.storage.find("", self.disk.path)
            assert file is not None
            self.world.storage.write(file, self.world.storage.new_content())
            return
        command = ["qemu-io", "-f", "qcow2", "-c", f"write -P {number} 4096 512", str(self.disk.path)]
        subprocess.run(command, check=True, capture_output=True)

    def contents(self) -> object:
        if self.world is not None:
            return self.world.storage.image(self.image.source).content
        flat = self.location / "flat"
        newest = image_files(Path(self.image.source)).active
        command = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(newest), str(flat)]
        subprocess.run(command, check=True, capture_output=True)
        return flat.read_bytes()


def simulated(location: Path) -> Case:
    world = World()
    return Case(
        SimulatedDatastore(world, distinct_sources=True), SimulatedTransfer(world, location), location, world
    )


REAL: dict[str, Callable[[Path], Case]] = {
    "copied": lambda path: Case(FsDatastore(), SharedTransfer(path), path),
    "chained": lambda path: Case(FsDatastore(), Qcow2Transfer(path), path),
}
ALL = {**REAL, "simulated": simulated}


@pytest.fixture(params=[pytest.param(name, marks=[needs_qemu] if name in REAL else []) for name in ALL])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    made = ALL[request.param](tmp_path / "datastores")
    made.prepare()
    return made


OPERATIONS: dict[str, Callable[[Case], None]] = {
    "delete": lambda case: case.driver.snapshot_delete(case.image, 1, case.datastore),
    "revert": lambda case: case.driver.snapshot_revert(case.image, 0, case.datastore),
    "revert to the other": lambda case: case.driver.snapshot_revert(case.image, 1, case.datastore),
    "flatten": lambda case: case.driver.snapshot_flatten(case.image, 0, case.datastore),
    "flatten to the other": lambda case: case.driver.snapshot_flatten(case.image, 1, case.datastore),
    "remove": lambda case: case.driver.remove(case.image, case.datastore),
}
WANTED = {
    "revert": 0,
    "revert to the other": 1,
    "flatten": 0,
    "flatten to the other": 1,
}


@pytest.mark.runs("datastore/fs", "snapshot_delete")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_done_twice_is_done_once(case: Case, operation: str) -> None:
    OPERATIONS[operation](case)
    once = None if operation == "remove" else case.contents()
    OPERATIONS[operation](case)
    assert operation == "remove" or case.contents() == once


@pytest.mark.runs("datastore/fs", "snapshot_revert", "snapshot_flatten")
@pytest.mark.parametrize("operation", WANTED)
def test_an_image_becomes_what_its_snapshot_was(case: Case, operation: str) -> None:
    OPERATIONS[operation](case)
    assert case.contents() == case.kept[WANTED[operation]]


@needs_qemu
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", REAL)
def test_an_operation_cut_off_before_any_step_is_completed_when_it_is_done_again(
    name: str, operation: str, tmp_path: Path
) -> None:
    case = REAL[name](tmp_path / "datastores")
    case.prepare()
    OPERATIONS[operation](case)
    expected = None if operation == "remove" else case.contents()
    steps = 0
    for _ in crash_points(lambda: OPERATIONS[operation](case), case.prepare):
        OPERATIONS[operation](case)
        assert operation == "remove" or case.contents() == expected
        assert not list(case.location.rglob("*.part"))
        steps += 1
    assert steps > 0


@needs_qemu
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("operation", ["flatten", "remove"])
def test_nothing_is_left_of_snapshots_that_went(name: str, operation: str, tmp_path: Path) -> None:
    case = REAL[name](tmp_path / "datastores")
    case.prepare()
    OPERATIONS[operation](case)
    left = [path.name for path in (case.location / "1").iterdir()]
    assert left == ([Path(case.image.source).name] if operation == "flatten" else [])


@needs_qemu
def test_a_flat_image_needs_no_other_file(tmp_path: Path) -> None:
    case = REAL["chained"](tmp_path / "datastores")
    case.prepare()
    OPERATIONS["flatten"](case)
    command = ["qemu-img", "info", "-f", "qcow2", case.image.source]
    assert "backing" not in subprocess.run(command, check=True, capture_output=True, text=True).stdout


@needs_qemu
def test_an_image_that_is_spread_over_its_snapshots_is_cloned_whole_and_not_offered(tmp_path: Path) -> None:
    case = REAL["chained"](tmp_path / "datastores")
    case.prepare()
    before = case.contents()
    with pytest.raises(DriverError, match="flatten it first"):
        case.driver.export(case.image, case.datastore)
    clone = Image(6, 0, 0, "oneadmin", "oneadmin", "clone", regtime=101, size=2, fstype="qcow2")
    clone.source = case.driver.clone(clone, case.image.source, case.datastore).source
    case.image = clone
    assert case.contents() == before


@needs_qemu
def test_what_the_image_is_built_on_stays(tmp_path: Path) -> None:
    case = REAL["chained"](tmp_path / "datastores")
    case.prepare()
    with pytest.raises(DriverError, match="snapshot 1 is built on it"):
        case.driver.snapshot_delete(case.image, 0, case.datastore)


@needs_qemu
@pytest.mark.parametrize("operation", ["delete", "revert", "flatten"])
def test_files_outside_of_the_datastore_are_left_alone(operation: str, tmp_path: Path) -> None:
    case = REAL["copied"](tmp_path / "datastores")
    case.prepare()
    outside = tmp_path / "image"
    outside.touch()
    (tmp_path / "image.snap").mkdir()
    (tmp_path / "image.snap" / "1").touch()
    case.image.source = str(outside)
    with pytest.raises(DriverError, match="is not there in datastore 1"):
        OPERATIONS[operation](case)
    assert (tmp_path / "image.snap" / "1").exists()
