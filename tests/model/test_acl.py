"""ACL rules: encodings, text, and the decision whether somebody may do something."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model.acl import (
    ALL,
    CLUSTER,
    GROUP,
    INDIVIDUAL,
    TEXT_TYPES,
    AclError,
    Rule,
    RuleSet,
    cluster,
    from_signed,
    group,
    individual,
    parse_rule,
    rule_from_hex,
    to_signed,
    validate,
)
from merope.model.permissions import ObjectType, Op

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "examples"

ids = st.integers(0, 0x7FFF_FFFF)
few = st.integers(0, 3)
components = st.integers(0, (1 << 64) - 1)


def selections(*signs: int, numbers: st.SearchStrategy[int] = ids) -> st.SearchStrategy[int]:
    return st.just(ALL) | st.builds(lambda sign, number: sign | number, st.sampled_from(signs), numbers)


def rules(
    numbers: st.SearchStrategy[int] = ids, kinds: tuple[ObjectType, ...] = TEXT_TYPES
) -> st.SearchStrategy[Rule]:
    types = st.sets(st.sampled_from(kinds), min_size=1).map(sum)
    return st.builds(
        lambda user, mask, selection, rights, zone: Rule(-1, user, mask | selection, rights, zone),
        selections(INDIVIDUAL, GROUP, numbers=numbers),
        types,
        selections(INDIVIDUAL, GROUP, CLUSTER, numbers=numbers),
        st.integers(1, 15),
        selections(INDIVIDUAL, numbers=numbers),
    )


def rule_set(texts: list[str]) -> RuleSet:
    return RuleSet(parse_rule(text, rule_id=number) for number, text in enumerate(texts))


@given(rules())
def test_the_text_of_a_rule_reads_back_as_the_same_rule(rule: Rule) -> None:
    assert parse_rule(rule.to_string()) == rule


@given(rules())
def test_the_hexadecimal_components_read_back_as_the_same_rule(rule: Rule) -> None:
    element = ElementTree.fromstring(rule.to_xml())
    user, resource, rights, zone = (
        element.findtext(name, "") for name in ("USER", "RESOURCE", "RIGHTS", "ZONE")
    )
    assert rule_from_hex(user, resource, rights, zone) == rule
    assert element.findtext("STRING") == rule.to_string()


@given(components)
def test_a_component_survives_the_signed_column_of_the_database(component: int) -> None:
    signed = to_signed(component)
    assert -(1 << 63) <= signed < 1 << 63
    assert from_signed(signed) == component


def test_the_recorded_pool_is_reproduced() -> None:
    path = EXAMPLES / "acl-pool.xml"
    if not path.exists():
        pytest.skip(f"{path.name} of ../shared/examples is not there")
    recorded = ElementTree.parse(path).getroot()
    texts = [(int(acl.findtext("ID", "")), acl.findtext("STRING", "")) for acl in recorded]
    pool = RuleSet(parse_rule(text, rule_id=number) for number, text in texts)
    assert pool.to_xml() == ElementTree.tostring(recorded, "unicode").replace("\n", "").replace("  ", "")
    assert not any(validate(rule) for rule in pool)


def test_types_and_rights_may_come_in_any_order_and_case() -> None:
    assert parse_rule("@1 image+VM/* create+Use *") == parse_rule("@1 VM+IMAGE/* USE+CREATE *")


def test_a_missing_zone_is_the_callers() -> None:
    assert parse_rule("* VM/* USE", default_zone=individual(104)).zone == individual(104)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "must have a user"),
        ("@1 VM/*", "must have a user"),
        ("@1 VM/* USE * *", "must have a user"),
        ("1 VM/* USE *", "user '1'"),
        ("%1 VM/* USE *", "user '%1'"),
        ("#-1 VM/* USE *", "user '#-1'"),
        ("#2147483648 VM/* USE *", "user '#2147483648'"),
        ("#" + "9" * 5000 + " VM/* USE *", "user '#999"),
        ("#١ VM/* USE *", "user '#١'"),
        ("# VM/* USE *", "user '#'"),
        ("@1 VM USE *", "resource 'VM'"),
        ("@1 /* USE *", "type ''"),
        ("@1 DISK/* USE *", "type 'DISK'"),
        ("@1 ACL/* USE *", "type 'ACL'"),
        ("@1 HOOK/* USE *", "type 'HOOK'"),
        ("@1 VM/ USE *", "resource ''"),
        ("@1 VM/* OWN *", "right 'OWN'"),
        ("@1 VM/* USE @1", "zone '@1'"),
    ],
)
def test_text_that_is_no_rule_is_refused_naming_the_part(text: str, part: str) -> None:
    with pytest.raises(AclError) as error:
        parse_rule(text)
    assert part in str(error.value)


@pytest.mark.parametrize("number", ["", "zz", "-1", "1" + "0" * 16, "0x"])
def test_what_is_not_a_64_bit_hexadecimal_number_is_refused(number: str) -> None:
    with pytest.raises(AclError, match=r"rights .* must be a hexadecimal number"):
        rule_from_hex("400000000", "1400000000", number, "400000000")


VM = int(ObjectType.VM)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Rule(-1, INDIVIDUAL | GROUP, VM | ALL, 1, ALL), "[user] must have exactly one of # @ *"),
        (Rule(-1, 1, VM | ALL, 1, ALL), "[user] must have exactly one of # @ *"),
        (Rule(-1, CLUSTER, VM | ALL, 1, ALL), "[user] must have exactly one of # @ *"),
        (Rule(-1, VM | ALL, VM | ALL, 1, ALL), "[user] has unknown bits"),
        (Rule(-1, INDIVIDUAL | 0xFFFFFFFF, VM | ALL, 1, ALL), "[user] has a negative id"),
        (Rule(-1, ALL | 1, VM | ALL, 1, ALL), "[user] must have id 0 with *"),
        (Rule(-1, ALL, VM | ALL | GROUP, 1, ALL), "[resource] must have exactly one of # @ % *"),
        (Rule(-1, ALL, VM, 1, ALL), "[resource] must have exactly one of # @ % *"),
        (Rule(-1, ALL, VM | ALL | 4, 1, ALL), "[resource] must have id 0 with *"),
        (Rule(-1, ALL, ALL, 1, ALL), "[resource] names no object type"),
        (Rule(-1, ALL, ObjectType.HOOK | ALL, 1, ALL), "[resource] has unknown object types"),
        (Rule(-1, ALL, 1 << 63 | ALL, 1, ALL), "[resource] has unknown object types"),
        (
            parse_rule("* HOST+VM/%0 USE *"),
            "[resource] % (cluster) is only for HOST, NET and DATASTORE",
        ),
        (
            parse_rule("* VM+VDC/@0 USE *"),
            "[resource] @ (group) is not for HOST, GROUP, CLUSTER, ZONE and VDC",
        ),
        (
            parse_rule("* USER+VM/#0 USE *"),
            "[resource] # (individual) in all zones is only for USER, GROUP, ZONE and VDC",
        ),
        (Rule(-1, ALL, VM | ALL, 0, ALL), "[rights] must lie between 1 and F"),
        (Rule(-1, ALL, VM | ALL, 16, ALL), "[rights] must lie between 1 and F"),
        (Rule(-1, ALL, VM | ALL, 1, GROUP), "[zone] must have exactly one of # *"),
        (Rule(-1, ALL, VM | ALL, 1, INDIVIDUAL | ALL), "[zone] must have exactly one of # *"),
        (Rule(-1, ALL, VM | ALL, 1, ALL | 7), "[zone] must have id 0 with *"),
    ],
)
def test_a_malformed_rule_says_why(rule: Rule, reason: str) -> None:
    assert validate(rule) == [reason]


def test_all_reasons_are_given_at_once() -> None:
    with pytest.raises(
        AclError, match=r"Rule \?\? /\?\? {2}\?\? is malformed: \[user\] .*; \[rights\] "
    ) as error:
        RuleSet().check_new(Rule(-1, 0, 0, 0, 0))
    assert str(error.value).count(";") == 4


@pytest.mark.parametrize(
    "text", ["#3 USER+GROUP+ZONE+VDC/#5 USE *", "* HOST+NET+DATASTORE/%1 MANAGE #0", "@1 VM/@1 USE+ADMIN *"]
)
def test_a_well_formed_rule_has_no_faults(text: str) -> None:
    assert validate(parse_rule(text)) == []


def test_the_same_rule_is_not_taken_twice() -> None:
    stored = rule_set(["@1 VM/* USE *"])
    again = parse_rule("@1 vm/* use *", rule_id=7)
    with pytest.raises(AclError, match=r"^Rule @1 VM/\* USE \* already exists$"):
        stored.check_new(again)
    with pytest.raises(AclError, match="already exists"):
        stored.add(again)
    assert stored.find(again) == parse_rule("@1 VM/* USE *", rule_id=0)


def test_an_id_is_not_taken_twice() -> None:
    stored = rule_set(["@1 VM/* USE *"])
    with pytest.raises(AclError, match="id 0 is already taken"):
        stored.add(parse_rule("@2 VM/* USE *", rule_id=0))


def test_removing_an_unknown_rule_says_so() -> None:
    with pytest.raises(AclError, match="Rule 5 does not exist"):
        RuleSet().remove(5)


@given(st.lists(rules(few), unique_by=lambda rule: rule.key), st.data())
def test_adding_and_removing_leaves_the_rest_as_it_was(found: list[Rule], data: st.DataObject) -> None:
    numbered = [Rule(number, *rule.key) for number, rule in enumerate(found)]
    kept = [rule for rule in numbered if data.draw(st.booleans())]
    stored = RuleSet(numbered)
    for rule in numbered:
        if rule not in kept:
            assert stored.remove(rule.id) == rule
            assert stored.find(rule) is None
            assert stored.get(rule.id) is None
    assert list(stored) == kept
    assert len(stored) == len(kept)
    rebuilt = RuleSet(kept)
    for kind in TEXT_TYPES:
        assert stored.visible(1, [1, 2], kind, Op.USE) == rebuilt.visible(1, [1, 2], kind, Op.USE)


def decide(
    stored: list[Rule], uid: int, gids: set[int], kind: int, op: int, target: set[int], zone: int
) -> bool:
    """The decision in its plainest form: any rule for the user that covers the object grants it."""
    users = {ALL, individual(uid), *map(group, gids)}
    return any(
        rule.user in users
        and rule.resource & kind
        and rule.resource & 0xF_FFFF_FFFF in target
        and rule.rights & op
        and rule.zone in {ALL, individual(zone)}
        for rule in stored
    )


@given(
    st.lists(rules(few, (ObjectType.NET, ObjectType.VM)), unique_by=lambda rule: rule.key),
    few,
    st.sets(few),
    st.sampled_from([Op.USE, Op.MANAGE, Op.ADMIN, Op.CREATE]),
    st.integers(-1, 3),
    st.integers(-1, 3),
    st.sets(few),
    few,
    st.booleans(),
)
def test_the_decision_is_that_of_the_plain_definition_and_agrees_with_the_listing(
    found: list[Rule],
    uid: int,
    gids: set[int],
    op: Op,
    oid: int,
    gid: int,
    cids: set[int],
    zone: int,
    reservation: bool,
) -> None:
    stored = RuleSet(Rule(number, *rule.key) for number, rule in enumerate(found))
    target = set() if reservation else {ALL, *map(cluster, cids)}
    target |= {individual(oid)} if oid >= 0 else set()
    target |= {group(gid)} if gid >= 0 else set()
    expected = decide(found, uid, gids, ObjectType.NET, op, target, zone)
    kind = ObjectType.NET
    allowed = stored.allows(
        uid, gids, kind, op, oid=oid, gid=gid, cids=cids, zone_id=zone, reservation=reservation
    )
    listing = stored.visible(uid, gids, kind, op, zone)
    assert allowed is expected
    assert listing.covers(oid, gid, cids, reservation=reservation) is expected


def test_objects_of_the_first_group_and_the_first_object_are_reached_too() -> None:
    stored = rule_set(["#1 VM/@0 USE *", "#2 VM/#0 USE #0"])
    reached = [uid for uid in (1, 2) if stored.allows(uid, [], ObjectType.VM, Op.USE, oid=0, gid=0)]
    assert reached == [1, 2]


def test_a_creation_needs_a_rule_for_all_or_for_the_creators_group() -> None:
    stored = rule_set(["@1 VM/* CREATE *", "#5 IMAGE/@1 CREATE *", "#5 NET/#0 CREATE #0"])
    assert stored.allows(9, [1], ObjectType.VM, Op.CREATE, gid=1)
    assert stored.allows(5, [1], ObjectType.IMAGE, Op.CREATE, gid=1)
    assert not stored.allows(5, [1], ObjectType.NET, Op.CREATE, gid=1)
    assert not stored.allows(5, [2], ObjectType.VM, Op.CREATE, gid=2)


def test_a_reservation_is_reached_by_id_and_group_but_not_by_all_or_cluster() -> None:
    stored = rule_set(["#1 NET/* USE *", "#1 NET/%0 USE *", "#2 NET/#7 USE #0", "#3 NET/@4 USE *"])
    reached = [
        uid
        for uid in (1, 2, 3)
        if stored.allows(uid, [], ObjectType.NET, Op.USE, oid=7, gid=4, cids=[0], reservation=True)
    ]
    assert reached == [2, 3]


@pytest.mark.parametrize(
    ("kind", "oid", "gone"),
    [
        (ObjectType.USER, 5, [0, 2]),
        (ObjectType.GROUP, 5, [1, 3, 4]),
        (ObjectType.CLUSTER, 5, [5, 6]),
        (ObjectType.ZONE, 5, [7, 8]),
        (ObjectType.IMAGE, 5, [9]),
        (ObjectType.IMAGE, 6, []),
    ],
)
def test_what_goes_takes_its_rules_along(kind: ObjectType, oid: int, gone: list[int]) -> None:
    stored = rule_set(
        [
            "#5 VM/* USE *",
            "@5 VM/* USE *",
            "* USER/#5 USE *",
            "* GROUP/#5 USE *",
            "* VM+IMAGE/@5 USE *",
            "* CLUSTER/#5 USE #0",
            "* HOST+NET/%5 USE *",
            "* ZONE/#5 USE *",
            "@1 VM/* USE #5",
            "* IMAGE/#5 USE #0",
            "* IMAGE+TEMPLATE/#5 USE #0",
            "#55 VM/#55 USE #0",
        ]
    )
    assert [rule.id for rule in stored.rules_about(kind, oid)] == gone
