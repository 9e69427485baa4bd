"""`one config`: what is in force, and where each value came from."""

import json
from pathlib import Path

import pytest
import yaml

from merope.daemon import config_show
from merope.daemon.layout import Layout
from merope.daemon.start import Wanted


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "oned.conf").write_text(
        'PORT = 2700\nDB = [\n  BACKEND = sqlite,\n  PASSWD = "hunter2" ]\nVM_RESTRICTED_ATTR = RAW\n'
        'TM_MAD_CONF = [ NAME = "mine", SHARED = YES ]\n'
    )
    return Layout(tmp_path)


def test_what_is_not_a_default_is_shown_with_its_line(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert config_show.show(layout, Wanted(), "table", diff=True) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    file = f"{layout.home}/oned.conf"
    assert rows == [
        ["DB/BACKEND", f"{file}:3", "sqlite"],
        ["DB/PASSWD", f"{file}:4", "***"],
        ["PORT", f"{file}:1", "2700"],
        ["VM_RESTRICTED_ATTR", f"{file}:5", "RAW"],
        ["TM_MAD_CONF", "mine", f"{file}:6", "SHARED=YES"],
    ]


def test_everything_in_force_is_shown_without_diff(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    config_show.show(layout, Wanted(), "table", diff=False)
    text = capsys.readouterr().out
    assert [line.split(":")[0] for line in text.splitlines() if line[0] == "#"] == [
        "# oned.conf",
        "# monitord.conf",
        "# sched.conf",
    ]
    assert "hunter2" not in text


@pytest.mark.parametrize("diff", [True, False])
def test_json_and_yaml_say_the_same(layout: Layout, capsys: pytest.CaptureFixture[str], diff: bool) -> None:
    config_show.show(layout, Wanted(), "json", diff)
    as_json = json.loads(capsys.readouterr().out)
    config_show.show(layout, Wanted(), "yaml", diff)
    assert yaml.safe_load(capsys.readouterr().out) == as_json
    rows = {row["option"]: row for row in as_json if row["origin"] != "default"}
    assert rows["VM_RESTRICTED_ATTR"]["value"] == ["RAW"]
    assert rows["TM_MAD_CONF"]["value"] == {"NAME": "mine", "SHARED": "YES"}


def test_nothing_that_is_not_a_default_is_an_empty_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config_show.show(Layout(tmp_path), Wanted(), "yaml", diff=True)
    assert yaml.safe_load(capsys.readouterr().out) == []


def test_a_wrong_file_is_told_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "oned.conf").write_text("A = 1")
    assert config_show.show(Layout(tmp_path), Wanted(), "table", diff=False) == 78
    assert f"{tmp_path}/oned.conf:1: unknown option A" in capsys.readouterr().err
