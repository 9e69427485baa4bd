"""Groups: made, administered, removed."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema

from merope.model.errors import Code
from merope.model.group import Group
from merope.model.user import User
from merope.model.vdc import Vdc


def test_the_document_of_a_group_is_the_recorded_one(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    core.user("ann", 1, gid)
    document = core.call(0, "one.group.info", gid)
    assert flat(ElementTree.fromstring(document)) == flat(example("group.xml"))
    check_schema(document, "group")


def test_a_pool_with_quotas_is_valid(core: Core) -> None:
    core.call(0, "one.group.quota", 1, "DATASTORE=[ID=1,SIZE=10]\nVM=[VMS=3]")
    check_schema(core.call(0, "one.grouppool.info"), "group_pool")


def test_minus_one_is_the_callers_group(core: Core) -> None:
    ann = core.user("ann")
    assert "<NAME>users</NAME>" in core.call(ann, "one.group.info", -1)


def test_users_see_their_own_groups_only(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann", 1, gid)
    core.call(0, "one.group.allocate", "other")
    listed = ElementTree.fromstring(core.call(ann, "one.grouppool.info"))
    assert [group.findtext("ID") for group in listed.iter("GROUP")] == [str(gid), "1"]
    assert core.fails(ann, "one.group.info", 0).code is Code.AUTHORIZATION


def test_an_administrator_of_a_group_manages_its_members_and_what_they_own(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    boss, ann = core.user("boss", gid), core.user("ann", gid)
    core.call(0, "one.group.addadmin", gid, boss)
    texts = [rule.to_string() for rule in core.state.rules][-2:]
    assert texts == [
        f"#{boss} USER/@{gid} USE+MANAGE+ADMIN+CREATE *",
        f"#{boss} VM+NET+IMAGE+TEMPLATE+DOCUMENT+SECGROUP+VROUTER+VMGROUP/@{gid} USE+MANAGE *",
    ]
    core.call(boss, "one.user.passwd", ann, "new")
    listed = ElementTree.fromstring(core.call(boss, "one.userpool.info"))
    assert {user.findtext("NAME") for user in listed.iter("USER")} == {"boss", "ann"}
    core.call(0, "one.group.deladmin", gid, boss)
    assert core.fails(boss, "one.user.passwd", ann, "other").code is Code.AUTHORIZATION


@pytest.mark.parametrize(
    ("method", "detail"),
    [
        ("one.group.addadmin", "User 0 is not part of Group 100."),
        ("one.group.deladmin", "User 0 is not an administrator of Group 100."),
    ],
)
def test_only_members_are_administrators(core: Core, method: str, detail: str) -> None:
    core.call(0, "one.group.allocate", "web")
    assert sentence(core.fails(0, method, 100, 0)) == (Code.INTERNAL, f"Cannot edit group. {detail}")


def test_an_administrator_is_not_made_twice(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann", gid)
    core.call(0, "one.group.addadmin", gid, ann)
    error = core.fails(0, "one.group.addadmin", gid, ann)
    assert error.message == f"Cannot edit group. User {ann} is already an administrator of Group {gid}."


def test_a_deleted_group_takes_its_rules_along(core: Core) -> None:
    before = [rule.to_string() for rule in core.state.rules]
    gid = core.call(0, "one.group.allocate", "web")
    core.call(0, "one.group.quota", gid, "VM=[VMS=3]")
    core.call(0, "one.group.delete", gid)
    assert not core.exists(Group, gid)
    assert [rule.to_string() for rule in core.state.rules] == before
    assert core.get(Vdc, 0).groups == {1}
    assert gid not in core.state.group_quotas


def test_a_group_with_users_stays(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    core.user("ann", 1, gid)
    error = core.fails(0, "one.group.delete", gid)
    assert sentence(error) == (Code.ACTION, f"Cannot delete group. Group {gid} is not empty.")


def test_the_clouds_own_groups_stay(core: Core) -> None:
    error = core.fails(0, "one.group.delete", 1)
    assert error.message == "Cannot delete group. System Groups (ID < 100) cannot be deleted."


def test_group_names_are_unique(core: Core) -> None:
    error = core.fails(0, "one.group.allocate", "users")
    assert sentence(error) == (
        Code.INTERNAL,
        "NAME is already taken by GROUP 1.",
    )


def test_a_group_is_not_updated_by_its_members(core: Core) -> None:
    ann = core.user("ann")
    error = core.fails(ann, "one.group.update", 1, 'SUNSTONE=[VIEWS="admin"]', 1)
    assert error.message == f"User [{ann}] : Not authorized to perform MANAGE GROUP [1]."


def test_the_name_of_a_group_shows_on_its_users(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    assert core.get(User, core.user("ann", gid)).gname == "web"
