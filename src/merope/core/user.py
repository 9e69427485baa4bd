"""Users: commands.

Storing a password takes a key derivation, which is too slow for a transaction: methods declared with
`prepare="password"` get the finished hash of their parameter `password` as
`tx.context.prepared["password"]` and derive it themselves only where nobody did (tools, tests).
"""

from collections.abc import Mapping, Sequence

from merope.core import acl, authorization, generic, pools, quota, views
from merope.core.group import leave_group
from merope.core.methods import Listing, Need, Type, array, boolean, integer, method, text
from merope.core.transaction import ONEADMIN, ONEADMIN_GROUP, USERS_GROUP, Transaction
from merope.model import names, passwords
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.group import Group
from merope.model.kinds import USER
from merope.model.option import Section
from merope.model.permissions import ObjectType, Op
from merope.model.template import Template
from merope.model.user import LoginToken, User

CORE = "core"

_ON_USER = (Need(Op.MANAGE, User, "id"),)
_ADMIN = (Need(Op.ADMIN, User, "id"),)
_ON_BOTH = (*_ON_USER, Need(Op.MANAGE, Group, "gid"))


@method(
    "one.user.allocate",
    text("name"),
    text("password", hidden=True),
    text("auth"),
    array("groups", ()),
    needs=(Need(Op.CREATE, User),),
    also="MANAGE on each group that is not the caller's",
    prepare="password",
)
def allocate(tx: Transaction, name: str, password: str, auth: str, groups: Sequence[object]) -> int:
    """Registers a user. Without an `auth` driver it is core; without groups, the first of which is the
    primary one, an administrator's new user is in `users` and anybody else's in the caller's group."""
    problem = names.user_name_fault(name)
    if problem:
        raise generic.allocate_error(problem)
    gids = _group_ids(tx, groups)
    generic.check_free(tx, User, name)
    driver = auth or CORE
    problem = names.password_fault(password) or _driver_fault(driver)
    if problem:
        raise generic.allocate_error(problem)
    user = add_user(tx, name, gids, driver, _stored(tx, driver, password))
    return user.id


def add_user(tx: Transaction, name: str, gids: Sequence[int], driver: str, stored: str) -> User:
    """A user with a token password, in its groups; `stored` is the password's stored form."""
    user = User(
        id=tx.new_id(User),
        gid=gids[0],
        groups=set(gids),
        gname=tx.get(Group, gids[0]).name,
        name=name,
        password=stored,
        auth_driver=driver,
        template=Template([("TOKEN_PASSWORD", tx.context.random(32).hex())]),
    )
    tx.add(user)
    for gid in user.groups:
        tx.edit(Group, gid).users.add(user.id)
    return user


def _group_ids(tx: Transaction, groups: Sequence[object]) -> list[int]:
    if not groups:
        return [USERS_GROUP if tx.caller.is_admin else tx.caller.gid]
    gids = [gid for gid in groups if isinstance(gid, int) and not isinstance(gid, bool)]
    if len(gids) != len(groups):
        raise ApiError(Code.XML_RPC_API, "The groups of a user must be an array of integers")
    found = [tx.get(Group, gid) for gid in dict.fromkeys(gids)]
    authorization.require(
        tx, *(authorization.on(Op.MANAGE, group) for group in found if group.id != tx.caller.gid)
    )
    return [group.id for group in found]


def is_derived(arguments: Mapping[str, object]) -> bool:
    """Whether a password among the arguments of `prepare="password"` is stored as a hash; others are kept."""
    return (arguments.get("auth") or arguments.get("driver") or CORE) == CORE


def _stored(tx: Transaction, driver: str, password: str) -> str:
    """What is kept of a password: other drivers than core need it as it was given."""
    if driver != CORE:
        return password
    prepared = tx.context.prepared.get("password")
    if isinstance(prepared, str):
        return prepared
    salt = tx.context.random(passwords.SALT_BYTES)
    return passwords.hash_password(password, salt, tx.settings.password_kdf_cost)


def _driver_fault(driver: str) -> str | None:
    fault = names.user_name_fault(driver)
    return None if fault is None else f"Invalid authentication driver name {driver[:32]!r}"


@method("one.user.delete", integer("id"), needs=_ADMIN)
def delete(tx: Transaction, oid: int) -> int:
    """Removes a user, but not what the user owns."""
    user = tx.get(User, oid)
    if oid == ONEADMIN:
        raise generic.delete_error(user, "oneadmin cannot be deleted.")
    for gid in user.groups:
        leave_group(tx, gid, oid)
    acl.drop_rules_about(tx, ObjectType.USER, oid)
    tx.put_row("user_quotas", oid, None)
    tx.delete(user)
    return oid


