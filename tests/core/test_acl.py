"""Access rules as objects: added, found again, removed with what they are about."""

import pytest
from tests.core.conftest import Core, sentence
from tests.core.schemas import check_schema

from merope.core import acl
from merope.model.acl import parse_rule
from merope.model.errors import Code
from merope.model.permissions import ObjectType


def add(core: Core, text: str, who: int = 0) -> int:
    rule = parse_rule(text)
    oid = core.call(who, "one.acl.addrule", *(f"{part:x}" for part in rule.key))
    assert isinstance(oid, int)
    return oid


def test_a_rule_gets_the_next_id_and_is_listed(core: Core) -> None:
    assert add(core, "#0 VM+IMAGE/@1 USE+MANAGE *") == 6
    listed = core.call(0, "one.acl.info")
    assert "<STRING>#0 VM+IMAGE/@1 USE+MANAGE *</STRING>" in listed
    assert listed.count("<ACL>") == 7


def test_a_rule_without_zone_is_for_this_one() -> None:
    core = Core(zone_id=3)
    rule = parse_rule("@1 VM/* USE #3")
    oid = core.call(0, "one.acl.addrule", *(f"{part:x}" for part in rule.key[:3]))
    stored = core.state.rules.get(oid)
    assert stored is not None
    assert stored.to_string() == "@1 VM/* USE #3"


def test_the_same_rule_is_not_added_twice(core: Core) -> None:
    add(core, "@1 VM/#7 USE #0")
    rule = parse_rule("@1 VM/#7 USE #0")
    error = core.fails(0, "one.acl.addrule", *(f"{part:x}" for part in rule.key))
    assert sentence(error) == (Code.INTERNAL, "Rule @1 VM/#7 USE #0 already exists")


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("0", "2400000000", "1", "400000000"), "Rule ?? HOST/* USE * is malformed: "),
        (("400000000", "2400000000", "0", "400000000"), "Rule * HOST/*  * is malformed: "),
        (("400000000", "2200000001", "1", "400000000"), "Rule * HOST/@1 USE * is malformed: "),
        (("zz", "2400000000", "1", "400000000"), "ACL rule user 'zz' must be"),
        (("4" * 40, "2400000000", "1", "400000000"), "ACL rule user "),
        (("-1", "2400000000", "1", "400000000"), "ACL rule user '-1' must be"),
    ],
)
def test_malformed_rules_are_refused(core: Core, parts: tuple[str, ...], text: str) -> None:
    error = core.fails(0, "one.acl.addrule", *parts)
    assert error.code is Code.INTERNAL
    assert error.message.startswith(text)


def test_a_rule_is_removed_once(core: Core) -> None:
    oid = add(core, "@1 VM/#7 USE #0")
    assert core.call(0, "one.acl.delrule", oid) == oid
    error = core.fails(0, "one.acl.delrule", oid)
    assert sentence(error) == (Code.INTERNAL, f"Rule {oid} does not exist")


def test_ids_of_rules_are_not_used_again(core: Core) -> None:
    first = add(core, "@1 VM/#7 USE #0")
    core.call(0, "one.acl.delrule", first)
    assert add(core, "@1 VM/#7 USE #0") == first + 1


def test_users_neither_read_nor_change_rules(core: Core) -> None:
    ann = core.user("ann")
    text = f"User [{ann}] : Not authorized to perform MANAGE ACL."
    for name, arguments in (
        ("one.acl.info", ()),
        ("one.acl.delrule", (0,)),
        ("one.acl.addrule", ("400000000", "2400000000", "1", "400000000")),
    ):
        assert sentence(core.fails(ann, name, *arguments)) == (Code.AUTHORIZATION, text)


def test_the_same_rule_asked_for_twice_in_one_command_is_one(core: Core) -> None:
    tx = core.transaction(core.caller(0))
    rule = parse_rule("@1 VM/#7 USE #0")
    assert acl.add(tx, rule) == acl.add(tx, rule) == 6
    acl.remove(tx, rule)
    core.commit(tx)
    assert len(core.state.rules) == 6


def test_rules_about_an_object_go_with_it(core: Core) -> None:
    add(core, "@1 IMAGE/#7 USE #0")
    shared = add(core, "@1 VM+IMAGE/#7 USE #0")
    tx = core.transaction(core.caller(0))
    acl.drop_rules_about(tx, ObjectType.IMAGE, 7)
    core.commit(tx)
    assert [rule.id for rule in core.state.rules][-1] == shared
    assert len(core.state.rules) == 7


def test_a_pool_of_rules_is_valid(core: Core) -> None:
    add(core, "#0 HOST/%0 USE+MANAGE+ADMIN #0")
    check_schema(core.call(0, "one.acl.info"), "acl_pool")
