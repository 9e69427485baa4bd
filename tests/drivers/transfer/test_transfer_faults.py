"""What goes wrong with disks on the way: disks that are full, and two who do the same at once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.drivers.full_disk import small_disk
from tests.drivers.transfer.cases import Case, RealCase
from tests.drivers.transfer.operations import OPERATIONS, directory, disk, source
from tests.drivers.transfer.test_transfer_contract import REAL, needs_tools

from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place

pytestmark = [needs_tools]
FULL = "No space left on device"
MB = 1024 * 1024


@pytest.fixture(params=REAL)
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealCase]:
    """Images on a disk with room, VMs on one of 8 MB."""
    with small_disk(tmp_path / "vms", 8) as vms:
        location = tmp_path / "datastores"
        (location).mkdir()
        (location / "0").symlink_to(vms)
        made = REAL[request.param](location)
        assert isinstance(made, RealCase)
        (location / "1" / "large").write_bytes(b"\x55" * 20 * MB)
        yield made


def left(case: Case) -> list[str]:
    return [path.name for path in (case.location / "0").resolve().rglob("*") if path.is_file()]


def test_a_disk_that_does_not_fit_is_said_and_nothing_is_left_of_it(small: RealCase) -> None:
    with pytest.raises(DriverError, match=FULL):
        # A kernel is copied whatever the driver does with disks.
        small.driver.clone(source(small, "large"), Place("", directory(small).path / "kernel"), 0, "raw")
    assert left(small) == []
    small.image("image", 2)
    small.driver.clone(source(small), disk(small), 2, "raw")
    assert small.exists(disk(small))


def test_what_does_not_fit_leaves_the_disks_that_are_there(small: RealCase) -> None:
    small.image("image", 2)
    small.driver.clone(source(small), disk(small), 2, "raw")
    image_format = small.disk_format("raw")
    before, kept = small.content(disk(small), image_format), left(small)
    for _ in range(2):
        with pytest.raises(DriverError, match=FULL):
            small.driver.clone(source(small, "large"), Place("", directory(small).path / "kernel"), 0, "raw")
    assert small.content(disk(small), image_format) == before
    assert left(small) == kept


TWICE = """
import sys
from pathlib import Path
from tests.drivers.transfer.operations import OPERATIONS
from tests.drivers.transfer.test_transfer_contract import REAL
from merope.drivers.errors import DriverError
case = REAL[sys.argv[1]](Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
try:
    OPERATIONS[sys.argv[3]].do(case)
except DriverError as error:
    print(error)
except Exception as error:
    print("a bug:", type(error).__name__, error)
"""


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("operation", ["clone", "link", "make image with a file system", "save as"])
def test_two_who_do_the_same_at_once_leave_one_whole_disk(name: str, operation: str, tmp_path: Path) -> None:
    case = REAL[name](tmp_path / "datastores")
    OPERATIONS[operation].prepare(case)
    argv = (sys.executable, "-c", TWICE, name, str(case.location), operation)
    both = [
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in both:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    told = [each.communicate()[0] for each in both]
    # Who comes second finds it done, or is told that the first one has taken its place.
    assert not any("a bug" in text for text in told), told
    assert "" in told
    assert OPERATIONS[operation].done(case)
    assert not list(case.location.rglob("*.part"))
