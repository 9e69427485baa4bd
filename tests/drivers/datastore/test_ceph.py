"""Images on Ceph: registered, made, copied, with snapshots, and nothing left where that fails."""

import bz2
import gzip
import hashlib
import lzma
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.drivers.ceph_cluster import CephCluster
from tests.drivers.datastore.web import Web

from merope.drivers.datastore.ceph import CephDatastore
from merope.drivers.errors import DriverError
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.template import Template

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("ceph")]
CONTENT = b"boot" * 500_000


class Store:
    """A datastore on the cluster, with the image of a disk that can be registered."""

    def __init__(self, cluster: CephCluster, place: Path) -> None:
        self.cluster, self.place = cluster, place
        self.staging = place / "staging"
        self.staging.mkdir()
        self.upload = place / "upload"
        self.upload.write_bytes(CONTENT)
        stated = {**cluster.attributes, "BRIDGE_LIST": "localhost", "STAGING_DIR": str(self.staging)}
        self.datastore = Datastore(
            100, 0, 0, "oneadmin", "oneadmin", "ceph", base_path=str(place / "100"),
            template=Template([*stated.items(), ("SAFE_DIRS", str(place)), ("RESTRICTED_DIRS", "/")]),
        )  # fmt: skip
        self.driver = CephDatastore()

    def image(self, number: int = 5, **attributes: object) -> Image:
        image = Image(number, 0, 0, "oneadmin", "oneadmin", f"image-{number}", regtime=100 + number)
        image.path, image.size, image.source = str(self.upload), 2, f"one/one-{number}"
        for name, value in attributes.items():
            setattr(image, name, value)
        return image

    def content(self, volume: str) -> str:
        with tempfile.TemporaryDirectory() as place:
            self.cluster.rbd("export", volume, f"{place}/raw")
            return hashlib.sha256(Path(place, "raw").read_bytes().rstrip(b"\0")).hexdigest()

    def write(self, volume: str, number: int) -> None:
        url = f"rbd:{volume}:conf={self.cluster.conf}"
        argv = ("qemu-io", "-f", "raw", "-c", f"write -P {number} 4096 512", url)
        subprocess.run(argv, check=True, capture_output=True)

    def volumes(self) -> list[str]:
        return self.cluster.rbd("ls", "one").split()

    def left(self) -> list[object]:
        """What an operation that failed must not leave."""
        return [*self.volumes(), *self.staging.iterdir()]


@pytest.fixture
def store(ceph: CephCluster, tmp_path: Path) -> Store:
    return Store(ceph, tmp_path)


EXPECTED = hashlib.sha256(CONTENT).hexdigest()
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param("plain", marks=pytest.mark.quick), "gz", pytest.param("xz", marks=pytest.mark.quick)],
)
@pytest.mark.runs("datastore/ceph", "copy", "stat", where="here")
def test_a_file_is_registered_as_a_volume_whatever_it_is_compressed_with(store: Store, kind: str) -> None:
    store.upload.write_bytes(COMPRESSED[kind](CONTENT))
    stored = store.driver.copy(store.image(), store.datastore)
    assert (stored.source, stored.image_format) == ("one/one-5", "raw")
    assert store.content("one/one-5") == EXPECTED
    assert store.driver.stat(str(store.upload), store.datastore) == 2
    assert list(store.staging.iterdir()) == []


def test_an_image_comes_from_a_web_server_with_its_checksum(store: Store, web: Web) -> None:
    packed = gzip.compress(CONTENT)
    web.pages["/disk.gz"] = packed
    image = store.image(path=web.url("/disk.gz"))
    image.template.set("MD5", hashlib.md5(packed, usedforsecurity=False).hexdigest())
    assert store.driver.copy(image, store.datastore).source == "one/one-5"
    assert store.content("one/one-5") == EXPECTED


@pytest.mark.quick
def test_a_qcow2_image_becomes_a_raw_volume(store: Store) -> None:
    qcow2 = store.place / "upload.qcow2"
    argv = ("qemu-img", "convert", "-O", "qcow2", "-f", "raw", str(store.upload), str(qcow2))
    subprocess.run(argv, check=True)
    stored = store.driver.copy(store.image(path=str(qcow2)), store.datastore)
    assert stored.image_format == "raw"
    assert store.content("one/one-5") == EXPECTED
    assert list(store.staging.iterdir()) == []


@pytest.mark.quick
@pytest.mark.runs("datastore/ceph", "make", "clone", "remove", where="here")
def test_an_image_is_made_copied_and_removed(store: Store) -> None:
    made = store.driver.make(store.image(template=Template([("FS", "ext4")]), size=8), store.datastore)
    copy = store.driver.clone(store.image(6), made.source, store.datastore)
    assert store.content(copy.source) == store.content(made.source)
    store.write(copy.source, 7)
    assert store.content(copy.source) != store.content(made.source)
    for number in (5, 6, 6):
        store.driver.remove(store.image(number), store.datastore)
    assert store.left() == []


