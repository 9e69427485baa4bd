"""The systemd units and the other files of packages."""

import configparser
import importlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from merope.cli.main import TOOLS
from merope.daemon.service import BAD_CONFIGURATION

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))
# Where the units expect the program; here it is in the environment that runs the tests.
INSTALLED = "/opt/merope/bin/"
HERE = str(Path(sys.executable).parent) + "/"


def parsed(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text())
    return parser


def commands(unit: Path) -> list[list[str]]:
    service = parsed(unit)["Service"]
    return [service[key].split() for key in service if key.startswith("Exec")]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(INSTALLED, HERE))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]
    assert ours == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_names_programs_that_an_installation_has(unit: Path) -> None:
    programs = [words[0] for words in commands(unit)]
    assert programs
    for program in programs:
        assert program.startswith(INSTALLED)
        assert Path(program.replace(INSTALLED, HERE)).exists(), program


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_neither_runs_as_root_nor_opens_its_files(unit: Path) -> None:
    service = parsed(unit)["Service"]
    assert service["User"] == "oneadmin"
    assert service["UMask"] == "0077"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_wrong_configuration_is_not_started_again_and_again(unit: Path) -> None:
    assert parsed(unit)["Service"]["RestartPreventExitStatus"] == str(BAD_CONFIGURATION)


def test_the_user_of_the_units_is_made_and_owns_their_directories() -> None:
    users = (ROOT / "packaging" / "systemd" / "merope.sysusers").read_text()
    assert users.splitlines()[-1].split()[:2] == ["u", "oneadmin"]
    rows = [line.split() for line in (ROOT / "packaging/systemd/merope.tmpfiles").read_text().splitlines()]
    made = {row[1]: row[2:5] for row in rows if row[0] == "d"}
    assert made["/var/lib/one"] == ["0700", "oneadmin", "oneadmin"]
    assert made["/var/log/one"] == ["0750", "oneadmin", "oneadmin"]
    assert made["/etc/one"] == ["0750", "root", "oneadmin"]


def test_every_command_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["scripts"]) == {"one", "onedb", *TOOLS}
    for where in project["scripts"].values():
        module, _, function = where.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
