"""A directory that all tests of a module share, and drivers with files of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.drivers.auth import slapd
from tests.drivers.auth.slapd import Slapd

from merope.drivers.auth.base import Places

#: 2026-11-21; tokens are made with ends around it.
NOW = 1_795_226_169


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "etc", tmp_path / "var")
    (made.etc / "auth").mkdir(parents=True)
    made.home.mkdir()
    return made


@pytest.fixture
def configure(places: Places) -> Callable[[str, str], Path]:
    """Writes a driver's file under etc/auth."""

    def write(file: str, text: str) -> Path:
        path = places.etc / "auth" / file
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    pytest.importorskip("ldap", reason="python-ldap is not installed (the extra `ldap`)")
    if slapd.SLAPD is None:
        pytest.skip("slapd is not installed (Debian's package slapd; scripts/setup.sh all)")
    with slapd.running(tmp_path_factory.mktemp("slapd") / "home") as made:
        yield made
