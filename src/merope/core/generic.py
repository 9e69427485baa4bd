"""The methods that every kind of object has alike, made from one table: which kind has which, and the
right that each asks for (spec xmlrpc.yaml)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from merope.core import authorization, concealed, pools, views
from merope.core.methods import Listing, Method, Need, Param, Result, Type, boolean, integer, register, text
from merope.core.transaction import Transaction
from merope.model import names
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.group import Group
from merope.model.hook import Hook
from merope.model.host import Host
from merope.model.image import Image
from merope.model.kinds import BY_DOCUMENT
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.owned import Lock, Owned
from merope.model.permissions import Op, Permissions
from merope.model.security_group import SecurityGroup
from merope.model.state import Entry
from merope.model.stored_document import StoredDocument
from merope.model.template import Template, TemplateError, restricted_attribute
from merope.model.user import User
from merope.model.vdc import Vdc
from merope.model.vm import VM
from merope.model.vm_group import VmGroup
from merope.model.vm_template import VmTemplate
from merope.model.vn_template import VnTemplate
from merope.model.vnet import VirtualNetwork
from merope.model.vrouter import VirtualRouter
from merope.model.zone import Zone

ID = integer("id")
FILTERS = (integer("filter"), integer("start"), integer("end"))
BITS = tuple(integer(f"{who}_{what}") for who in ("owner", "group", "other") for what in ("u", "m", "a"))


_ADMIN_BITS = 0o111
_OTHER_BITS = 0o007


@dataclass(frozen=True, slots=True)
class Common:
    """Which of the common methods a kind has, and the right that changing it takes."""

    kind: type[Document]
    right: Op = Op.MANAGE
    owned: bool = True
    lockable: bool = False
    renamed: bool = True
    updated: bool = True
    filtered: bool = True


TABLE: tuple[Common, ...] = (
    Common(VM, lockable=True),
    Common(Host, Op.ADMIN, owned=False, filtered=False),
    Common(Cluster, owned=False, filtered=False),
    Common(Datastore, filtered=False),
    Common(Image, lockable=True),
    Common(VirtualNetwork, lockable=True),
    Common(SecurityGroup),
    Common(VmTemplate, lockable=True),
    Common(User, owned=False, renamed=False, filtered=False),
    Common(Group, owned=False, renamed=False, filtered=False),
    Common(Zone, owned=False, filtered=False),
    Common(Vdc, owned=False, filtered=False),
    Common(Marketplace, filtered=False),
    Common(MarketplaceApp, lockable=True),
    Common(VirtualRouter, lockable=True),
    Common(VmGroup, lockable=True),
    Common(VnTemplate, lockable=True),
    Common(StoredDocument, lockable=True),
    Common(Hook, owned=False, lockable=True),
)

# What a kind does besides when one of its objects changes; filled by the kinds' own modules.

UpdateCheck = Callable[[Transaction, Document, Template], Template]
"""Gets the object and its whole new template, answers the template to be stored; raises ApiError."""

_UPDATE_CHECKS: dict[type[Document], UpdateCheck] = {}
_AFTER_RENAME: dict[type[Document], Callable[[Transaction, Document], None]] = {}
_BEFORE_CHOWN: dict[type[Document], Callable[[Transaction, Owned, int, int], None]] = {}


def checks_updates(kind: type[Document]) -> Callable[[UpdateCheck], UpdateCheck]:
    def declare(check: UpdateCheck) -> UpdateCheck:
        _UPDATE_CHECKS[kind] = check
        return check

    return declare


def follows_rename(kind: type[Document], follow: Callable[[Transaction, Document], None]) -> None:
    """`follow` copies the object's new name to where it is shown elsewhere."""
    _AFTER_RENAME[kind] = follow


def moves_quotas(kind: type[Document], move: Callable[[Transaction, Owned, int, int], None]) -> None:
    """`move` takes the object from its owner's quotas to those of the new uid and gid, or raises."""
    _BEFORE_CHOWN[kind] = move