@method("one.user.passwd", integer("id"), text("password", hidden=True), needs=_ON_USER, prepare="password")
def passwd(tx: Transaction, oid: int, password: str) -> int:
    """Sets the password, where the user's driver lets it be changed or an administrator does it."""
    driver = tx.get(User, oid).auth_driver
    allowed = _driver_conf(tx, driver).get("PASSWORD_CHANGE", "NO").upper() == "YES"
    if not allowed and not tx.caller.is_admin:
        raise ApiError(Code.ACTION, f"Password for driver {driver} cannot be changed.", oid)
    _set_password(tx, oid, driver, password)
    return oid


@method(
    "one.user.chauth",
    integer("id"),
    text("driver"),
    text("password", hidden=True),
    needs=_ADMIN,
    prepare="password",
)
def chauth(tx: Transaction, oid: int, driver: str, password: str) -> int:
    """Sets how the user authenticates; an empty password leaves the stored one as it is."""
    fault = _driver_fault(driver)
    if fault:
        raise ApiError(Code.ACTION, fault, oid)
    if password:
        _set_password(tx, oid, driver, password)
    tx.edit(User, oid).auth_driver = driver
    return oid


def _set_password(tx: Transaction, oid: int, driver: str, password: str) -> None:
    fault = names.password_fault(password)
    if fault:
        raise ApiError(Code.ACTION, fault, oid)
    tx.edit(User, oid).password = _stored(tx, driver, password)


def _driver_conf(tx: Transaction, driver: str) -> Section:
    return tx.settings.auth_mad_conf.get(driver, {})


def upgrade_password(tx: Transaction, uid: int, verified: str, new: str) -> bool:
    """Stores a password anew that was just verified against its older stored form `verified`.

    False, and nothing changes, when it is another one by now.
    """
    user = tx.find(User, uid)
    if user is None or user.auth_driver != CORE or user.password != verified:
        return False
    tx.edit(User, uid).password = new
    return True


@method(
    "one.user.login",
    text("name"),
    text("token", hidden=True),
    integer("period"),
    integer("egid", -1),
    returns=Type.STRING,
    also="MANAGE on the user",
)
def login(tx: Transaction, name: str, token: str, period: int, egid: int) -> str:
    """Makes a login token that lives `period` seconds (-1: for ever) and answers it.

    An empty `token` is made up. Period 0 takes a token away, all of them when it is empty. `egid` is the
    one group that sessions with the token act for, -1 for all of the user's.
    """
    oid = tx.named(User, name)
    if oid is None:
        raise ApiError(Code.NO_EXISTS, f"Error getting user [{name}].")
    user = tx.get(User, oid)
    authorization.require(tx, authorization.on(Op.MANAGE, user))
    if period == 0:
        _reset_tokens(tx, user, token)
        return token
    if period < -1:
        raise ApiError(Code.XML_RPC_API, "Wrong valid period for token", oid)
    if egid != -1 and egid not in user.groups:
        raise ApiError(Code.XML_RPC_API, "EGID is not in user group list", oid)
    return _set_token(tx, user, token, period, egid)


def _reset_tokens(tx: Transaction, user: User, token: str) -> None:
    kept = [known for known in user.login_tokens if known.token != token] if token else []
    if token and len(kept) == len(user.login_tokens):
        raise ApiError(Code.XML_RPC_API, "Could not find token", user.id)
    tx.edit(User, user.id).login_tokens = kept


def _set_token(tx: Transaction, user: User, token: str, period: int, egid: int) -> str:
    longest = int(_driver_conf(tx, user.auth_driver).get("MAX_TOKEN_TIME") or -1)
    allowed = passwords.token_period(period, longest)
    if allowed is None:
        driver = user.auth_driver
        raise ApiError(Code.ACTION, f"Login tokens are disabled for driver {driver}.", user.id)
    if token and names.password_fault(token):
        raise ApiError(Code.XML_RPC_API, "Invalid token, it must be text without blanks", user.id)
    kept = [
        known
        for known in user.login_tokens
        if known.token != token and not passwords.has_expired(known, tx.now)
    ]
    if len(kept) >= passwords.MAX_TOKENS:
        raise ApiError(Code.XML_RPC_API, "Max number of tokens limit reached.", user.id)
    new = token or passwords.new_token(tx.context.random(passwords.TOKEN_BYTES))
    expires = -1 if allowed == -1 else tx.now + allowed
    tx.edit(User, user.id).login_tokens = [*kept, LoginToken(new, expires, egid)]
    return new


