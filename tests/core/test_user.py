"""Users: registered, changed, in groups, removed."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import START, Core, example, flat, sentence
from tests.core.schemas import check_schema

from merope.core import user as users
from merope.model import passwords
from merope.model.errors import Code
from merope.model.group import Group
from merope.model.user import User


def test_the_document_of_a_user_is_the_recorded_one(core: Core) -> None:
    core.call(0, "one.group.allocate", "web")
    ann = core.user("ann")
    core.call(0, "one.user.addgroup", ann, 100)
    limits = (
        "DATASTORE=[ID=1,SIZE=2048,IMAGES=5] NETWORK=[ID=0,LEASES=4] VM=[VMS=4,CPU=-2] IMAGE=[ID=0,RVMS=3]"
    )
    core.call(0, "one.user.quota", ann, limits.replace("] ", "]\n"))
    recorded = example("user.xml")
    ours = ElementTree.fromstring(core.call(0, "one.user.info", ann))
    for document in (recorded, ours):
        document.find("PASSWORD").text = "…"  # type: ignore[union-attr]
        document.find("TEMPLATE/TOKEN_PASSWORD").text = "…"  # type: ignore[union-attr]
    assert flat(ours) == flat(recorded)


def test_a_user_with_tokens_and_quotas_is_valid(core: Core) -> None:
    ann = core.user("ann")
    core.call(ann, "one.user.login", "ann", "", 60)
    core.call(0, "one.user.quota", ann, "VM=[VMS=4]")
    check_schema(core.call(ann, "one.user.info", -1), "user")
    check_schema(core.call(0, "one.userpool.info"), "user_pool")


def test_a_password_is_stored_by_its_key_derivation(core: Core) -> None:
    ann = core.user("ann", password="secret")
    stored = core.get(User, ann).password
    assert passwords.verify(stored, "secret")
    assert "secret" not in stored


def test_a_prepared_hash_is_stored_as_it_is(core: Core) -> None:
    ann = core.call(0, "one.user.allocate", "ann", "secret", "core", [], password="$scrypt$prepared")
    assert core.get(User, ann).password == "$scrypt$prepared"


def test_other_drivers_keep_their_secret_as_given(core: Core) -> None:
    uid = core.call(0, "one.user.allocate", "svc", "a]]>b", "server_cipher", [], password="$scrypt$x")
    assert core.get(User, uid).password == "a]]>b"
    assert User.from_xml(core.get(User, uid).to_xml()).password == "a]]>b"


def test_a_new_user_is_in_users_or_in_the_group_of_who_registers_it(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    boss = core.user("boss", gid)
    core.call(0, "one.group.addadmin", gid, boss)
    assert core.get(User, core.user("ann")).gid == 1
    bob = core.call(boss, "one.user.allocate", "bob", "secret", "")
    assert (core.get(User, bob).gid, core.get(Group, gid).users) == (gid, {boss, bob})


def test_the_first_of_the_groups_is_the_primary_one(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann", gid, 1, gid)
    user = core.get(User, ann)
    assert (user.gid, user.gname, user.groups) == (gid, "web", {1, gid})


def test_a_group_administrator_cannot_put_users_into_other_groups(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    boss = core.user("boss", gid)
    core.call(0, "one.group.addadmin", gid, boss)
    error = core.fails(boss, "one.user.allocate", "bob", "secret", "", [gid, 0])
    assert sentence(error) == (
        Code.AUTHORIZATION,
        f"User [{boss}] : Not authorized to perform MANAGE GROUP [0].",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (
            ("oneadmin", "x", ""),
            Code.INTERNAL,
            "NAME is already taken by USER 0.",
        ),
        (("", "x", ""), Code.INTERNAL, "Invalid NAME, it cannot be empty"),
        (
            ("a:b", "x", ""),
            Code.INTERNAL,
            "Invalid NAME, char ':' is not allowed",
        ),
        (
            ("n" * 129, "x", ""),
            Code.INTERNAL,
            "Invalid NAME, max length is 128 chars",
        ),
        (("ann", "", ""), Code.INTERNAL, "Invalid password, it cannot be empty"),
        (("ann", "x", "", [4711]), Code.NO_EXISTS, "Error getting group [4711]."),
        (
            ("ann", "x", "", ["one"]),
            Code.XML_RPC_API,
            "The groups of a user must be an array of integers",
        ),
    ],
)
def test_bad_users_are_refused(core: Core, arguments: tuple[object, ...], code: Code, text: str) -> None:
    assert sentence(core.fails(0, "one.user.allocate", *arguments)) == (code, text)


def test_users_do_not_register_users(core: Core) -> None:
    ann = core.user("ann")
    error = core.fails(ann, "one.user.allocate", "bob", "x", "")
    assert sentence(error) == (Code.AUTHORIZATION, f"User [{ann}] : Not authorized to perform CREATE USER.")


def test_a_deleted_user_leaves_groups_rules_and_quotas(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann", gid)
    core.call(0, "one.group.addadmin", gid, ann)
    core.call(0, "one.user.quota", ann, "VM=[VMS=4]")
    rules = len(core.state.rules)
    assert core.call(0, "one.user.delete", ann) == ann
    group = core.get(Group, gid)
    assert (group.users, group.admins) == (set(), set())
    assert len(core.state.rules) == rules - 2
    assert ann not in core.state.user_quotas
    assert core.fails(0, "one.user.info", ann).message == f"Error getting user [{ann}]."


def test_oneadmin_cannot_be_deleted(core: Core) -> None:
    error = core.fails(0, "one.user.delete", 0)
    assert sentence(error) == (Code.ACTION, "Cannot delete user. oneadmin cannot be deleted.")


def test_users_change_their_own_password_and_not_that_of_others(core: Core) -> None:
    ann, bob = core.user("ann"), core.user("bob")
    assert core.call(ann, "one.user.passwd", ann, "new") == ann
    assert passwords.verify(core.get(User, ann).password, "new")
    error = core.fails(ann, "one.user.passwd", bob, "new")
    assert error.message == f"User [{ann}] : Not authorized to perform MANAGE USER [{bob}]."


def test_a_password_that_its_driver_keeps_is_for_administrators_to_change(core: Core) -> None:
    ann = core.user("ann")
    core.call(0, "one.user.chauth", ann, "x509", "")
    error = core.fails(ann, "one.user.passwd", ann, "new")
    assert sentence(error) == (Code.ACTION, "Password for driver x509 cannot be changed.")
    core.call(0, "one.user.passwd", ann, "new")
    assert core.get(User, ann).password == "new"


def test_changing_the_driver_keeps_the_password_unless_one_is_given(core: Core) -> None:
    ann = core.user("ann")
    stored = core.get(User, ann).password
    core.call(0, "one.user.chauth", ann, "ldap", "")
    assert (core.get(User, ann).auth_driver, core.get(User, ann).password) == ("ldap", stored)
    core.call(0, "one.user.chauth", ann, "core", "again")
    assert passwords.verify(core.get(User, ann).password, "again")


def test_an_upgraded_hash_replaces_only_the_one_that_was_verified(core: Core) -> None:
    ann = core.user("ann")
    stored = core.get(User, ann).password
    for verified, taken in (("other", False), (stored, True), (stored, False)):
        tx = core.transaction(core.caller(0))
        assert users.upgrade_password(tx, ann, verified, "$scrypt$new") is taken
        core.commit(tx)
    assert core.get(User, ann).password == "$scrypt$new"


def test_a_primary_group_is_left_when_the_new_one_is_new(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann")
    core.call(0, "one.user.chgrp", ann, gid)
    user = core.get(User, ann)
    assert (user.gid, user.gname, user.groups) == (gid, "web", {gid})
    assert (core.get(Group, 1).users, core.get(Group, gid).users) == (set(), {ann})


def test_a_primary_group_is_kept_as_secondary_when_the_new_one_was_secondary(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann", 1, gid)
    core.call(0, "one.user.chgrp", ann, gid)
    assert (core.get(User, ann).gid, core.get(User, ann).groups) == (gid, {1, gid})


def test_oneadmin_stays_in_its_group(core: Core) -> None:
    error = core.fails(0, "one.user.chgrp", 0, 1)
    text = "user [0] oneadmin cannot be moved outside of the group [0] oneadmin"
    assert sentence(error) == (Code.INTERNAL, text)


def test_secondary_groups_come_and_go(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann")
    core.call(0, "one.user.addgroup", ann, gid)
    assert core.fails(0, "one.user.addgroup", ann, gid).message == "User is already in this group"
    assert core.get(Group, gid).users == {ann}
    core.call(0, "one.user.delgroup", ann, gid)
    assert core.fails(0, "one.user.delgroup", ann, gid).message == "User is not part of this group"
    error = core.fails(0, "one.user.delgroup", ann, 1)
    assert sentence(error) == (Code.ACTION, "Cannot remove user from the primary group")
    assert core.get(User, ann).groups == {1}


def test_leaving_a_group_ends_its_administration(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann", 1, gid)
    rules = len(core.state.rules)
    core.call(0, "one.group.addadmin", gid, ann)
    core.call(0, "one.user.delgroup", ann, gid)
    assert core.get(Group, gid).admins == set()
    assert len(core.state.rules) == rules


def test_groups_that_a_driver_manages_are_not_changed_by_hand(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.call(0, "one.user.allocate", "ann", "x", "ldap", [1])
    error = core.fails(0, "one.user.addgroup", ann, gid)
    text = "Groups cannot be manually managed for auth driver ldap"
    assert sentence(error) == (Code.ACTION, text)
    assert core.fails(0, "one.user.chgrp", ann, gid).message == text


def test_users_do_not_change_what_administrators_allow_them(core: Core) -> None:
    ann = core.user("ann")
    core.call(0, "one.user.update", ann, 'VM_USE_OPERATIONS="hold"', 1)
    error = core.fails(ann, "one.user.update", ann, 'VM_USE_OPERATIONS="deploy"', 1)
    text = "Cannot update template. Tried to change restricted attribute: VM_USE_OPERATIONS"
    assert sentence(error) == (Code.INTERNAL, text)
    core.call(ann, "one.user.update", ann, 'LABELS="a"', 0)
    assert core.get(User, ann).template.get("VM_USE_OPERATIONS") == "hold"


def test_minus_one_is_the_caller(core: Core) -> None:
    ann = core.user("ann")
    assert f"<ID>{ann}</ID>" in core.call(ann, "one.user.info", -1)


def test_users_see_themselves_and_nobody_else(core: Core) -> None:
    ann, bob = core.user("ann"), core.user("bob")
    error = core.fails(ann, "one.user.info", bob)
    assert sentence(error) == (
        Code.AUTHORIZATION,
        f"User [{ann}] : Not authorized to perform USE USER [{bob}].",
    )
    listed = ElementTree.fromstring(core.call(ann, "one.userpool.info"))
    assert [user.findtext("NAME") for user in listed.iter("USER")] == ["ann"]


def test_the_pool_lists_each_user_before_its_quotas_and_ends_with_the_defaults(core: Core) -> None:
    core.user("ann")
    listed = ElementTree.fromstring(core.call(0, "one.userpool.info"))
    assert [item.tag for item in listed] == ["USER", "QUOTAS"] * 3 + ["DEFAULT_USER_QUOTAS"]
    assert [item.findtext("ID") for item in listed][:-1] == ["2", "2", "1", "1", "0", "0"]


# Login tokens


def test_a_token_is_made_up_and_stored_with_its_end(core: Core) -> None:
    ann = core.user("ann")
    token = core.call(ann, "one.user.login", "ann", "", 600)
    assert len(token) == 64
    known = core.get(User, ann).login_tokens[0]
    assert (known.token, known.expires, known.egid) == (token, START + 600, -1)


def test_a_token_without_end_and_for_one_group(core: Core) -> None:
    ann = core.user("ann")
    assert core.call(ann, "one.user.login", "ann", "mine", -1, 1) == "mine"
    known = core.get(User, ann).login_tokens[0]
    assert (known.expires, known.egid) == (-1, 1)


def test_a_token_is_only_for_groups_of_the_user(core: Core) -> None:
    ann = core.user("ann")
    error = core.fails(ann, "one.user.login", "ann", "", 60, 0)
    assert sentence(error) == (Code.XML_RPC_API, "EGID is not in user group list")


def test_an_eleventh_token_is_refused_until_one_has_expired(core: Core) -> None:
    ann = core.user("ann")
    for _ in range(10):
        core.call(ann, "one.user.login", "ann", "", 60)
    error = core.fails(ann, "one.user.login", "ann", "", 60)
    assert sentence(error) == (Code.XML_RPC_API, "Max number of tokens limit reached.")
    core.now += 61
    core.call(ann, "one.user.login", "ann", "", 60)
    assert len(core.get(User, ann).login_tokens) == 1


def test_period_zero_takes_one_token_away_or_all(core: Core) -> None:
    ann = core.user("ann")
    for name in ("a", "b", "c"):
        core.call(ann, "one.user.login", "ann", name, 60)
    core.call(ann, "one.user.login", "ann", "b", 0)
    assert [token.token for token in core.get(User, ann).login_tokens] == ["a", "c"]
    assert core.fails(ann, "one.user.login", "ann", "b", 0).message == "Could not find token"
    core.call(ann, "one.user.login", "ann", "", 0)
    assert core.get(User, ann).login_tokens == []


def test_the_drivers_longest_period_caps_a_token(core: Core) -> None:
    ann = core.call(0, "one.user.allocate", "ann", "x", "ldap", [1])
    core.call(0, "one.user.login", "ann", "t", -1)
    assert core.get(User, ann).login_tokens[0].expires == START + 86400


def test_tokens_of_others_are_not_for_users_to_make(core: Core) -> None:
    ann = core.user("ann")
    core.user("bob")
    assert core.fails(ann, "one.user.login", "bob", "", 60).code is Code.AUTHORIZATION
    assert core.fails(ann, "one.user.login", "nobody", "", 60).code is Code.NO_EXISTS


@pytest.mark.parametrize("token", ["two words", "line\nfeed", "nul\0"])
def test_a_token_that_no_session_can_carry_is_refused(core: Core, token: str) -> None:
    core.user("ann")
    assert core.fails(0, "one.user.login", "ann", token, 60).code is Code.XML_RPC_API


def test_how_one_authenticates_is_for_administrators_to_say(core: Core) -> None:
    ann = core.user("ann")
    assert core.fails(ann, "one.user.chauth", ann, "public", "").code is Code.AUTHORIZATION
    assert core.fails(0, "one.user.chauth", 99, "public", "").code is Code.NO_EXISTS
