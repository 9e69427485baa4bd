"""Replicas of images on a host near the VMs': brought once, never old, the least recently used dropped."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drivers.full_disk import small_disk
from tests.drivers.ssh.server import Sshd, why_not

from merope.drivers.carrier import Carrier
from merope.drivers.errors import DriverError
from merope.drivers.replicas import Limits, Replica, Replicas, Store, replica_name
from merope.drivers.transfer.base import Place

MB = 1024 * 1024
NEAR = {"REPLICA_HOST": "node1"}
pytestmark = pytest.mark.runs("transfer/ssh", "clone", where="here")


class Noted(Carrier):
    """A real one that writes down the machine that a file comes from; `meanwhile` happens once, at the end
    of what it is named after."""

    def __init__(self, server: Sshd) -> None:
        super().__init__(server.ssh)
        self.ways: list[str] = []
        self.meanwhile: dict[str, Callable[[], object]] = {}

    def copy(self, source: Place, target: Place, *, follow: bool = False) -> None:
        super().copy(source, target, follow=follow)
        self._note("copy", source, target)

    def hand_over(self, source: Place, target: Place) -> None:
        super().hand_over(source, target)
        self._note("hand_over", source, target)

    def _note(self, call: str, source: Place, target: Place) -> None:
        self.ways.append(f"{source.host or 'front-end'} to {target.host}")
        self.meanwhile.pop(call, lambda: None)()


class Case:
    """Images in `images` of the front-end; node1 and node2 are hosts that have `location`."""

    def __init__(self, place: Path, server: Sshd) -> None:
        self.images = place / "images"
        self.images.mkdir()
        self.location = place / "there"
        self.carrier = Noted(server)
        self.locks = place / "locks"

    @property
    def replicas(self) -> Replicas:
        return Replicas(self.carrier, self.location, self.locks)

    def image(self, name: str, size: int = 1) -> Path:
        path = self.images / name
        path.write_bytes(name.encode().ljust(8) + os.urandom(size * MB - 8))
        return path

    def send(self, image: Path, vm: int, host: str = "node2", **attributes: str) -> Path:
        """The disk of a VM on a host, checked to be the image as it is."""
        disk = self.images.parent / f"vms/{vm}/.disk.0.coming"
        self.replicas.copy(image, Place(host, disk), NEAR | attributes)
        assert disk.read_bytes() == image.read_bytes()
        assert os.listdir(disk.parent) == [disk.name]
        return disk

    def ways(self) -> list[str]:
        """What was carried since this was asked last."""
        told = list(self.carrier.ways)
        self.carrier.ways.clear()
        return told

    def kept(self, *images: Path) -> bool:
        """Whether exactly these have replicas, and nothing else is with them."""
        store = self.location / "replicas"
        names = sorted(os.listdir(store)) if store.is_dir() else []
        return names == sorted(map(replica_name, images))


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Sshd]:
    if reason := why_not():
        pytest.skip(reason)
    started = Sshd(tmp_path, "node2", "stranger")
    started.know("node1", "node2")
    started.start()
    yield started
    started.ssh.close()
    started.stop()


@pytest.fixture
def case(tmp_path: Path, hosts: Sshd) -> Case:
    return Case(tmp_path, hosts)


BROUGHT = ["front-end to node1", "node1 to node2"]


def test_an_image_is_brought_to_the_replica_host_once_and_disks_come_from_there(case: Case) -> None:
    image = case.image("debian")
    case.send(image, 1)
    assert case.ways() == BROUGHT
    case.send(image, 2)
    assert case.ways() == ["node1 to node2"]
    assert case.kept(image)


def test_holes_stay_holes_on_the_way(case: Case) -> None:
    image = case.image("holes")
    os.truncate(image, 50 * MB)
    assert case.send(image, 1).stat().st_blocks * 512 < 2 * MB


def test_a_vm_on_the_replica_host_itself_has_its_disk_from_there(case: Case) -> None:
    case.send(case.image("debian"), 1, "node1")
    assert case.ways() == ["front-end to node1", "node1 to node1"]


def test_of_an_image_that_was_written_over_nobody_gets_the_old_content(case: Case) -> None:
    image = case.image("debian")
    case.send(image, 1)
    image.unlink()
    case.send(case.image("debian"), 2)
    assert case.ways() == BROUGHT * 2


def test_an_image_that_is_written_to_while_it_is_brought_has_no_replica(case: Case) -> None:
    image = case.image("debian")
    case.carrier.meanwhile["copy"] = lambda: image.write_bytes(b"new")
    case.send(image, 1)
    assert case.ways() == ["front-end to node1", "front-end to node2"]
    assert case.kept()


def test_what_several_vms_want_at_once_is_brought_once(case: Case) -> None:
    image = case.image("debian", 4)
    threads = [threading.Thread(target=case.send, args=(image, vm)) for vm in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(case.ways()) == ["front-end to node1", *["node1 to node2"] * 4]


def test_the_least_recently_used_replica_is_dropped_when_they_become_too_large(case: Case) -> None:
    first, second, third = (case.image(name, 3) for name in ("first", "second", "third"))
    for image in (first, second):
        case.send(image, 1, REPLICA_MAX_SIZE_MB="7")
        os.utime(case.location / "replicas" / replica_name(image), (1000, 1000))
    case.send(first, 2, REPLICA_MAX_SIZE_MB="7")
    case.send(third, 3, REPLICA_MAX_SIZE_MB="7")
    assert case.kept(first, third)


def test_replicas_are_dropped_when_their_file_system_becomes_full(tmp_path: Path, hosts: Sshd) -> None:
    case = Case(tmp_path, hosts)
    with small_disk(tmp_path / "small", 8) as case.location:
        first, second, huge = case.image("first", 4), case.image("second", 4), case.image("huge", 9)
        case.send(first, 1)
        case.send(second, 2)
        assert case.kept(second)
        case.ways()
        case.send(huge, 3)
        assert case.ways() == ["front-end to node2"]
        assert case.kept(second)


def test_a_replica_that_a_disk_is_made_from_is_not_dropped(case: Case) -> None:
    used, other = case.image("used", 3), case.image("other", 3)
    case.send(used, 1)
    case.carrier.meanwhile["hand_over"] = lambda: case.send(other, 2, REPLICA_MAX_SIZE_MB="4")
    case.ways()
    case.send(used, 3)
    assert case.ways() == ["node1 to node2", "front-end to node2"]
    assert case.kept(used)


def test_what_a_transfer_that_was_cut_off_left_is_removed(case: Case) -> None:
    left = case.location / "replicas/.something.carried"
    left.mkdir(parents=True)
    (left / "image").write_bytes(b"half")
    image = case.image("debian")
    case.send(image, 1)
    assert case.kept(image)


@pytest.mark.parametrize(
    ("attributes", "host", "why"),
    [
        ({"REPLICA_HOST": "nowhere.invalid"}, "node2", "host nowhere.invalid cannot be reached by SSH"),
        ({}, "stranger", "could not be carried from host node1 to host stranger"),
        ({"REPLICA_HOST": "-oProxyCommand=id"}, "node2", "is not the name of a host"),
        ({"REPLICA_MAX_USED_PERC": "x"}, "node2", "must be a whole number from 1 to 100"),
    ],
)
def test_an_image_comes_from_the_front_end_where_the_replica_cannot_be_had_and_the_log_says_why(
    case: Case, caplog: pytest.LogCaptureFixture, attributes: dict[str, str], host: str, why: str
) -> None:
    with caplog.at_level(logging.WARNING):
        case.send(case.image("debian"), 1, host, **attributes)
    assert case.ways()[-1] == f"front-end to {host}"
    assert why in caplog.text


def test_on_the_front_end_itself_there_are_no_replicas(case: Case) -> None:
    case.send(case.image("debian"), 1, REPLICA_HOST="localhost")
    assert case.ways() == ["front-end to node2"]
    assert not case.location.exists()


def test_what_cannot_be_read_or_written_is_handed_over_neither_half_nor_whole(case: Case) -> None:
    target = case.images / "target"
    target.write_text("old")
    for source in (case.images / "absent", case.images / "closed/absent"):
        with pytest.raises(DriverError, match="from host node1 to host node2"):
            case.carrier.hand_over(Place("node1", source), Place("node2", target))
    assert target.read_text() == "old"
    assert os.listdir(case.images) == ["target"]


@pytest.mark.parametrize(
    "wrong", [{"REPLICA_MAX_SIZE_MB": "-1"}, {"REPLICA_MAX_USED_PERC": "0"}, {"REPLICA_MAX_USED_PERC": "101"}]
)
def test_limits_that_are_none_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(DriverError, match="must be a whole number"):
        Limits.of(NEAR | wrong)


replicas = st.lists(
    st.builds(
        Replica,
        st.text("abc", min_size=1),
        st.integers(0, 9).map(float),
        st.integers(0, 50),
    ),
    max_size=6,
)


@given(replicas, st.integers(0, 100), st.integers(1, 100), st.integers(0, 100))
def test_no_more_is_dropped_than_must_be_and_the_oldest_first(
    unused: list[Replica], free: int, percent: int, needed: int
) -> None:
    store = Store(free, 200, unused)
    kept = 200 - 200 * percent // 100
    dropped = store.to_drop(needed, Limits("node1", 0, percent), unused)
    if dropped is None:
        assert free + sum(each.size for each in unused) - needed < kept
        return
    assert free + sum(each.size for each in dropped) - needed >= kept
    if dropped:
        assert free + sum(each.size for each in dropped[:-1]) - needed < kept
    left = [each.used for each in unused if each not in dropped]
    assert not dropped or not left or max(each.used for each in dropped) <= min(left)
