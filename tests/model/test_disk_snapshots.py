"""The tree of a disk's snapshots, in each of the ways in which storages keep it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model import disk_snapshots as tree
from merope.model.template import Template


def chain(mode: str, count: int) -> Template:
    """Snapshots made one after the other, each of which the disk then goes on from."""
    snapshots = tree.none_yet(mode, 3)
    for number in range(count):
        assert tree.create(snapshots, f"s{number}", 10, 100 + number) == number
        tree.go_on_from(snapshots, number)
    return snapshots


def shape(snapshots: Template) -> list[tuple[str, str, str, str]]:
    return [
        (each["ID"], each["PARENT"], each.get("CHILDREN", ""), each.get("ACTIVE", ""))
        for each in snapshots.vectors("SNAPSHOT")
    ]


def test_a_first_snapshot_is_as_recorded() -> None:
    snapshots = tree.none_yet("NO", 0)
    tree.create(snapshots, "clean", 64, 1795226173)
    assert snapshots.to_xml("SNAPSHOTS") == (
        "<SNAPSHOTS><ALLOW_ORPHANS><![CDATA[NO]]></ALLOW_ORPHANS><CURRENT_BASE><![CDATA[-1]]></CURRENT_BASE>"
        "<DISK_ID><![CDATA[0]]></DISK_ID><NEXT_SNAPSHOT><![CDATA[1]]></NEXT_SNAPSHOT>"
        "<SNAPSHOT><DATE><![CDATA[1795226173]]></DATE><ID><![CDATA[0]]></ID><NAME><![CDATA[clean]]></NAME>"
        "<PARENT><![CDATA[-1]]></PARENT><SIZE><![CDATA[64]]></SIZE></SNAPSHOT></SNAPSHOTS>"
    )


def test_in_a_tree_each_is_made_of_the_one_that_the_disk_goes_on_from() -> None:
    snapshots = chain("NO", 2)
    assert shape(snapshots) == [("0", "-1", "1", ""), ("1", "0", "", "YES")]
    tree.go_on_from(snapshots, 0, back=True)
    tree.create(snapshots, "", 10, 0)
    assert shape(snapshots) == [("0", "-1", "1,2", "YES"), ("1", "0", "", ""), ("2", "0", "", "")]


def test_where_orphans_are_allowed_none_is_made_of_another() -> None:
    assert shape(chain("YES", 2)) == [("0", "-1", "", ""), ("1", "-1", "", "YES")]


def test_a_mixed_storage_makes_them_of_what_the_disk_was_last_taken_back_to() -> None:
    snapshots = chain("MIXED", 2)
    assert shape(snapshots) == [("0", "-1", "", ""), ("1", "-1", "", "")]
    tree.go_on_from(snapshots, 0, back=True)
    tree.create(snapshots, "", 10, 0)
    assert shape(snapshots) == [("0", "-1", "2", "YES"), ("1", "-1", "", ""), ("2", "0", "", "")]
    assert snapshots.get("CURRENT_BASE") == "0"


@pytest.mark.parametrize("mode", ["NO", "MIXED"])
def test_what_others_or_the_disk_build_on_cannot_be_deleted(mode: str) -> None:
    snapshots = chain(mode, 2)
    tree.go_on_from(snapshots, 0, back=True)
    tree.create(snapshots, "", 10, 0)
    tree.go_on_from(snapshots, 1, back=True)
    assert tree.deletion_fault(snapshots, 1) == "Cannot delete the active snapshot"
    assert tree.deletion_fault(snapshots, 0) == "Cannot delete snapshot with children"
    assert tree.deletion_fault(snapshots, 2) == ""
    assert tree.deletion_fault(snapshots, 9) == "Snapshot does not exist"


def test_orphans_can_all_be_deleted() -> None:
    snapshots = chain("YES", 2)
    assert [tree.deletion_fault(snapshots, number) for number in (0, 1)] == ["", ""]


def test_a_deleted_one_leaves_its_parent_and_its_number_is_not_given_again() -> None:
    snapshots = chain("NO", 2)
    tree.go_on_from(snapshots, 0, back=True)
    tree.remove(snapshots, 1)
    assert shape(snapshots) == [("0", "-1", "", "YES")]
    assert tree.create(snapshots, "", 10, 0) == 2


@given(st.sampled_from(["NO", "YES", "MIXED"]), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6))))
def test_parents_and_children_agree_whatever_is_done(mode: str, deeds: list[tuple[int, int]]) -> None:
    snapshots = tree.none_yet(mode, 0)
    for what, number in deeds:
        if what == 0:
            tree.go_on_from(snapshots, tree.create(snapshots, "", 5, 0))
        elif what == 1:
            tree.go_on_from(snapshots, number, back=True)
        elif not tree.deletion_fault(snapshots, number):
            tree.remove(snapshots, number)
    found = snapshots.vectors("SNAPSHOT")
    ids = [each["ID"] for each in found]
    assert len(set(ids)) == len(ids)
    assert sum(each.get("ACTIVE") == "YES" for each in found) <= 1
    assert tree.total_size(snapshots) == 5 * len(found)
    for each in found:
        children = [word for word in each.get("CHILDREN", "").split(",") if word]
        assert children == [other["ID"] for other in found if other["PARENT"] == each["ID"]]
        assert each["PARENT"] == "-1" or each["PARENT"] in ids
    assert snapshots.get("CURRENT_BASE") == "-1" or snapshots.get("CURRENT_BASE") in ids