def parse_template(source: str, code: Code = Code.INTERNAL) -> Template:
    """A template of a request; raises ApiError with the parser's line and columns."""
    try:
        return Template.parse(source)
    except TemplateError as error:
        raise ApiError(code, str(error)) from error


def check_name(name: str, code: Code = Code.ALLOCATE, oid: int = -1) -> None:
    problem = names.name_fault(name)
    if problem:
        raise ApiError(code, problem, oid)


def check_new_name(tx: Transaction, kind: type[Document], name: str, uid: int = 0) -> None:
    """Raises ApiError ALLOCATE when a new object of the kind, owned by `uid`, cannot have the name."""
    problem = names.name_fault(name)
    if problem:
        raise allocate_error(problem)
    check_free(tx, kind, name, uid)


def take_name(tx: Transaction, kind: type[Document], template: Template, uid: int = 0) -> str:
    """Takes NAME out of the template of a new object and checks it; raises ApiError ALLOCATE."""
    name = template.get("NAME")
    template.remove("NAME")
    check_new_name(tx, kind, name, uid)
    return name


def check_restricted(
    tx: Transaction, restricted: Sequence[str], new: Template, old: Template, oid: int
) -> Template:
    """The new template of an update; INTERNAL when a user changes what only administrators may change."""
    if not tx.caller.is_admin:
        changed = restricted_attribute(new, restricted, old)
        if changed is not None:
            raise update_error(f"Tried to change restricted attribute: {changed}", oid)
    return new


def check_free(tx: Transaction, kind: type[Document], name: str, uid: int = 0) -> None:
    """Raises ApiError ALLOCATE when another object of the scope has the name."""
    known = BY_DOCUMENT[kind]
    taken = tx.named(kind, name, uid) if known.unique != "none" else None
    if taken is not None:
        raise allocate_error(f"NAME is already taken by {known.word} {taken}.")


def allocate_error(detail: str) -> ApiError:
    """Why there is no new object; how it is told depends on the method (`core.execute`)."""
    return ApiError(Code.ALLOCATE, detail)


def update_error(detail: str, oid: int) -> ApiError:
    """Why an object's template stays as it is."""
    return ApiError(Code.INTERNAL, f"Cannot update template. {detail}", oid)


def delete_error(value: Document, detail: str) -> ApiError:
    label = BY_DOCUMENT[type(value)].label
    return ApiError(Code.ACTION, f"Cannot delete {label}. {detail}", value.id)


class Ownership(TypedDict):
    """Whose a new object is, and who may do what with it."""

    uid: int
    gid: int
    uname: str
    gname: str
    permissions: Permissions


def owned_by_caller(tx: Transaction) -> Ownership:
    """What every new object of the caller's has in common."""
    caller = tx.caller
    return {
        "uid": caller.uid,
        "gid": caller.gid,
        "uname": caller.name,
        "gname": caller.group_name,
        "permissions": default_permissions(tx),
    }


def default_permissions(tx: Transaction) -> Permissions:
    """The bits of a new object of the caller's."""
    return Permissions.from_umask(
        tx.caller.umask, admin=tx.caller.is_admin, other_allowed=tx.settings.enable_other_permissions
    )


def updated_template(old: Template, source: str, how: int, oid: int) -> Template:
    """The template after `one.*.update`: 0 replaces the whole, 1 merges."""
    if how not in (0, 1):
        raise ApiError(Code.XML_RPC_API, "Wrong update type", oid)
    try:
        new = Template.parse(source)
    except TemplateError as error:
        raise update_error(str(error), oid) from error
    if how == 0:
        return new
    merged = old.copy()
    merged.merge(new)
    return merged


def _update(common: Common) -> Callable[..., Result]:
    field = "user_template" if common.kind is VM else "template"

    def run(tx: Transaction, oid: int, source: str, how: int) -> int:
        value = tx.get(common.kind, oid)
        old: Template = getattr(value, field)
        new = updated_template(old, source, how, oid)
        check = _UPDATE_CHECKS.get(common.kind)
        if check is not None:
            new = check(tx, value, new)
        setattr(tx.edit(common.kind, oid), field, new)
        return oid

    return run


