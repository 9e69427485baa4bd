"""What docs/adding-a-driver.md shows works."""

import re
from pathlib import Path

import pytest

from merope.drivers.transfer.base import Place, Transfer

DOCUMENT = Path(__file__).parents[2] / "docs" / "adding-a-driver.md"


def blocks() -> list[str]:
    found = re.findall(
        r"^ {4}```python\n(.*?)^ {4}```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return [re.sub("^ {4}", "", block, flags=re.MULTILINE) for block in found]


def test_the_example_of_a_driver_is_one(tmp_path: Path) -> None:
    names: dict[str, type[Transfer]] = {}
    exec(compile(blocks()[0], str(DOCUMENT), "exec"), names)
    driver = names["MirrorTransfer"](tmp_path / "datastores")  # type: ignore[call-arg]
    source = tmp_path / "image"
    source.write_text("boot")
    target = Place("", tmp_path / "datastores" / "0" / "7" / "disk.0")
    driver.clone(source, target, 0, "raw")
    assert target.path.read_text() == "boot"


@pytest.mark.parametrize(
    "path",
    [word for word in re.findall(r"`([\w/]+\.py)`", DOCUMENT.read_text("utf-8")) if "mirror" not in word],
)
def test_every_file_that_the_page_names_exists(path: str) -> None:
    root = DOCUMENT.parents[1]
    assert any((root / base / path).is_file() for base in ("", "src", "src/merope", "src/merope/drivers"))
