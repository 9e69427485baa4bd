"""A datastore, a file to register, and a web server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.drivers.datastore.images import DISK
from tests.drivers.datastore.web import Web, serving

from merope.model.datastore import Datastore
from merope.model.template import Template


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as server:
        yield server


@pytest.fixture
def datastore(tmp_path: Path) -> Datastore:
    (tmp_path / "safe").mkdir()
    return Datastore(
        1, 0, 0, "oneadmin", "oneadmin", "default", base_path=f"{tmp_path}//datastores/1",
        template=Template([("SAFE_DIRS", str(tmp_path / "safe")), ("RESTRICTED_DIRS", "/")]),
    )  # fmt: skip


@pytest.fixture
def upload(tmp_path: Path, datastore: Datastore) -> Path:
    path = tmp_path / "safe" / "disk.img"
    path.write_bytes(DISK)
    return path
