"""Every kind of database, for tests that must hold for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store import servers

from merope.store.location import File, Location

BACKENDS = ("sqlite", "mysql", "postgresql")


@pytest.fixture(scope="session", autouse=True)
def _servers_end_with_the_tests() -> Iterator[None]:
    yield
    servers.end_all()


@pytest.fixture(params=BACKENDS)
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return File(tmp_path / "one.db", 50)
    return servers.running(request.param).database()
