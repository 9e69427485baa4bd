"""Users whom an authentication driver vouches for: made at their first login, kept in the driver's groups.

Source: spec drivers.yaml `auth.answer`, oned_conf.yaml `AUTH_MAD_CONF`.
"""

from collections.abc import Iterable

from merope.core import group, user
from merope.core.transaction import ONEADMIN, USERS_GROUP, Transaction
from merope.model import names
from merope.model.authentication import Identity, Membership
from merope.model.errors import ApiError, Code
from merope.model.group import Group
from merope.model.kinds import GROUP
from merope.model.state import State
from merope.model.user import User


def admit(tx: Transaction, identity: Identity) -> int:
    """The id of the user whom a driver vouches for under a name that the cloud does not know.

    It is made where the name that the driver gives is free. Where it is not (directories do not tell
    capitals from small letters, the cloud does) it must be the same person. Raises ApiError.
    """
    known = tx.named(User, identity.name)
    if known is not None:
        found = tx.get(User, known)
        if (found.auth_driver, found.password) != (identity.driver, identity.password):
            raise _refused(f"its name is that of user {known}, who is authenticated in another way", known)
        keep_groups(tx, known, identity)
        return known
    fault = (
        names.user_name_fault(identity.name)
        or names.password_fault(identity.password)
        or names.user_name_fault(identity.driver)
    )
    if fault:
        raise _refused(fault)
    members = _existing(tx, identity.groups) or {USERS_GROUP: False}
    made = user.add_user(tx, identity.name, list(members), identity.driver, identity.password)
    for gid, admin in members.items():
        if admin:
            group.appoint(tx, gid, made.id)
    return made.id


def keep_groups(tx: Transaction, uid: int, identity: Identity) -> None:
    """Puts a user into the groups that the driver answered, where its groups are the driver's matter.

    The primary group stays where it is among them, else it is the first. oneadmin stays what it is.
    Raises ApiError when one of the groups is not there, and then nothing changes.
    """
    own = tx.get(User, uid)
    if uid == ONEADMIN or not identity.groups or not user.has_managed_groups(tx, own.auth_driver):
        return
    members = _existing(tx, identity.groups)
    if own.groups != members.keys():
        _move(tx, uid, list(members))
    for gid, admin in members.items():
        is_admin = uid in tx.get(Group, gid).admins
        if admin and not is_admin:
            group.appoint(tx, gid, uid)
        elif is_admin and not admin and identity.decides_admins:
            group.resign(tx, gid, uid)


def _move(tx: Transaction, uid: int, gids: list[int]) -> None:
    own = tx.edit(User, uid)
    for gid in sorted(own.groups.difference(gids)):
        group.leave_group(tx, gid, uid)
    for gid in gids:
        if gid not in own.groups:
            tx.edit(Group, gid).users.add(uid)
    own.groups = set(gids)
    if own.gid not in own.groups:
        own.gid, own.gname = gids[0], tx.get(Group, gids[0]).name


def _existing(tx: Transaction, groups: Iterable[Membership]) -> dict[int, bool]:
    """Groups (ids) and whether the user administers them, in order."""
    found: dict[int, bool] = {}
    for member in groups:
        if tx.find(Group, member.gid) is None:
            raise _refused(f"the driver puts it into group {member.gid}, which does not exist")
        found[member.gid] = found.get(member.gid, False) or member.admin
    return found


def mapping(state: State, attribute: str) -> dict[str, int]:
    """Which value of an attribute of groups' templates stands for which group; the lowest id counts."""
    found: dict[str, int] = {}
    pool = state.pool(GROUP)
    for oid in sorted(pool.entries):
        value = pool.parsed(oid)
        assert isinstance(value, Group)
        for text in value.template.values(attribute):
            if isinstance(text, str) and text:
                found.setdefault(text, oid)
    return found


def _refused(sentence: str, oid: int = -1) -> ApiError:
    return ApiError(Code.AUTHENTICATION, f"The user of an authentication driver was refused: {sentence}", oid)