@method("one.user.chgrp", integer("id"), integer("gid"), needs=(*_ON_USER, Need(Op.USE, Group, "gid")))
def chgrp(tx: Transaction, oid: int, gid: int) -> int:
    """Changes the primary group. The old one is left, unless the new one was a secondary group already."""
    user, group = tx.get(User, oid), tx.get(Group, gid)
    if oid == ONEADMIN and gid != ONEADMIN_GROUP:
        home = tx.get(Group, ONEADMIN_GROUP)
        raise ApiError(
            Code.INTERNAL,
            f"user [{oid}] {user.name} cannot be moved outside of the group [0] {home.name}",
            oid,
        )
    if user.gid == gid:
        return oid
    if gid not in user.groups:
        _refuse_managed_groups(tx, user, Code.INTERNAL)
        leave_group(tx, user.gid, oid)
    own = tx.edit(User, oid)
    if gid not in own.groups:
        own.groups.discard(own.gid)
        own.groups.add(gid)
        tx.edit(Group, gid).users.add(oid)
    own.gid, own.gname = gid, group.name
    return oid


@method("one.user.addgroup", integer("id"), integer("gid"), needs=_ON_BOTH)
def addgroup(tx: Transaction, oid: int, gid: int) -> int:
    """Adds a secondary group."""
    user = tx.get(User, oid)
    _refuse_managed_groups(tx, user)
    if gid in user.groups:
        raise ApiError(Code.ACTION, "User is already in this group", oid)
    tx.edit(User, oid).groups.add(gid)
    tx.edit(Group, gid).users.add(oid)
    return oid


@method("one.user.delgroup", integer("id"), integer("gid"), needs=_ON_BOTH)
def delgroup(tx: Transaction, oid: int, gid: int) -> int:
    """Removes a secondary group."""
    user = tx.get(User, oid)
    _refuse_managed_groups(tx, user)
    if gid not in user.groups:
        raise ApiError(Code.ACTION, "User is not part of this group", oid)
    if gid == user.gid:
        raise ApiError(Code.ACTION, "Cannot remove user from the primary group", oid)
    tx.edit(User, oid).groups.discard(gid)
    leave_group(tx, gid, oid)
    return oid


def _refuse_managed_groups(tx: Transaction, user: User, code: Code = Code.ACTION) -> None:
    driver = user.auth_driver
    if has_managed_groups(tx, driver):
        raise ApiError(code, f"Groups cannot be manually managed for auth driver {driver}", user.id)


def has_managed_groups(tx: Transaction, driver: str) -> bool:
    """Whether the groups of the driver's users are what the driver says at each login."""
    return _driver_conf(tx, driver).get("DRIVER_MANAGED_GROUPS", "NO").upper() == "YES"


@method("one.user.quota", integer("id"), text("quota"), needs=_ADMIN)
def set_quota(tx: Transaction, oid: int, source: str) -> int:
    """Sets the user's limits; entries that the template does not name stay."""
    quota.set_limits(tx, "user", oid, source)
    return oid


@generic.checks_updates(User)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    assert isinstance(value, User)
    return generic.check_restricted(tx, tx.settings.user_restricted_attr, new, value.template, value.id)


@method(
    "one.user.info",
    integer("id"),
    boolean("decrypt", False),
    returns=Type.STRING,
    read_only=True,
    also="USE on the user; -1 is the caller",
)
def info(tx: Transaction, oid: int, decrypt: bool) -> bytes:
    """The user with quotas and the default quotas."""
    uid = tx.caller.uid if oid == -1 else oid
    if uid != tx.caller.uid and not tx.caller.is_admin:
        authorization.require(tx, authorization.on(Op.USE, tx.get(User, uid)))
    return views.user_info(tx, uid)


@method("one.userpool.info", returns=Type.STRING, read_only=True, also="USE on each user that is listed")
def pool_info(tx: Transaction) -> Listing:
    """Every user that the caller may see, each followed by its quotas, then the default quotas."""
    entries = authorization.visible(tx, USER, pools.ordered(tx, USER))
    return pools.listing(
        tx, USER, entries, views.user_item, views.wire(views.default_quotas(tx.state, "user"))
    )
