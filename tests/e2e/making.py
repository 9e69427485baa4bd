"""A bed and a cloud on it for as long as somebody needs them; nothing is left of them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.e2e.cloud import BedCloud
from tests.real.machine import guest_image
from tests.testbed.bed import Bed, why_not
from tests.testbed.host import BedError


@contextmanager
def temporary_bed(size: int) -> Iterator[Bed]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    directory = Path(tempfile.mkdtemp(prefix="mrp-bed-", dir="/tmp"))
    try:
        yield Bed.up(directory, size)
    finally:
        with suppress(BedError):  # it was not begun
            Bed.at(directory).down()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running_cloud(made: BedCloud, transfer: str) -> Iterator[BedCloud]:
    try:
        image, problem = guest_image()
        if image is None:
            pytest.skip(f"the guest image cannot be built: {problem}")
        made.start()
        for host in made.bed.hosts:
            made.add(host)
        made.prepare(image, transfer)
        for host in made.bed.hosts:
            made.wait_for_host(host.name)
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.home)
