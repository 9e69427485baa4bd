"""Fixtures of the tests on a bed of hosts. Where there can be none they skip with the reason.

All of them run by `make e2e`; those marked `quick` with everything else too (tests/conftest.py).
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cloud import BedCloud
from tests.e2e.making import running_cloud, temporary_bed
from tests.testbed.bed import Bed


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """Three hosts for the tests of this process, removed with all that is on them."""
    with temporary_bed(3) as made:
        yield made


@pytest.fixture(scope="session")
def cloud(bed: Bed) -> Iterator[BedCloud]:
    """Its hosts are in it and monitored; its storage is shared, and disks are chains."""
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    with running_cloud(BedCloud(bed, home, bed.shared / "datastores"), "qcow2") as made:
        yield made


@pytest.fixture(scope="module")
def own_storage() -> Iterator[BedCloud]:
    """Two hosts with storage of their own: images are on the front-end alone."""
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    with temporary_bed(2) as bed:
        made = BedCloud(bed, home, bed.local / "datastores", 26000 + os.getpid() % 4000)
        with running_cloud(made, "ssh"):
            yield made
