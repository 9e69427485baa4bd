"""Who may do what: bits, rules, groups, locks; and that lists show what may be used, no more, no less."""

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.conftest import Core, sentence

from merope.core import authorization
from merope.core.execute import execute
from merope.core.methods import METHODS, Access
from merope.core.transaction import SYSTEM
from merope.model.acl import parse_rule
from merope.model.datastore import Datastore
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.permissions import Op
from merope.model.user import User

DISK = "NAME=disk\nTYPE=DATABLOCK\nSIZE=1"


def image_of(core: Core, who: int, mode: str = "600") -> int:
    oid = core.call(who, "one.image.allocate", DISK, 1)
    bits = [int(digit) >> shift & 1 for digit in mode for shift in (2, 1, 0)]
    core.call(0, "one.image.chmod", oid, *bits)
    assert isinstance(oid, int)
    return oid


def rule(core: Core, text: str) -> None:
    core.call(0, "one.acl.addrule", *(f"{part:x}" for part in parse_rule(text).key))


def may(core: Core, who: int, op: Op, oid: int) -> bool:
    tx = core.transaction(core.caller(who))
    return not authorization.refusal(tx, authorization.on(op, core.get(Image, oid)))


@pytest.mark.parametrize(
    ("mode", "owner", "member", "stranger"),
    [
        ("600", True, False, False),
        ("640", True, True, False),
        ("604", True, True, True),
        ("000", False, False, False),
    ],
)
def test_bits_permit_use(core: Core, mode: str, owner: bool, member: bool, stranger: bool) -> None:
    web = core.call(0, "one.group.allocate", "web")
    ann, bob, eve = core.user("ann", 1), core.user("bob", 1), core.user("eve", web)
    oid = image_of(core, ann, mode)
    assert [may(core, who, Op.USE, oid) for who in (ann, bob, eve)] == [owner, member, stranger]


def test_a_secondary_group_counts_as_one_of_the_users(core: Core) -> None:
    web = core.call(0, "one.group.allocate", "web")
    ann, eve = core.user("ann", 1), core.user("eve", web, 1)
    assert may(core, eve, Op.USE, image_of(core, ann, "640"))


@pytest.mark.parametrize(
    ("text", "granted"),
    [
        ("#{eve} IMAGE/#{oid} USE #0", True),
        ("#{eve} IMAGE/@1 USE #0", True),
        ("#{eve} IMAGE/* USE *", True),
        ("@{web} IMAGE/* USE *", True),
        ("* IMAGE/* USE *", True),
        ("#{eve} IMAGE/* MANAGE *", False),
        ("#{eve} IMAGE/* USE #7", False),
        ("#{eve} VM/* USE *", False),
        ("#{ann} IMAGE/* USE *", False),
    ],
)
def test_rules_permit_what_bits_do_not(core: Core, text: str, granted: bool) -> None:
    web = core.call(0, "one.group.allocate", "web")
    ann, eve = core.user("ann", 1), core.user("eve", web)
    oid = image_of(core, ann)
    rule(core, text.format(eve=eve, oid=oid, web=web, ann=ann))
    assert may(core, eve, Op.USE, oid) is granted
    listed = ElementTree.fromstring(core.call(eve, "one.imagepool.info", -2, -1, -1))
    assert len(listed) == granted


def test_a_rule_on_a_cluster_reaches_what_is_in_it(core: Core) -> None:
    web, edge = core.call(0, "one.group.allocate", "web"), core.call(0, "one.cluster.allocate", "edge")
    eve = core.user("eve", web)
    rule(core, f"#{eve} DATASTORE/%{edge} MANAGE #0")
    assert core.fails(eve, "one.datastore.update", 1, "A=b", 1).code is Code.AUTHORIZATION
    core.call(0, "one.cluster.adddatastore", edge, 1)
    core.call(eve, "one.datastore.update", 1, "A=b", 1)
    assert core.get(Datastore, 1).template.get("A") == "b"


def test_administrators_may_do_anything_but_pass_a_lock(core: Core) -> None:
    ann, chief = core.user("ann", 1), core.user("chief", 0)
    oid = image_of(core, ann, "000")
    core.call(chief, "one.image.update", oid, "A=b", 1)
    core.call(0, "one.image.lock", oid, 2)
    error = core.fails(chief, "one.image.update", oid, "A=c", 1)
    assert sentence(error) == (Code.AUTHORIZATION, f"User [{chief}] : IMAGE is locked. [{oid}].")


