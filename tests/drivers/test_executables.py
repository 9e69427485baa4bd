"""Executables of third parties are run as 5.12 runs them, and say what went wrong as it has them say it."""

import base64
from pathlib import Path

import pytest

from merope.drivers.errors import DriverError
from merope.drivers.executable import Executables, find


def driver(path: Path, **scripts: str) -> Executables:
    directory = path / "vmm" / "mine"
    directory.mkdir(parents=True)
    for name, text in scripts.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}\n")
        (directory / name).chmod(0o755)
    return Executables(directory, "hypervisor")


def test_words_arrive_as_they_are_and_the_document_in_base64(tmp_path: Path) -> None:
    made = driver(tmp_path, deploy='printf "%s|" "$@"; cat')
    said = made.run("deploy", ["a b", "$(id)", "'"], document="<VM>é</VM>")
    words, _, data = said.rpartition("|")
    assert words == "a b|$(id)|'"
    assert base64.b64decode(data).decode() == "<VM>é</VM>"


def test_a_failure_is_told_in_the_words_between_the_marks(tmp_path: Path) -> None:
    script = (
        "echo 'cancel: a command of mine' >&2\n"
        "echo 'ERROR MESSAGE --8<------' >&2; echo 'no such guest' >&2; echo 'ERROR MESSAGE ------>8--' >&2\n"
        "echo 'ExitCode: 3' >&2; exit 3"
    )
    with pytest.raises(DriverError, match=r"^mine/cancel: no such guest$"):
        driver(tmp_path, cancel=script).run("cancel", ["one-7"])


@pytest.mark.parametrize(
    ("script", "message"),
    [("echo 'oh dear' >&2; exit 1", "oh dear"), ("exit 4", "failed with exit status 4")],
)
def test_a_failure_without_marks_is_told_as_well_as_can_be(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(DriverError, match=f"mine/cancel: {message}"):
        driver(tmp_path, cancel=script).run("cancel", ["one-7"])


def test_an_action_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="the hypervisor mine has no executable snapshot_create"):
        driver(tmp_path, deploy="").run("snapshot_create", ["one-7"])


def test_what_anybody_can_write_is_not_run(tmp_path: Path) -> None:
    made = driver(tmp_path, deploy="touch ran")
    (made.directory / "deploy").chmod(0o777)
    with pytest.raises(DriverError, match="chmod o-w"):
        made.run("deploy")


@pytest.mark.parametrize("name", ["", ".", "..", "../vmm/mine", "mine\0", "none"])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    driver(tmp_path / "remotes")
    assert find(tmp_path, "vmm", "mine") is not None
    assert find(tmp_path, "vmm", name) is None
