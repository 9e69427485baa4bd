"""The steps of a failed transfer: shown as they are, done one at a time, with real files."""

import json
from pathlib import Path

import pytest

from merope.drivers.hypervisor.base import Domain
from merope.engine import plans
from merope.engine.job import Job
from merope.engine.places import Layout
from merope.engine.toolbox import LocalDrivers
from merope.model.effect import Effect
from merope.model.phase import Phase
from merope.model.template import Template, Vector
from merope.model.vm import VM, History

DISKS = """
DISK = [ DISK_ID = 0, IMAGE_ID = 3, TM_MAD = shared, SOURCE = "{place}/1/image", CLONE = YES, SIZE = 1 ]
DISK = [ DISK_ID = 1, IMAGE_ID = 4, TM_MAD = shared, SOURCE = "{place}/1/absent", CLONE = YES, SIZE = 1 ]
DISK = [ DISK_ID = 2, TYPE = fs, FORMAT = raw, SIZE = 1 ]
"""


class Quiet:
    """A hypervisor without guests that writes down what it is asked to do."""

    asked: list[str]

    def __init__(self) -> None:
        self.asked = []

    def domains(self) -> list[Domain]:
        return []

    def cancel(self, deploy_id: str) -> None:
        self.asked.append(deploy_id)


class Case:
    """VM 7, on this machine, whose second image is not there."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        (place / "1").mkdir(parents=True)
        (place / "1" / "image").write_bytes(b"content")
        self.drivers = LocalDrivers(place / "home", Layout(place))
        self.quiet = Quiet()
        monkeypatch.setattr(LocalDrivers, "hypervisor", lambda *_: self.quiet)
        record = History(7, 0, "localhost", 0, 0, 0, vm_mad="kvm", tm_mad="shared", ds_id=0)
        template = Template.parse(DISKS.format(place=place))
        self.vm = VM(7, 0, 0, "oneadmin", "oneadmin", "web", template=template, history_records=[record])

    @property
    def directory(self) -> Path:
        return self.place / "0" / "7"

    def ask(self, op: str, phase: Phase, stage: int, wanted: str = "") -> tuple[list[str], str]:
        """The steps, and what became of the wanted one."""
        self.vm.state, self.vm.lcm_state = phase.value
        answer = plans.run_step(self.drivers, Job(Effect(0, op, 7, -1, {}), self.vm), stage, wanted)
        return (json.loads(answer.data["steps"]), answer.data["done"]) if answer.ok else ([], answer.message)

    def prolog(self, wanted: str = "") -> tuple[list[str], str]:
        return self.ask("vm.prolog", Phase.PROLOG_FAILURE, 1, wanted)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path / "datastores", monkeypatch)


def test_the_steps_are_shown_and_nothing_is_done(case: Case) -> None:
    steps, done = case.prolog()
    assert steps == [
        f"shared clone {case.place}/1/image localhost:{case.directory}/disk.0 1 raw",
        f"shared clone {case.place}/1/absent localhost:{case.directory}/disk.1 1 raw",
        f"shared make_image 1 raw - localhost:{case.directory}/disk.2",
    ]
    assert done == ""
    assert not case.directory.exists()


def test_a_step_is_done_alone_and_again(case: Case) -> None:
    steps, _ = case.prolog()
    for _ in range(2):
        assert case.prolog(steps[0]) == (steps, "yes")
        assert (case.directory / "disk.0").read_bytes() == b"content"
        assert [path.name for path in case.directory.iterdir()] == ["disk.0"]
    case.prolog(steps[2])
    assert sorted(path.name for path in case.directory.iterdir()) == ["disk.0", "disk.2"]


def test_a_step_that_fails_says_why_and_the_others_can_be_done(case: Case) -> None:
    steps, _ = case.prolog()
    assert case.prolog(steps[1])[1] == f"the image {case.place}/1/absent is not there"
    (case.place / "1" / "absent").write_bytes(b"there now")
    assert case.prolog(steps[1])[1] == "yes"
    assert (case.directory / "disk.1").read_bytes() == b"there now"


def test_a_step_that_is_none_of_them_does_nothing(case: Case) -> None:
    _, done = case.prolog("shared delete localhost:/")
    assert done == ""
    assert not case.directory.exists()


def test_guests_are_left_alone(case: Case) -> None:
    case.vm.template.add("NIC", Vector(NIC_ID="0", VN_MAD="bridge"))
    steps, _ = case.ask("vm.epilog", Phase.EPILOG_FAILURE, 0)
    assert steps == []
    assert case.quiet.asked == []
    steps, _ = case.ask("vm.epilog", Phase.EPILOG_FAILURE, 2)
    assert steps == [f"shared delete localhost:{case.directory}"]