@pytest.mark.runs("datastore/ceph", "snapshot_delete", "snapshot_revert", "snapshot_flatten", where="here")
def test_snapshots_of_an_image_are_returned_to_removed_and_made_the_image(store: Store) -> None:
    volume = store.driver.copy(store.image(), store.datastore).source
    for number in range(3):
        store.cluster.rbd("snap", "create", f"{volume}@{number}")
        store.write(volume, number + 1)
    store.driver.snapshot_delete(store.image(), 2, store.datastore)
    store.driver.snapshot_revert(store.image(), 0, store.datastore)
    assert store.content(volume) == EXPECTED
    store.driver.snapshot_flatten(store.image(), 1, store.datastore)
    store.driver.snapshot_flatten(store.image(), 1, store.datastore)
    assert store.content(volume) != EXPECTED
    assert "NAME" not in store.cluster.rbd("snap", "ls", volume)


@pytest.mark.runs("datastore/ceph", "export", where="here")
def test_an_image_that_is_offered_is_a_file_for_as_long_as_that_takes(store: Store) -> None:
    store.driver.copy(store.image(), store.datastore)
    for _ in range(2):
        exported = store.driver.export(store.image(), store.datastore)
        assert (exported.staged, exported.image_format) == (True, "raw")
        assert hashlib.sha256(exported.path.read_bytes().rstrip(b"\0")).hexdigest() == EXPECTED
    exported.path.unlink()
    with pytest.raises(DriverError, match="one-6 is not there"):
        store.driver.export(store.image(6), store.datastore)
    assert list(store.staging.iterdir()) == []


@pytest.mark.quick
@pytest.mark.runs("datastore/ceph", "monitor", where="here")
def test_the_room_is_the_pools_or_what_a_limit_leaves_of_it(store: Store) -> None:
    usage = store.driver.monitor(store.datastore)
    assert usage.total == usage.used + usage.free > 500
    store.datastore.template.set("LIMIT_MB", "100")
    assert store.driver.monitor(store.datastore).total == 100
    store.datastore.template.set("POOL_NAME", "absent")
    with pytest.raises(DriverError, match="the cluster has no pool 'absent'"):
        store.driver.monitor(store.datastore)


def test_an_image_that_there_is_no_room_for_leaves_nothing(store: Store) -> None:
    store.datastore.template.set("LIMIT_MB", "1")
    with pytest.raises(DriverError, match="MB that there is room for"):
        store.driver.copy(store.image(), store.datastore)
    assert store.left() == []


def test_a_transfer_that_breaks_leaves_nothing(store: Store) -> None:
    store.upload.write_bytes(gzip.compress(CONTENT)[:-100])
    with pytest.raises(DriverError, match="cut off"):
        store.driver.copy(store.image(), store.datastore)
    image = store.image(template=Template([("MD5", "0" * 32)]))
    store.upload.write_bytes(CONTENT)
    with pytest.raises(DriverError, match="the MD5 of the image is"):
        store.driver.copy(image, store.datastore)
    assert store.left() == []


def test_a_pool_that_cannot_take_it_leaves_nothing(store: Store) -> None:
    store.datastore.template.set("POOL_NAME", "absent")
    with pytest.raises(DriverError, match="Ceph"):
        store.driver.make(store.image(), store.datastore)
    assert store.left() == []


def test_a_user_is_known_by_the_key_that_ceph_key_names(store: Store, tmp_path: Path) -> None:
    """Without a keyring beside the cluster's configuration."""
    conf = tmp_path / "ceph.conf"
    conf.write_text(store.cluster.conf.read_text().replace("keyring = ", f"keyring = {tmp_path}/absent"))
    store.datastore.template.set("CEPH_CONF", str(conf))
    with pytest.raises(DriverError, match="Ceph"):
        store.driver.copy(store.image(), store.datastore)
    assert store.left() == []
    store.datastore.template.set("CEPH_KEY", str(store.cluster.key))
    stored = store.driver.copy(store.image(), store.datastore)
    assert store.content(stored.source) == hashlib.sha256(CONTENT).hexdigest()


def test_whom_the_cluster_does_not_let_in_is_not_told_that_an_image_is_not_there(store: Store) -> None:
    store.driver.copy(store.image(), store.datastore)
    store.datastore.template.set("CEPH_USER", "nobody")
    for _ in range(2):
        with pytest.raises(DriverError, match=r"did not let client\.nobody in: .*no keyring"):
            store.driver.remove(store.image(), store.datastore)
    assert store.volumes() == ["one-5"]


def test_a_pool_that_the_user_has_no_right_to_is_refused(store: Store) -> None:
    store.cluster.allow_user("mon", "profile rbd", "osd", "profile rbd pool=system")
    try:
        with pytest.raises(DriverError, match="Operation not permitted"):
            store.driver.copy(store.image(), store.datastore)
    finally:
        store.cluster.allow_user()
    assert store.left() == []


def test_what_an_unfinished_registration_left_is_removed_with_the_image(store: Store) -> None:
    store.cluster.rbd("create", "--size", "1", "one/one-5.part")
    (store.staging / ".one-100-5.part").touch()
    store.driver.remove(store.image(), store.datastore)
    assert store.left() == []


def test_a_volume_that_the_datastore_has_not_made_stays(store: Store) -> None:
    store.cluster.rbd("create", "--size", "1", "one/precious")
    store.driver.remove(store.image(source="one/precious"), store.datastore)
    assert store.volumes() == ["precious"]
