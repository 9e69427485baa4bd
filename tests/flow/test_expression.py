"""Expressions of elasticity policies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.flow.expression import ExpressionError, parse

ATTRIBUTES = {"ATT": 60.0, "OTHER_ATT": 5.5, "ABC": 40.0}


def value(text: str) -> bool | None:
    return parse(text).evaluate(ATTRIBUTES.get).value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ATT > 50", True),
        ("ATT<50", False),
        ("ATT >= 60", True),
        ("ATT <= 59.9", False),
        ("ATT = 60", True),
        ("ATT == 60", True),
        ("ATT != 60", False),
        ("ATT > -1", True),
        ("!(ATT > 50)", False),
        ("!ATT > 50", False),
        ("ATT > 50 & ABC > 50", False),
        ("ATT > 50 | ABC > 50", True),
        ("ATT > 50 && ABC > 30 || ABC < 0", True),
        ("ABC < 0 || ATT > 50 && ABC < 30", False),
        ("(ABC < 0 || ATT > 50) && ABC > 30", True),
        ("(ATT > 50) && !(OTHER_ATT = 5.5 || ABC <= 30)", False),
        ("NONE > 1", None),
        ("!(NONE > 1)", None),
        ("NONE > 1 | ATT > 50", True),
        ("NONE > 1 & ATT > 50", None),
        ("NONE > 1 & ATT < 50", False),
    ],
)
def test_an_expression_has_a_value(text: str, expected: bool | None) -> None:
    assert value(text) is expected


def test_it_shows_the_averages_that_were_used() -> None:
    assert parse("ATT > 50 && NONE < 1").evaluate(ATTRIBUTES.get).shown == "(ATT[60] > 50 && NONE[--] < 1)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the name of an attribute is expected, not the end"),
        ("ATT", "one of = == != < > <= >= is expected"),
        ("ATT >", "a number is expected, not the end"),
        ("ATT > high", "a number is expected, not 'high'"),
        ("50 < ATT", "the name of an attribute is expected, not '50'"),
        ("(ATT > 1", "a closing parenthesis is expected"),
        ("ATT > 1 ABC > 2", "&&, || or the end is expected, not 'ABC' \\(position 9\\)"),
        ("ATT > 1 %", "'%' is not understood \\(position 8\\)"),
        ("(" * 60 + "ATT > 1" + ")" * 60, "nested more than 50 deep"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_place(text: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        parse(text)


@given(st.text(alphabet="AB01 .<>=!&|()", max_size=40))
def test_any_text_is_an_expression_or_is_refused(text: str) -> None:
    try:
        made = parse(text)
    except ExpressionError:
        return
    assert made.evaluate(lambda _: 1.0).value in (True, False)
