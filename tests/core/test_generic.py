"""The methods that all kinds have alike: update, rename, chown, chmod, lock, info and lists."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import START, Core, sentence

from merope.model.datastore import Datastore
from merope.model.errors import Code
from merope.model.group import Group
from merope.model.image import Image
from merope.model.owned import Lock


def image(core: Core, name: str = "disk", who: int = 0) -> int:
    oid = core.call(who, "one.image.allocate", f"NAME={name}\nTYPE=DATABLOCK\nSIZE=1", 1)
    assert isinstance(oid, int)
    return oid


def listed(core: Core, who: int, flag: int = -2, start: int = -1, end: int = -1) -> list[int]:
    pool = ElementTree.fromstring(core.call(who, "one.imagepool.info", flag, start, end))
    return [int(item.findtext("ID") or -1) for item in pool]


# update


def test_update_replaces_the_template_or_merges_into_it(core: Core) -> None:
    core.call(0, "one.group.update", 1, 'A="1"\nB="2"')
    assert core.get(Group, 1).template.names() == ["A", "B"]
    core.call(0, "one.group.update", 1, 'B="3"\nC=[X="4"]', 1)
    template = core.get(Group, 1).template
    assert (template.names(), template.get("B")) == (["A", "B", "C"], "3")


def test_both_forms_of_a_template_are_read(core: Core) -> None:
    core.call(0, "one.group.update", 1, "<TEMPLATE><A><![CDATA[1 & 2]]></A></TEMPLATE>", 0)
    assert core.get(Group, 1).template.get("A") == "1 & 2"


@pytest.mark.parametrize(
    ("source", "how", "code", "text"),
    [
        ("A=1", 2, Code.XML_RPC_API, "Wrong update type"),
        ("A=[", 0, Code.INTERNAL, "Cannot update template. Parse error"),
        ("<A><B></A>", 0, Code.INTERNAL, "Cannot update template. Parse error: XML Template malformed."),
    ],
)
def test_bad_updates_are_refused(core: Core, source: str, how: int, code: Code, text: str) -> None:
    error = core.fails(0, "one.group.update", 1, source, how)
    assert error.code is code
    assert error.message.startswith(text)


def test_a_value_cannot_leave_its_element(core: Core) -> None:
    error = core.fails(0, "one.group.update", 1, 'A="]]></A></TEMPLATE><USERS/>"', 0)
    assert error.code is Code.INTERNAL
    core.call(0, "one.group.update", 1, 'A="</A></TEMPLATE><USERS/>"', 0)
    assert Group.from_xml(core.get(Group, 1).to_xml()) == core.get(Group, 1)


# rename


def test_a_name_may_be_changed_and_used_by_others_then(core: Core) -> None:
    oid = image(core)
    core.call(0, "one.image.rename", oid, "system disk")
    assert core.get(Image, oid).name == "system disk"
    image(core, "disk")


def test_a_name_may_be_changed_to_itself(core: Core) -> None:
    assert core.call(0, "one.datastore.rename", 1, "default") == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("files", "datastore cannot be renamed to files because it collides with datastore 2"),
        ("", "Invalid NAME, it cannot be empty"),
        ("a/b", "Invalid NAME, char '/' is not allowed"),
        ("x" * 129, "Invalid NAME, max length is 128 chars"),
    ],
)
def test_bad_names_are_refused(core: Core, name: str, text: str) -> None:
    assert sentence(core.fails(0, "one.datastore.rename", 1, name)) == (Code.ACTION, text)


def test_two_owners_may_use_one_name(core: Core) -> None:
    ann = core.user("ann", 1)
    image(core)
    oid = image(core, "other", ann)
    core.call(ann, "one.image.rename", oid, "disk")
    assert core.get(Image, oid).name == "disk"


# chown and chmod


def test_chown_changes_owner_and_group_and_their_names(core: Core) -> None:
    ann, oid = core.user("ann", 1), image(core)
    core.call(0, "one.image.chown", oid, ann, 1)
    found = core.get(Image, oid)
    assert (found.uid, found.uname, found.gid, found.gname) == (ann, "ann", 1, "users")
    core.call(0, "one.image.chown", oid, -1, 0)
    assert (core.get(Image, oid).uid, core.get(Image, oid).gid) == (ann, 0)


def test_an_owner_gives_nothing_to_others_without_their_leave(core: Core) -> None:
    ann, bob = core.user("ann", 1), core.user("bob", 1)
    oid = image(core, who=ann)
    error = core.fails(ann, "one.image.chown", oid, bob, -1)
    assert error.message == f"User [{ann}] : Not authorized to perform MANAGE USER [{bob}]."
    error = core.fails(ann, "one.image.chown", oid, -1, 0)
    assert error.message == f"User [{ann}] : Not authorized to perform USE GROUP [0]."


def test_a_new_owner_may_not_own_the_name_already(core: Core) -> None:
    ann = core.user("ann", 1)
    image(core, who=ann)
    oid = image(core)
    error = core.fails(0, "one.image.chown", oid, ann, -1)
    assert error.message == f"user [{ann}] already owns image [0] with NAME disk"


@pytest.mark.parametrize(("uid", "gid", "label"), [(4711, -1, "user"), (-1, 4711, "group")])
def test_there_is_no_owner_that_does_not_exist(core: Core, uid: int, gid: int, label: str) -> None:
    error = core.fails(0, "one.image.chown", image(core), uid, gid)
    assert sentence(error) == (Code.NO_EXISTS, f"Error getting {label} [4711].")


def test_chmod_sets_the_bits_that_are_named(core: Core) -> None:
    oid = image(core)
    core.call(0, "one.image.chmod", oid, -1, -1, -1, 1, 0, -1, 1, -1, -1)
    assert core.get(Image, oid).permissions.to_octal() == "644"


def test_admin_bits_take_the_right_to_administer(core: Core) -> None:
    ann = core.user("ann", 1)
    oid = image(core, who=ann)
    error = core.fails(ann, "one.image.chmod", oid, -1, -1, 1, -1, -1, -1, -1, -1, -1)
    assert error.message == f"User [{ann}] : Not authorized to perform ADMIN IMAGE [{oid}]."


def test_bits_for_others_may_be_forbidden() -> None:
    core = Core(enable_other_permissions=False)
    ann = core.user("ann", 1)
    oid = image(core, who=ann)
    error = core.fails(ann, "one.image.chmod", oid, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    assert error.message == "'other' permissions is disabled in oned.conf"
    core.call(0, "one.image.chmod", oid, -1, -1, -1, -1, -1, -1, 1, -1, -1)


def test_a_bit_is_nothing_but_kept_cleared_or_set(core: Core) -> None:
    error = core.fails(0, "one.image.chmod", image(core), 2, -1, -1, -1, -1, -1, -1, -1, -1)
    assert sentence(error) == (Code.INTERNAL, "New permission values must be -1, 0 or 1")


# lock


def test_a_lock_tells_who_and_when_and_goes(core: Core) -> None:
    oid = image(core)
    core.call(0, "one.image.lock", oid, 2)
    assert core.get(Image, oid).lock == Lock(2, 0, START, -1)
    core.call(0, "one.image.unlock", oid)
    assert core.get(Image, oid).lock is None


def test_a_lock_is_for_its_owner_and_administrators_to_take_off(core: Core) -> None:
    ann, bob = core.user("ann", 1), core.user("bob", 1)
    oid = image(core, who=ann)
    core.call(0, "one.image.chmod", oid, -1, -1, -1, 1, 1, -1, -1, -1, -1)
    core.call(ann, "one.image.lock", oid, 1)
    error = core.fails(bob, "one.image.unlock", oid)
    assert sentence(error) == (Code.ACTION, "Cannot unlock: Lock is owned by another user")
    core.call(0, "one.image.unlock", oid)
    assert core.get(Image, oid).lock is None


@pytest.mark.parametrize("level", [-1, 5])
def test_there_are_five_levels(core: Core, level: int) -> None:
    assert core.fails(0, "one.image.lock", image(core), level).code is Code.ACTION


# info and lists


@pytest.mark.parametrize(
    ("method", "label"),
    [
        ("one.image.info", "image"),
        ("one.user.info", "user"),
        ("one.group.info", "group"),
        ("one.datastore.info", "datastore"),
        ("one.cluster.info", "cluster"),
        ("one.zone.info", "zone"),
        ("one.vdc.info", "VDC"),
        ("one.market.info", "marketplace"),
        ("one.host.info", "host"),
    ],
)
def test_what_does_not_exist_is_named(core: Core, method: str, label: str) -> None:
    error = core.fails(0, method, 4711)
    assert (*sentence(error), error.oid) == (Code.NO_EXISTS, f"Error getting {label} [4711].", 4711)


def test_an_update_shows_at_once(core: Core) -> None:
    assert "<NAME>default</NAME>" in core.call(0, "one.cluster.info", 0)
    core.call(0, "one.cluster.rename", 0, "main")
    assert "<NAME>main</NAME>" in core.call(0, "one.cluster.info", 0)
    assert "<NAME>main</NAME>" in core.call(0, "one.clusterpool.info")


def test_lists_are_newest_first_unless_asked_otherwise() -> None:
    for order, ids in (("DESC", [2, 1, 0]), ("ASC", [0, 1, 2])):
        core = Core(api_list_order=order)
        for name in "abc":
            image(core, name)
        assert listed(core, 0) == ids


def test_users_may_prefer_another_order_than_the_cloud(core: Core) -> None:
    ann = core.user("ann", 1)
    image(core, "a", ann), image(core, "b", ann)
    core.call(0, "one.group.update", 1, 'OPENNEBULA=[API_LIST_ORDER="asc"]', 1)
    assert listed(core, ann) == [0, 1]
    core.call(ann, "one.user.update", ann, 'OPENNEBULA=[API_LIST_ORDER="DESC"]', 1)
    assert listed(core, ann) == [1, 0]


def test_filters_choose_by_owner(core: Core) -> None:
    web = core.call(0, "one.group.allocate", "web")
    ann, bob = core.user("ann", 1, web), core.user("bob", 1)
    image(core), image(core, who=ann), image(core, who=bob)
    core.call(0, "one.image.chmod", 2, -1, -1, -1, 1, -1, -1, -1, -1, -1)
    assert listed(core, 0, -2) == [2, 1, 0]
    assert listed(core, 0, -3) == [0]
    assert listed(core, 0, ann) == [1]
    assert listed(core, ann, -1) == [2, 1]
    assert listed(core, ann, -4) == [2, 1]
    assert listed(core, bob, -2) == [2]


def test_a_filter_that_there_is_not_is_refused(core: Core) -> None:
    error = core.fails(0, "one.imagepool.info", -5, -1, -1)
    assert sentence(error) == (Code.XML_RPC_API, "Incorrect filter_flag")


def test_a_range_of_ids_and_pages(core: Core) -> None:
    for number in range(6):
        image(core, f"d{number}")
    assert listed(core, 0, -2, 2, 4) == [4, 3, 2]
    assert listed(core, 0, -2, 3, -1) == [5, 4, 3]
    assert listed(core, 0, -2, -1, 1) == [1, 0]
    assert listed(core, 0, -2, 0, -2) == [5, 4]
    assert listed(core, 0, -2, 4, -4) == [1, 0]


def test_an_empty_list_is_an_empty_element(core: Core) -> None:
    assert core.call(0, "one.imagepool.info", -2, -1, -1) == "<IMAGE_POOL/>"


def test_a_refused_command_leaves_what_was_read_as_it_was(core: Core) -> None:
    before = core.get(Datastore, 1)
    core.fails(0, "one.datastore.update", 1, "TM_MAD=nothing", 1)
    assert core.get(Datastore, 1) == before
