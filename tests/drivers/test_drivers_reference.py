"""docs/reference/drivers.md says what the marks of tests say, and no mark names what there is not."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "drivers_reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drivers_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def marks_in(reference: ModuleType, tmp_path: Path, text: str) -> list[object]:
    (tmp_path / "test_mine.py").write_text(text)
    found: list[object] = reference.marks(tmp_path)
    return found


def test_marks_of_functions_classes_and_files_are_read(
    reference: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    text = (
        'NAME = "transfer/ssh"\nBOTH = ("clone", "link")\n'
        'pytestmark = [pytest.mark.real, pytest.mark.runs(NAME, "move", where="helper VM")]\n'
        "@pytest.mark.runs(NAME, *BOTH)\nclass TestIt: ...\n"
        '@pytest.mark.runs(NAME, "delete", where="stand-in")\nasync def test_that(): ...\n'
    )
    found = marks_in(reference, tmp_path, text)
    assert [(mark.operations, mark.where, mark.test) for mark in found] == [  # type: ignore[attr-defined]
        (("move",), "helper VM", "test_mine.py"),
        (("clone", "link"), "here", "TestIt"),
        (("delete",), "stand-in", "test_that"),
    ]


def test_every_mark_of_our_tests_names_a_driver_and_a_place(reference: ModuleType) -> None:
    assert reference.wrong_marks() == []


def test_a_test_that_ran_here_is_shown_before_one_against_a_stand_in(reference: ModuleType) -> None:
    path = Path("tests/test_it.py")
    marks = [
        reference.Mark("transfer/ssh", ("clone",), "stand-in", "test_a", path),
        reference.Mark("transfer/ssh", ("clone",), "here", "test_b", path),
    ]
    table = reference._table(reference.Kind.TRANSFER, "ssh", marks)
    assert "| `clone` | run here | [`test_b`](../../tests/test_it.py) |" in table
    assert "| `link` | not run | |" in table
