"""Users of authentication drivers: made at their first login, and kept in the driver's groups."""

import pytest
from tests.core.conftest import Core

from merope.core import external_user
from merope.core.transaction import SYSTEM, USERS_GROUP
from merope.model.authentication import Identity, Membership
from merope.model.errors import ApiError, Code
from merope.model.group import Group
from merope.model.user import User

ANN = Identity("ldap", "ann", "uid=ann,dc=x", (Membership(USERS_GROUP),))


def admit(core: Core, identity: Identity) -> int:
    tx = core.transaction(SYSTEM)
    try:
        uid = external_user.admit(tx, identity)
    except BaseException:
        tx.abandon()
        raise
    core.commit(tx)
    return uid


def keep_groups(core: Core, uid: int, *groups: Membership, decides_admins: bool = True) -> None:
    tx = core.transaction(SYSTEM)
    identity = Identity("ldap", "ann", "uid=ann,dc=x", groups, decides_admins)
    try:
        external_user.keep_groups(tx, uid, identity)
    except BaseException:
        tx.abandon()
        raise
    core.commit(tx)


def groups_of(core: Core, uid: int) -> set[int]:
    """As the user's document and the groups' say it alike."""
    own = core.get(User, uid).groups
    pool = core.state.pools["group_pool"].entries
    assert own == {gid for gid in pool if uid in core.get(Group, gid).users}
    return own


def admins(core: Core, gid: int) -> set[int]:
    return core.get(Group, gid).admins


@pytest.fixture
def core() -> Core:
    made = Core()
    for name in ("web", "db"):
        made.call(0, "one.group.allocate", name)
    return made


def test_the_first_group_is_the_primary_one(core: Core) -> None:
    members = (Membership(101), Membership(100, True), Membership(1))
    uid = admit(core, Identity("ldap", "ann", "dn", members))
    user = core.get(User, uid)
    assert (user.gid, user.gname, user.auth_driver, user.password) == (101, "db", "ldap", "dn")
    assert groups_of(core, uid) == {1, 100, 101}
    assert (admins(core, 100), admins(core, 101)) == ({uid}, set())


def test_a_group_that_is_named_twice_counts_once(core: Core) -> None:
    uid = admit(core, Identity("ldap", "ann", "dn", (Membership(100), Membership(100, True))))
    assert (groups_of(core, uid), admins(core, 100)) == ({100}, {uid})


def test_the_same_person_under_another_spelling_is_the_same_user(core: Core) -> None:
    assert admit(core, ANN) == admit(core, ANN)


@pytest.mark.parametrize(
    "identity",
    [
        Identity("ldap", "ann", "uid=other,dc=x"),
        Identity("x509", "ann", "uid=ann,dc=x"),
        Identity("core", "oneadmin", "opennebula"),
        Identity("ldap", "a b", "dn"),
        Identity("ldap", "bob", ""),
        Identity("", "bob", "dn"),
        Identity("ldap", "bob", "dn", (Membership(4711),)),
        Identity("ldap", "bob", "dn", (Membership(-1),)),
    ],
)
def test_what_cannot_be_a_user_is_refused_and_changes_nothing(core: Core, identity: Identity) -> None:
    admit(core, ANN)
    before = {table: dict(pool.entries) for table, pool in core.state.pools.items()}
    with pytest.raises(ApiError) as refusal:
        admit(core, identity)
    assert refusal.value.code == Code.AUTHENTICATION
    assert {table: dict(pool.entries) for table, pool in core.state.pools.items()} == before


def test_the_primary_group_stays_while_the_user_is_in_it(core: Core) -> None:
    uid = admit(core, ANN)
    keep_groups(core, uid, Membership(100), Membership(1))
    assert (core.get(User, uid).gid, groups_of(core, uid)) == (1, {1, 100})
    keep_groups(core, uid, Membership(101), Membership(100))
    assert (core.get(User, uid).gid, core.get(User, uid).gname) == (101, "db")
    assert groups_of(core, uid) == {100, 101}


def test_administrators_made_by_hand_stay_where_the_driver_does_not_decide_it(core: Core) -> None:
    uid = admit(core, ANN)
    core.call(0, "one.group.addadmin", USERS_GROUP, uid)
    keep_groups(core, uid, Membership(1), decides_admins=False)
    assert admins(core, 1) == {uid}
    keep_groups(core, uid, Membership(1))
    assert admins(core, 1) == set()


def test_who_leaves_a_group_is_its_administrator_no_longer(core: Core) -> None:
    uid = admit(core, Identity("ldap", "ann", "dn", (Membership(100, True),)))
    rules = len(core.state.rules)
    keep_groups(core, uid, Membership(101), decides_admins=False)
    assert (admins(core, 100), len(core.state.rules)) == (set(), rules - 2)


def test_the_administrator_of_the_cloud_is_never_moved(core: Core) -> None:
    core.call(0, "one.user.chauth", 0, "ldap", "")
    keep_groups(core, 0, Membership(100))
    assert groups_of(core, 0) == {0}


def test_no_groups_in_the_answer_leave_them_as_they_are(core: Core) -> None:
    uid = admit(core, ANN)
    keep_groups(core, uid)
    assert groups_of(core, uid) == {1}


def test_groups_of_users_of_other_drivers_are_no_matter_of_the_answer(core: Core) -> None:
    uid = admit(core, Identity("x509", "ann", "dn", (Membership(1),)))
    keep_groups(core, uid, Membership(100))
    assert groups_of(core, uid) == {1}


def test_a_group_that_is_not_there_changes_nothing(core: Core) -> None:
    uid = admit(core, ANN)
    with pytest.raises(ApiError, match="group 4711, which does not exist"):
        keep_groups(core, uid, Membership(100), Membership(4711))
    assert groups_of(core, uid) == {1}


def test_the_same_groups_again_are_no_change(core: Core) -> None:
    uid = admit(core, ANN)
    entry = core.state.pools["user_pool"].entries[uid]
    keep_groups(core, uid, Membership(1))
    assert core.state.pools["user_pool"].entries[uid] is entry


def test_a_value_stands_for_the_first_group_that_has_it(core: Core) -> None:
    for gid, text in ((101, 'GROUP_DN="cn=a"'), (100, 'GROUP_DN="cn=a"\nGROUP_DN="cn=b"'), (1, "OTHER=x")):
        core.call(0, "one.group.update", gid, text, 1)
    assert external_user.mapping(core.state, "GROUP_DN") == {"cn=a": 100, "cn=b": 100}
