"""Clients of others, each in an environment of its own below .venv; made once, skipped where the index is
not there."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import pytest

ENVIRONMENTS = Path(__file__).parents[2] / ".venv" / "compat"
#: The one collection of the many in the package, and what it is read by.
_COLLECTION = "ansible_collections/community/general/"
_PYONE = ("pyone", "setuptools")


@contextmanager
def _made_once(name: str) -> Iterator[tuple[Path, bool]]:
    """The environment's place, and whether it is still to be made; the suite runs in several processes."""
    place = ENVIRONMENTS / name
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = not (place / "ready").exists()
        if missing:
            shutil.rmtree(place, ignore_errors=True)
        yield place, missing
        (place / "ready").touch()


def _install(name: str, command: Sequence[str | Path], directory: Path | None = None) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{name} could not be installed: {done.stderr.strip().splitlines()[-1]}")


def python(name: str, *packages: str, then: Callable[[Path], None] | None = None) -> Path:
    """The interpreter of an environment with these packages; `then` gets the new environment's place."""
    with _made_once(name) as (place, missing):
        interpreter = place / "bin" / "python"
        if missing:
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            _install(name, [interpreter, "-m", "pip", "install", "-q", *packages])
            if then is not None:
                then(place)
    return interpreter


def ansible() -> Path:
    """The interpreter of an environment with Ansible, pyone, and community.general below `collections`."""
    return python("ansible", "ansible-core", *_PYONE, then=_add_collection)


def _add_collection(place: Path) -> None:
    download = ["-m", "pip", "download", "-q", "--no-deps", "-d", str(place / "package"), "ansible"]
    _install("community.general", [place / "bin" / "python", *download])
    (wheel,) = (place / "package").glob("*.whl")
    with ZipFile(wheel) as packed:
        wanted = [name for name in packed.namelist() if name.startswith(_COLLECTION)]
        packed.extractall(place / "collections", wanted)
    shutil.rmtree(place / "package")


def node(name: str, *packages: str) -> Path:
    """A directory in which Node.js finds these packages; skips where there is no npm."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js and npm are not installed")
    with _made_once(name) as (place, missing):
        if missing:
            place.mkdir()
            _install(name, [npm, "install", "--silent", "--no-audit", "--no-fund", *packages], place)
    return place