def _rename(common: Common) -> Callable[..., Result]:
    known = BY_DOCUMENT[common.kind]

    def run(tx: Transaction, oid: int, name: str) -> int:
        value = tx.get(common.kind, oid)
        check_name(name, Code.ACTION, oid)
        uid = value.uid if isinstance(value, Owned) else 0
        taken = tx.named(common.kind, name, uid) if known.unique != "none" else None
        if taken is not None and taken != oid:
            raise ApiError(
                Code.ACTION,
                f"{known.label} cannot be renamed to {name} because it collides with {known.label} {taken}",
                oid,
            )
        own = tx.edit(common.kind, oid)
        setattr(own, "name", name)  # noqa: B010 - every kind has a name, and its own slot for it
        follow = _AFTER_RENAME.get(common.kind)
        if follow is not None:
            follow(tx, own)
        return oid

    return run


def _chown(common: Common) -> Callable[..., Result]:
    known = BY_DOCUMENT[common.kind]

    def run(tx: Transaction, oid: int, uid: int, gid: int) -> int:
        value = tx.get(common.kind, oid)
        assert isinstance(value, Owned)
        targets = []
        if uid > -1:
            targets.append(authorization.on(Op.MANAGE, tx.get(User, uid)))
        if gid > -1:
            targets.append(authorization.on(Op.USE, tx.get(Group, gid)))
        authorization.require(tx, *targets)
        new_uid, new_gid = (uid if uid > -1 else value.uid), (gid if gid > -1 else value.gid)
        if uid > -1 and uid != value.uid and known.unique == "owner":
            taken = tx.named(common.kind, value.name, uid)
            if taken is not None:
                raise ApiError(
                    Code.INTERNAL,
                    f"user [{uid}] already owns {known.label} [{taken}] with NAME {value.name}",
                    oid,
                )
        move = _BEFORE_CHOWN.get(common.kind)
        if move is not None:
            move(tx, value, new_uid, new_gid)
        own = tx.edit(common.kind, oid)
        assert isinstance(own, Owned)
        own.uid, own.gid = new_uid, new_gid
        own.uname, own.gname = tx.get(User, new_uid).name, tx.get(Group, new_gid).name
        return oid

    return run


def change_mode(tx: Transaction, value: Owned, bits: tuple[int, ...]) -> None:
    """Checks and applies the nine arguments of chmod: -1 keeps a bit, 0 and 1 set it."""
    try:
        new = value.permissions.changed(bits)
    except ValueError as error:
        raise ApiError(Code.INTERNAL, str(error), value.id) from error
    changed = new.mode ^ value.permissions.mode
    op = Op.ADMIN if changed & _ADMIN_BITS else Op.MANAGE
    authorization.require(tx, authorization.on(op, value))
    if changed & _OTHER_BITS and not tx.caller.is_admin and not tx.settings.enable_other_permissions:
        raise ApiError(Code.AUTHORIZATION, "'other' permissions is disabled in oned.conf", value.id)
    own = tx.edit(type(value), value.id)
    own.permissions = new


def _chmod(common: Common) -> Callable[..., Result]:
    def run(tx: Transaction, oid: int, *bits: int) -> int:
        value = tx.get(common.kind, oid)
        assert isinstance(value, Owned)
        change_mode(tx, value, bits)
        return oid

    return run


def _lock(common: Common) -> Callable[..., Result]:
    def run(tx: Transaction, oid: int, level: int, test: bool) -> int:
        value = tx.get(common.kind, oid)
        if not 0 <= level <= 4:
            raise ApiError(Code.ACTION, "Wrong lock level specified, it must lie between 0 and 4", oid)
        held: Lock | None = getattr(value, "lock", None)
        if held is not None and held.owner != tx.caller.uid and not tx.caller.is_admin:
            raise ApiError(Code.ACTION, "Cannot lock: Lock is owned by another user", oid)
        if test and held is not None:
            raise ApiError(Code.ACTION, "Error trying to lock the resource: it is locked already", oid)
        own = tx.edit(common.kind, oid)
        lock = Lock(level, tx.caller.uid, tx.now, tx.context.request_id) if level else None
        setattr(own, "lock", lock)  # noqa: B010 - only the lockable kinds of the table have it
        return oid

    return run


