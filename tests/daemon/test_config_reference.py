"""The generated reference and sample files."""

import re
from pathlib import Path

import pytest

from merope.daemon.config import FILES, load
from merope.daemon.config_reference import markdown, sample
from merope.model.option import Option, declarations

ROOT = Path(__file__).parents[2]


def test_every_option_is_in_the_reference() -> None:
    text = markdown()
    declared = [d.name for settings in FILES.values() for d in declarations(settings).values()]
    assert [name for name in declared if f"`{name}`" not in text] == []


def test_the_reference_in_the_documentation_is_up_to_date() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == markdown()


def test_the_packaged_sample_is_up_to_date() -> None:
    assert (ROOT / "packaging" / "oned.conf").read_text() == sample("oned.conf")


@pytest.mark.parametrize("file", FILES)
def test_a_sample_changes_nothing(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(sample(file))
    (tmp_path / "oned.conf").touch()
    assert load(tmp_path, tmp_path / "oned.conf") == load(tmp_path)


def test_options_of_a_sample_can_be_used_as_they_are(tmp_path: Path) -> None:
    options = [
        d.name
        for d in declarations(FILES["oned.conf"]).values()
        if isinstance(d, Option) and d.default and "/" not in d.name
    ]
    text = re.sub(rf"^#({'|'.join(options)}) =", r"\1 =", sample("oned.conf"), flags=re.MULTILINE)
    (tmp_path / "oned.conf").write_text(text)
    ours = load(tmp_path, tmp_path / "oned.conf")
    assert ours.settings.default_umask == load(tmp_path).settings.default_umask
    assert {e.name for e in ours.entries if str(tmp_path / "oned.conf") in e.origin} == set(options)