@pytest.mark.parametrize(
    ("level", "refused"),
    [
        (1, {Op.USE, Op.MANAGE, Op.ADMIN}),
        (2, {Op.MANAGE, Op.ADMIN}),
        (3, {Op.ADMIN}),
        (4, {Op.ADMIN}),
    ],
)
def test_a_lock_refuses_operations_from_its_level_up(core: Core, level: int, refused: set[Op]) -> None:
    oid = image_of(core, 0)
    core.call(0, "one.image.lock", oid, level)
    assert {op for op in (Op.USE, Op.MANAGE, Op.ADMIN) if not may(core, 0, op, oid)} == refused
    assert f"<LOCKED>{level}</LOCKED>" in core.call(0, "one.image.info", oid)


def test_a_refusal_names_all_that_was_refused(core: Core) -> None:
    ann = core.user("ann", 1)
    oid = image_of(core, 0)
    error = core.fails(ann, "one.image.clone", oid, "copy")
    assert error.message == f"User [{ann}] : Not authorized to perform USE IMAGE [{oid}]."
    tx = core.transaction(core.caller(ann))
    targets = [authorization.on(Op.ADMIN, core.get(User, 0)), authorization.create(User)]
    with pytest.raises(ApiError) as caught:
        authorization.require(tx, *targets)
    text = "Not authorized to perform ADMIN USER [0]; Not authorized to perform CREATE USER"
    assert caught.value.message == f"User [{ann}] : {text}."


modes = st.integers(0, 0o777).map("{:03o}".format)
rules = st.lists(
    st.builds(
        "{} IMAGE/{} USE {}".format,
        st.sampled_from(["#2", "#3", "@1", "@100", "*"]),
        st.sampled_from(["#0", "#1", "@1", "@100", "*"]),
        st.sampled_from(["#0", "#7"]),
    ),
    max_size=3,
    unique=True,
)


@settings(max_examples=40, deadline=None)
@given(modes, modes, rules, st.booleans())
def test_a_list_shows_what_may_be_used(first: str, second: str, texts: list[str], joined: bool) -> None:
    core = Core()
    web = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann", 1)
    eve = core.user("eve", web, *([1] if joined else []))
    rule(core, f"@{web} IMAGE/* CREATE *")
    owned = [image_of(core, ann, first), image_of(core, eve, second)]
    for text in texts:
        rule(core, text)
    for who in (ann, eve):
        listed = ElementTree.fromstring(core.call(who, "one.imagepool.info", -2, -1, -1))
        shown = {int(item.findtext("ID") or -1) for item in listed}
        assert shown == {oid for oid in owned if may(core, who, Op.USE, oid)}


CHANGING = sorted(name for name, method in METHODS.items() if not method.read_only and method.needs)


@pytest.mark.parametrize("name", CHANGING)
def test_every_right_that_a_method_declares_is_asked_for(core: Core, name: str) -> None:
    """A user with no right at all on anything is refused, or finds that nothing is there."""
    nobody = core.user("nobody", core.call(0, "one.group.allocate", "empty"))
    core.call(0, "one.acl.delrule", 1), core.call(0, "one.acl.delrule", 2)
    arguments = [_harmless(param.type.value) for param in METHODS[name].params]
    tx = core.transaction(core.caller(nobody))
    with pytest.raises(ApiError) as caught:
        execute(tx, METHODS[name], arguments)
    assert caught.value.code in (Code.AUTHORIZATION, Code.NO_EXISTS)


def _harmless(kind: str) -> object:
    return {"s": "x", "i": 0, "b": False, "i8": 0, "A": []}[kind]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_says_what_right_it_asks_for(name: str) -> None:
    """Nothing that changes the cloud is open to everybody by oversight."""
    method = METHODS[name]
    told = bool(method.needs or method.also) or method.access is not Access.ANYONE
    assert told or name in OPEN


#: What any user may do, by the nature of it.
OPEN = {"one.system.version", "one.userquota.info", "one.groupquota.info"}


def test_the_system_is_an_administrator() -> None:
    assert SYSTEM.is_admin
