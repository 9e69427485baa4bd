"""Permission bits: their forms, and what they allow."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model.permissions import ELEMENTS, ObjectType, Op, Permissions

modes = st.integers(0, 0o777)


@given(modes)
def test_every_mode_survives_its_three_forms(mode: int) -> None:
    permissions = Permissions.from_mode(mode)
    assert permissions.mode == mode
    assert Permissions.from_octal(permissions.to_octal()) == permissions
    assert Permissions.from_element(ElementTree.fromstring(permissions.to_xml())) == permissions


def test_the_document_lists_owner_group_other_each_with_use_manage_admin() -> None:
    element = ElementTree.fromstring(Permissions.from_octal("640").to_xml())
    assert element.tag == "PERMISSIONS"
    assert [child.tag for child in element] == list(ELEMENTS)
    assert "".join(child.text or "" for child in element) == "110100000"


def test_equal_permissions_are_one_object() -> None:
    assert Permissions.from_octal("600") is Permissions.from_mode(0o600)


@pytest.mark.parametrize("text", ["", "64", "6400", "8", "689", "-40", "6 0", "٦٤٠"])
def test_text_that_is_not_three_octal_digits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="three octal digits"):
        Permissions.from_octal(text)


@pytest.mark.parametrize("mode", [-1, 0o1000])
def test_a_mode_of_other_than_nine_bits_is_refused(mode: int) -> None:
    with pytest.raises(ValueError, match="between 000 and 777"):
        Permissions.from_mode(mode)


@pytest.mark.parametrize(
    ("umask", "admin", "other_allowed", "expected"),
    [
        (0o177, False, True, "600"),
        (0o177, True, True, "600"),
        (0o137, False, True, "640"),
        (0o113, False, True, "664"),
        (0o000, True, True, "777"),
        (0o000, True, False, "777"),
        (0o000, False, True, "666"),
        (0o000, False, False, "660"),
    ],
)
def test_a_umask_takes_bits_from_what_the_creator_may_give(
    umask: int, admin: bool, other_allowed: bool, expected: str
) -> None:
    permissions = Permissions.from_umask(umask, admin=admin, other_allowed=other_allowed)
    assert permissions.to_octal() == expected


@given(modes, st.sampled_from([Op.USE, Op.MANAGE, Op.ADMIN]), st.booleans(), st.booleans())
def test_any_class_a_caller_belongs_to_can_allow(mode: int, op: Op, is_owner: bool, in_group: bool) -> None:
    permissions = Permissions.from_mode(mode)
    letter = {Op.USE: "u", Op.MANAGE: "m", Op.ADMIN: "a"}[op]
    classes = ["other"] + ["group"] * in_group + ["owner"] * is_owner
    expected = any(getattr(permissions, f"{name}_{letter}") for name in classes)
    assert permissions.allows(op, is_owner=is_owner, in_group=in_group) is expected


@given(modes)
def test_bits_never_allow_creation(mode: int) -> None:
    assert not Permissions.from_mode(mode).allows(Op.CREATE, is_owner=True, in_group=True)


@given(modes, st.lists(st.sampled_from([-1, 0, 1]), min_size=9, max_size=9))
def test_a_change_sets_what_is_given_and_keeps_the_rest(mode: int, bits: list[int]) -> None:
    before = Permissions.from_mode(mode)
    after = before.changed(bits)
    for name, bit in zip(ELEMENTS, bits, strict=True):
        wanted = getattr(before, name.lower()) if bit == -1 else bit
        assert getattr(after, name.lower()) == wanted


@pytest.mark.parametrize("bits", [[2] + [0] * 8, [-2] + [0] * 8, [0] * 8, []])
def test_a_change_with_other_values_is_refused(bits: list[int]) -> None:
    with pytest.raises(ValueError, match="must be -1, 0 or 1"):
        Permissions.from_octal("600").changed(bits)


def test_types_are_consecutive_bits_in_the_order_of_the_original() -> None:
    assert [int(kind) for kind in ObjectType] == [1 << bit for bit in range(36, 56)]
    assert ObjectType.HOOK.name == "HOOK"
