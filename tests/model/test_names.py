"""What objects, users and passwords may be called."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model.names import name_fault, password_fault, user_name_fault

INVALID = "&|:\\\";/'#{}$<>"


@pytest.mark.parametrize("char", INVALID)
def test_a_reserved_character_is_refused_by_name(char: str) -> None:
    assert name_fault(f"web{char}1") == f"Invalid NAME, char '{char}' is not allowed"
    assert user_name_fault(f"ann{char}") == f"Invalid NAME, char '{char}' is not allowed"


@pytest.mark.parametrize(
    ("char", "shown"), [("\0", "\\x00"), ("\x0b", "\\x0b"), ("\r", "\\r"), ("\ud800", "\\ud800")]
)
def test_what_a_document_cannot_carry_is_refused_and_shown_escaped(char: str, shown: str) -> None:
    assert name_fault(f"web{char}") == f"Invalid NAME, char '{shown}' is not allowed"


def test_an_empty_name_is_refused() -> None:
    assert name_fault("") == "Invalid NAME, it cannot be empty"


def test_a_name_may_have_128_characters_and_no_more() -> None:
    assert name_fault("ñ" * 128) is None
    assert name_fault("n" * 129) == "Invalid NAME, max length is 128 chars"


@pytest.mark.parametrize(
    "name", ["web 1", "tty-linux_2.0", "café", "a@b", "50%", "(copy)", "[x]", "a=b", "~!^*+?,`"]
)
def test_other_characters_are_fine_in_a_name(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize("name", ["ann smith", "ann\t", "\nann"])
def test_a_user_name_has_no_white_space(name: str) -> None:
    assert name_fault(name) is None
    assert user_name_fault(name) is not None


@given(st.text())
def test_an_accepted_name_comes_back_from_a_document_as_it_was(name: str) -> None:
    if name_fault(name) is None:
        assert ElementTree.fromstring(f"<NAME>{name}</NAME>").text == name


@given(st.text())
def test_an_accepted_user_name_is_the_first_part_of_its_session(name: str) -> None:
    if user_name_fault(name) is None:
        assert name_fault(name) is None
        assert f"{name}:secret".partition(":")[0] == name
        assert name.split() == [name] or not name.isascii()


def test_an_empty_password_is_refused() -> None:
    assert password_fault("") == "Invalid password, it cannot be empty"


@pytest.mark.parametrize("password", ["two words", "tab\t", "line\n", "nul\0"])
def test_a_password_with_white_space_is_refused_without_showing_any_of_it(password: str) -> None:
    fault = password_fault(password)
    assert fault == "Invalid password, white space and control characters are not allowed"


def test_a_password_may_have_what_a_name_may_not() -> None:
    assert password_fault(INVALID) is None
