"""Files are written whole or not at all, and copied with their holes."""

import errno
import fcntl
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.drivers import files
from merope.drivers.errors import DriverError
from merope.drivers.files import (
    SparseWriter,
    copy_file,
    copy_sparse,
    leftovers,
    move_file,
    new_file,
    remove,
    replaced_file,
)

MB = 1024 * 1024


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture(params=[new_file, replaced_file])
def writing(request: pytest.FixtureRequest) -> Callable[[Path], files.Writing]:
    return request.param  # type: ignore[no-any-return]


def test_a_file_appears_when_it_is_finished(writing: Callable[[Path], files.Writing], tmp_path: Path) -> None:
    with writing(tmp_path / "disk.0") as part:
        part.write_text("new")
        assert not (tmp_path / "disk.0").exists()
    assert (tmp_path / "disk.0").read_text() == "new"
    assert (tmp_path / "disk.0").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["disk.0"]


def test_a_file_that_fails_leaves_nothing(writing: Callable[[Path], files.Writing], tmp_path: Path) -> None:
    def fail() -> None:
        with writing(tmp_path / "disk.0") as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path) == []


def test_a_full_disk_is_a_sentence_that_names_the_file(
    writing: Callable[[Path], files.Writing], tmp_path: Path
) -> None:
    with (
        pytest.raises(DriverError, match=r"disk\.0 cannot be written: No space left"),
        writing(tmp_path / "disk.0"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_of_two_writers_the_first_wins_and_the_newest_attempt_ends_the_older(tmp_path: Path) -> None:
    def overtaken() -> None:
        with new_file(tmp_path / "disk.0") as old:
            old.write_text("old")
            with new_file(tmp_path / "disk.0") as new:
                new.write_text("new")

    with pytest.raises(DriverError, match="cannot be written"):
        overtaken()
    assert (tmp_path / "disk.0").read_text() == "new"


def test_a_target_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    with new_file(tmp_path / "disk.0") as part:
        part.write_text("late")
        (tmp_path / "disk.0").write_text("first")
    assert (tmp_path / "disk.0").read_text() == "first"


def test_without_hard_links_a_file_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    with new_file(tmp_path / "disk.0") as part:
        part.write_text("new")
    assert (tmp_path / "disk.0").read_text() == "new"


def test_leftovers_of_one_file_are_not_those_of_another(tmp_path: Path) -> None:
    for name in (".disk.1.aa.part", ".disk.10.aa.part", "disk.1", ".disk.1.keep"):
        (tmp_path / name).write_text("x")
    leftovers(tmp_path / "disk.1")
    assert names(tmp_path) == [".disk.1.keep", ".disk.10.aa.part", "disk.1"]


def no_reflink(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "no reflinks here")


def no_range(*_: object) -> int:
    raise OSError(errno.EXDEV, "not across file systems")


@pytest.mark.parametrize("in_kernel", [True, False])
@given(
    extents=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=4),
    size=st.integers(0, 44 * 65536),
)
def test_a_copy_is_equal_and_no_denser(
    tmp_path_factory: pytest.TempPathFactory, in_kernel: bool, extents: list[tuple[int, int]], size: int
) -> None:
    directory = tmp_path_factory.mktemp("copy")
    with (directory / "a").open("wb") as stream:
        for start, length in extents:
            stream.seek(start * 65536)
            stream.write(b"data" * (length * 16384))
        stream.truncate(size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "ioctl", no_reflink)
        if not in_kernel:
            patch.setattr(os, "copy_file_range", no_range)
        copy_file(directory / "a", directory / "b")
    assert (directory / "b").read_bytes() == (directory / "a").read_bytes()
    assert (directory / "b").stat().st_blocks <= (directory / "a").stat().st_blocks


def test_a_file_that_shrinks_while_it_is_copied_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    monkeypatch.setattr(fcntl, "ioctl", no_reflink)
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    with pytest.raises(DriverError, match="became shorter"):
        copy_file(tmp_path / "a", tmp_path / "b")


def test_a_file_larger_than_the_limit_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3 * MB)
    with FileIO(tmp_path / "a") as stream, pytest.raises(DriverError, match="larger than the 2 MB"):
        copy_sparse(stream, tmp_path / "b", limit=2 * MB)


@given(st.lists(st.one_of(st.binary(max_size=50), st.integers(0, 200_000).map(bytes)), max_size=6))
def test_a_stream_is_written_with_holes_for_zeroes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    target = tmp_path_factory.mktemp("sparse") / "a"
    with SparseWriter(target, 10 * MB) as writer:
        for piece in pieces:
            writer.write(piece)
    assert target.read_bytes() == b"".join(pieces)
    if not any(map(any, pieces)):
        assert target.stat().st_blocks == 0


def test_a_stream_over_the_limit_is_stopped(tmp_path: Path) -> None:
    with SparseWriter(tmp_path / "a", MB) as writer, pytest.raises(DriverError, match="larger than the 1 MB"):
        writer.write(bytes(MB + 1))


@pytest.mark.parametrize("across", [False, True])
def test_a_file_and_a_link_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, across: bool) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "file").write_text("content")
    (tmp_path / "a" / "link").symlink_to("/nowhere")
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "not across file systems")
        real(source, target)

    if across:
        monkeypatch.setattr(os, "replace", replace)
    move_file(tmp_path / "a" / "file", tmp_path / "b" / "file")
    move_file(tmp_path / "a" / "link", tmp_path / "b" / "link")
    assert names(tmp_path / "a") == []
    assert (tmp_path / "b" / "file").read_text() == "content"
    assert os.readlink(tmp_path / "b" / "link") == "/nowhere"


def test_a_link_to_a_directory_is_removed_without_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "keep").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "directory")
    remove(tmp_path / "link")
    assert names(tmp_path) == ["directory"]
    assert names(tmp_path / "directory") == ["keep"]
    remove(tmp_path / "link")
