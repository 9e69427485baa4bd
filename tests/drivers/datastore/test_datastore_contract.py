"""What every datastore driver promises, tried with each of them."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.drivers.crash import crash_points

from merope.drivers.datastore.base import DatastoreDriver, Stored
from merope.drivers.datastore.fs import FsDatastore
from merope.drivers.simulated.datastore import SimulatedDatastore
from merope.drivers.simulated.world import World
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.states import DatastoreType
from merope.model.template import Template

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-img", "mkfs.ext4"))), reason="needs qemu-img and mkfs.ext4"
)
DRIVERS: dict[str, Callable[[], DatastoreDriver]] = {
    "fs": FsDatastore,
    "simulated": lambda: SimulatedDatastore(World()),
    "simulated with sources": lambda: SimulatedDatastore(World(), distinct_sources=True),
}


@dataclass(frozen=True)
class Case:
    driver: DatastoreDriver
    datastore: Datastore
    source: Path

    def image(self, number: int = 5, **attributes: object) -> Image:
        image = Image(number, 0, 0, "oneadmin", "oneadmin", f"image-{number}", regtime=100 + number)
        image.path, image.size = str(self.source), 2
        for name, value in attributes.items():
            setattr(image, name, value)
        return image


def new_case(name: str, path: Path) -> Case:
    source = path / "upload.img"
    source.write_bytes(b"boot" * 300_000)
    datastore = Datastore(
        1, 0, 0, "oneadmin", "oneadmin", "default", base_path=str(path / "datastores" / "1"),
        template=Template([("SAFE_DIRS", str(path)), ("RESTRICTED_DIRS", "/")]),
    )  # fmt: skip
    return Case(DRIVERS[name](), datastore, source)


@pytest.fixture(params=[pytest.param(name, marks=[needs_tools] if name == "fs" else []) for name in DRIVERS])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return new_case(request.param, tmp_path)


OPERATIONS: dict[str, Callable[[Case], Stored]] = {
    "copy": lambda case: case.driver.copy(case.image(), case.datastore),
    "make": lambda case: case.driver.make(case.image(path="", fstype="raw"), case.datastore),
    "make qcow2": lambda case: case.driver.make(
        case.image(path="", fstype="qcow2", size=8, template=Template([("FS", "ext4")])), case.datastore
    ),
    "clone": lambda case: case.driver.clone(
        case.image(6), case.driver.copy(case.image(), case.datastore).source, case.datastore
    ),
}


@pytest.mark.runs("datastore/fs", "copy", "make", "clone")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_done_twice_answers_the_same(case: Case, operation: str) -> None:
    assert OPERATIONS[operation](case) == OPERATIONS[operation](case)


@needs_tools
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_cut_off_before_any_step_is_completed_when_it_is_done_again(
    operation: str, tmp_path: Path
) -> None:
    case = new_case("fs", tmp_path)
    base = Path(case.datastore.base_path)
    steps = 0

    def prepare() -> None:
        shutil.rmtree(base, ignore_errors=True)
        if operation == "clone":
            case.driver.copy(case.image(), case.datastore)

    for _ in crash_points(lambda: [OPERATIONS[operation](case)].clear(), prepare):
        stored = OPERATIONS[operation](case)
        assert Path(stored.source).is_file()
        assert not list(base.rglob("*.part"))
        steps += 1
    assert steps > 0


def test_what_an_unfinished_registration_left_is_removed_with_the_image(tmp_path: Path) -> None:
    case = new_case("fs", tmp_path)
    base = Path(case.datastore.base_path)
    for _ in crash_points(
        lambda: [case.driver.copy(case.image(), case.datastore)].clear(), lambda: shutil.rmtree(base, True)
    ):
        case.driver.remove(case.image(), case.datastore)
        assert list(base.iterdir()) == []


def test_the_format_is_answered(case: Case) -> None:
    assert case.driver.copy(case.image(), case.datastore).image_format == "raw"
    made = case.driver.make(case.image(6, fstype="qcow2"), case.datastore)
    assert made.image_format == "qcow2"


@pytest.mark.runs("datastore/fs", "remove")
def test_removing_is_done_once_and_again(case: Case) -> None:
    image = case.image()
    image.source = case.driver.copy(image, case.datastore).source
    case.driver.remove(image, case.datastore)
    case.driver.remove(image, case.datastore)
    assert case.driver.copy(image, case.datastore).source == image.source


def test_removing_an_image_that_was_never_stored_succeeds(case: Case) -> None:
    case.driver.remove(case.image(), case.datastore)
    assert case.driver.copy(case.image(), case.datastore).source


@pytest.mark.runs("datastore/fs", "stat")
def test_a_size_is_at_least_one_mb(case: Case) -> None:
    assert case.driver.stat(str(case.source), case.datastore) >= 1


@pytest.mark.runs("datastore/fs", "monitor")
@pytest.mark.parametrize("kind", DatastoreType)
def test_usage_is_measured_for_every_type_of_datastore(case: Case, kind: DatastoreType) -> None:
    case.datastore.type = kind
    usage = case.driver.monitor(case.datastore)
    assert usage.total > 0
    assert 0 <= usage.free <= usage.total
    assert usage.used >= 0