def _unlock(common: Common) -> Callable[..., Result]:
    def run(tx: Transaction, oid: int) -> int:
        value = tx.get(common.kind, oid)
        held: Lock | None = getattr(value, "lock", None)
        if held is not None and held.owner != tx.caller.uid and not tx.caller.is_admin:
            raise ApiError(Code.ACTION, "Cannot unlock: Lock is owned by another user", oid)
        if held is not None:
            setattr(tx.edit(common.kind, oid), "lock", None)  # noqa: B010 - as above
        return oid

    return run


def _info(common: Common) -> Callable[..., Result]:
    def run(tx: Transaction, oid: int, decrypt: bool) -> bytes:
        return concealed.shown(tx, common.kind, oid, decrypt=decrypt)

    return run


def _pool(common: Common) -> Callable[..., Result]:
    known = BY_DOCUMENT[common.kind]

    def render(tx: Transaction, entry: Entry) -> bytes:
        return views.pool_item(tx, known, entry)

    def filtered(tx: Transaction, flag: int, start: int, end: int) -> Listing:
        return pools.listing(tx, known, pools.select(tx, known, flag, start, end), render)

    def whole(tx: Transaction) -> Listing:
        return pools.listing(tx, known, authorization.visible(tx, known, pools.ordered(tx, known)), render)

    return filtered if common.filtered else whole


def _declare(common: Common) -> None:
    api = BY_DOCUMENT[common.kind].api
    kind = common.kind
    change = Need(common.right, kind, "id")
    manage = Need(Op.MANAGE, kind, "id")
    manage_locked = Need(Op.MANAGE, kind, "id", lock=False)

    def put(
        action: str, run: Callable[..., Result], *params: Param, need: Need = change, also: str = ""
    ) -> None:
        needs = (replace(need, action=action) if kind is VM and action in _MOVABLE else need,)
        register(Method(f"one.{api}.{action}", (ID, *params), Type.INTEGER, run, needs, also=also))

    if common.updated:
        put("update", _update(common), text("template"), integer("type", 0))
    if common.renamed:
        put("rename", _rename(common), text("name"))
    if common.owned:
        put("chown", _chown(common), integer("uid"), integer("gid"), need=manage, also=_CHOWN)
        if kind not in _OWN_CHMOD:
            params = (ID, *BITS)
            register(Method(f"one.{api}.chmod", params, Type.INTEGER, _chmod(common), also=_CHMOD))
    if common.lockable:
        put("lock", _lock(common), integer("level"), boolean("test", False), need=manage_locked)
        put("unlock", _unlock(common), need=manage_locked)
    _declare_reading(common, api)


def _declare_reading(common: Common, api: str) -> None:
    needs = (Need(Op.USE, common.kind, "id", lock=False),)
    if common.kind not in _OWN_INFO:
        params = (ID, boolean("decrypt", False))
        register(Method(f"one.{api}.info", params, Type.STRING, _info(common), needs, read_only=True))
    if common.kind not in _OWN_POOL:
        filters: tuple[Param, ...] = FILTERS if common.filtered else ()
        run = _pool(common)
        register(Method(f"one.{api}pool.info", filters, Type.STRING, run, read_only=True, also=ROWS))


#: What the configuration may ask another right for, of VMs (VM_*_OPERATIONS).
_MOVABLE = ("update", "rename")
_CHOWN = "MANAGE on the new owner, USE on the new group"
_CHMOD = "MANAGE, or ADMIN where an admin bit changes"
ROWS = "USE on each object that is listed"
#: Kinds whose `chmod` does more, and is declared in their own module.
_OWN_CHMOD: tuple[type[Document], ...] = (VmTemplate, VirtualRouter)
#: Kinds whose `info` or `pool.info` differs and is declared in their own module.
_OWN_INFO: tuple[type[Document], ...] = (User, Group, VirtualNetwork, VmTemplate)
_OWN_POOL: tuple[type[Document], ...] = (User, Group, VM, StoredDocument)

for _common in TABLE:
    _declare(_common)
