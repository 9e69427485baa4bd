"""Images, and what the fs datastore makes of them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from merope.drivers.datastore.fs import FsDatastore
from merope.drivers.errors import DriverError
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.template import Template

MB = 1024 * 1024
DISK = b"\x55\xaa" * 1000 + bytes(2 * MB) + b"end"
needs_qemu_img = pytest.mark.skipif(not shutil.which("qemu-img"), reason="needs qemu-img")


def image(path: Path | str, number: int = 5, **attributes: str) -> Image:
    made = Image(number, 0, 0, "oneadmin", "oneadmin", "image", regtime=1795226169)
    made.path, made.size = str(path), 4
    made.template = Template(attributes.items())
    return made


def stored(name: Image, datastore: Datastore) -> bytes:
    return Path(FsDatastore().copy(name, datastore).source).read_bytes()


def qcow2(path: Path, *options: str, size: str = "10M") -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, size], check=True)
    return path


def refused(path: object, datastore: Datastore, why: str) -> None:
    """The image is refused for the same reason by whoever looks at it and whoever takes it."""
    with pytest.raises(DriverError, match=why):
        FsDatastore().stat(str(path), datastore)
    with pytest.raises(DriverError, match=why):
        FsDatastore().copy(image(str(path)), datastore)
