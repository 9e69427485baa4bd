"""A tree of files on a host: whole or not at all, and sent once."""

from pathlib import Path, PurePosixPath

import pytest
from tests.drivers.ssh.server import Sshd

from merope.drivers.errors import DriverError
from merope.drivers.remote_tree import Tree, push


@pytest.fixture
def target(tmp_path: Path) -> PurePosixPath:
    return PurePosixPath(tmp_path) / "remote dir" / "one"


def tree(**files: str) -> Tree:
    return Tree({PurePosixPath(name): text.encode() for name, text in files.items()})


def test_a_tree_arrives_with_names_content_and_modes(
    server: Sshd, tmp_path: Path, target: PurePosixPath
) -> None:
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (source / "bin/run me.sh").write_text("#!/bin/sh\necho ran\n")
    (source / "bin/run me.sh").chmod(0o755)
    (source / "text").write_text("é\n")
    (source / "__pycache__").mkdir()
    (source / "__pycache__/x.pyc").write_text("")
    assert push(server.ssh, "node1", Tree.of(source), target)
    assert server.ssh.run("node1", [f"{target}/bin/run me.sh"], timeout=20).stdout == "ran\n"
    assert Path(target / "text").read_text() == "é\n"
    assert not Path(target / "__pycache__").exists()


def test_a_tree_that_the_host_has_is_not_sent_again(server: Sshd, target: PurePosixPath) -> None:
    assert push(server.ssh, "node1", tree(a="1"), target)
    assert not push(server.ssh, "node1", tree(a="1"), target)
    assert push(server.ssh, "node1", tree(a="2"), target)
    assert Path(target / "a").read_text() == "2"


def test_what_is_not_in_the_new_tree_is_gone(server: Sshd, target: PurePosixPath) -> None:
    push(server.ssh, "node1", tree(a="1", b="1"), target)
    push(server.ssh, "node1", tree(a="1"), target)
    assert [path.name for path in Path(target).iterdir()] == ["a"]


def test_the_three_newest_trees_are_kept_for_who_works_with_them(server: Sshd, target: PurePosixPath) -> None:
    push(server.ssh, "node1", tree(a="0"), target)
    before = Path(target).resolve()
    push(server.ssh, "node1", tree(a="1"), target)
    assert (before / "a").read_text() == "0"
    for number in range(2, 6):
        push(server.ssh, "node1", tree(a=str(number)), target)
    assert len(list(Path(target.parent).glob(".one-*"))) == 3
    assert Path(target / "a").read_text() == "5"


def test_what_an_attempt_that_was_cut_off_has_left_hinders_nobody(
    server: Sshd, target: PurePosixPath
) -> None:
    sent = tree(a="1")
    push(server.ssh, "node1", tree(a="0"), target)
    half = Path(target.parent) / f".one-{sent.digest}.123.part"
    half.mkdir()
    (half / "a").write_text("")
    push(server.ssh, "node1", sent, target)
    assert Path(target / "a").read_text() == "1"


def test_a_tree_whose_link_was_not_yet_turned_is_taken_as_it_is(server: Sshd, target: PurePosixPath) -> None:
    push(server.ssh, "node1", tree(a="1"), target)
    Path(target).unlink()
    push(server.ssh, "node1", tree(a="1"), target)
    assert Path(target / "a").read_text() == "1"


def test_a_tree_of_which_a_file_was_tidied_away_is_sent_again(server: Sshd, target: PurePosixPath) -> None:
    push(server.ssh, "node1", tree(a="1", b="1"), target)
    Path(target / "a").unlink()
    assert push(server.ssh, "node1", tree(a="1", b="1"), target)
    assert Path(target / "a").read_text() == "1"


def test_a_directory_that_others_can_write_is_not_used(server: Sshd, target: PurePosixPath) -> None:
    Path(target.parent).mkdir()
    Path(target.parent).chmod(0o777)
    with pytest.raises(DriverError, match="must be a directory of the account that nobody else can write"):
        push(server.ssh, "node1", tree(a="1"), target)
    assert not Path(target).exists()


def test_a_link_in_place_of_the_directory_is_not_followed(
    server: Sshd, tmp_path: Path, target: PurePosixPath
) -> None:
    (tmp_path / "elsewhere").mkdir()
    Path(target.parent).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DriverError, match="must be a directory"):
        push(server.ssh, "node1", tree(a="1"), target)
    assert list((tmp_path / "elsewhere").iterdir()) == []
