"""Readers of words: ids and ranges, sizes, permissions, and the numbers of tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.cli import formats, states, values
from merope.cli.errors import UsageError
from merope.cli.filters import Condition, matches, parse_filter

_ids = st.lists(st.integers(0, 10**6), min_size=1, max_size=20)


@given(_ids)
def test_a_list_of_ids_is_read_in_its_order(ids: list[int]) -> None:
    assert values.id_list(",".join(map(str, ids))) == ids


@given(st.integers(0, 10**6), st.integers(0, 50))
def test_a_range_has_both_its_ends(first: int, more: int) -> None:
    assert values.id_list(f"{first}..{first + more}") == list(range(first, first + more + 1))


def test_ranges_ids_and_names_can_be_mixed() -> None:
    assert values.id_list("0..2,7,web,5..5") == [0, 1, 2, 7, "web", 5]


@pytest.mark.parametrize("text", ["", "1,,2", "5..3", "0..99999999", ","])
def test_what_is_no_list_of_ids_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|range"):
        values.id_list(text)


@given(st.text())
def test_no_text_crashes_the_reader_of_ids(text: str) -> None:
    try:
        result = values.id_list(text)
    except ValueError:
        return
    assert len(result) >= 1


def test_other_scripts_digits_are_a_name() -> None:
    assert values.id_or_name("٣") == "٣"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("128M", 128),
        ("128m", 128),
        ("2G", 2048),
        ("1.5g", 1536),
        ("1T", 1048576),
        ("2048K", 2),
        ("1GB", 1024),
    ],
)
def test_a_size_is_megabytes(text: str, size: int) -> None:
    assert values.megabytes(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5", "1K", "12X", "one", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|whole"):
        values.megabytes(text)


@pytest.mark.parametrize(
    ("text", "bits"),
    [("640", [1, 1, 0, 1, 0, 0, 0, 0, 0]), ("777", [1] * 9), ("001", [0] * 8 + [1])],
)
def test_three_octal_digits_are_nine_bits(text: str, bits: list[int]) -> None:
    assert values.octet(text) == bits


@pytest.mark.parametrize("text", ["abc", "64", "0640", "888", ""])
def test_what_is_no_octet_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="octal"):
        values.octet(text)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "M", "0M"), (0, "K", "0K"), (1024, "M", "1024M"), (1025, "M", "1G"), (258020, "M", "252G"),
        (4796800, "M", "4.6T"), (9720, "M", "9.5G"), (1677721, "K", "1.6G"),
        (262144, "K", "256M"), (10, "B", "10B"),
    ],
)  # fmt: skip
def test_a_size_is_shown_as_5_12_shows_it(value: float, unit: str, shown: str) -> None:
    assert formats.size(value, unit) == shown


@given(st.floats(0, 2**40), st.sampled_from("BKMG"))
def test_a_shown_size_is_the_size_to_a_twentieth(value: float, unit: str) -> None:
    shown = formats.size(value, unit)
    exact = value * 1024 ** "BKMGTPE".index(unit)
    back = float(shown[:-1]) * 1024 ** "BKMGTPE".index(shown[-1])
    # One decimal of the unit shown, above 1024 of the unit below.
    assert abs(back - exact) <= 0.0501 * 1024 ** "BKMGTPE".index(shown[-1])


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "  0d 00h00m"), (-5, "  0d 00h00m"), (3661, "  0d 01h01m"), (90000, "  1d 01h00m")],
)
def test_a_duration_is_days_hours_and_minutes(seconds: int, shown: str) -> None:
    assert formats.duration(seconds) == shown


def test_a_clock_is_hours_minutes_and_seconds() -> None:
    assert formats.clock(3661) == "  1h01m01s"


@pytest.mark.parametrize("text", [None, "", "x", "nan", "inf"])
def test_what_is_no_number_counts_as_nothing(text: str | None) -> None:
    assert formats.number(text) == 0


def test_an_active_machine_shows_its_life_cycle_state() -> None:
    assert states.virtual_machine("3", "3") == "runn"
    assert states.virtual_machine("8", "0") == "poff"


def test_there_is_a_word_for_every_state_that_the_model_has() -> None:
    from merope.model.states import DatastoreType, HostState, ImageState, ImageType, LcmState, VmState

    for words, kind in (
        (states.VM, VmState), (states.LCM, LcmState), (states.IMAGE, ImageState),
        (states.IMAGE_TYPE, ImageType),
        (states.HOST, HostState), (states.DATASTORE_TYPE, DatastoreType),
    ):  # fmt: skip
        assert len(words) == max(kind) + 1


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("STAT=runn", [("STAT", "=", "runn")]),
        ("stat!=runn,CPU>1", [("STAT", "!=", "runn"), ("CPU", ">", "1")]),
        ("IP=10.0.0.1,10.0.0.2", [("IP", "=", "10.0.0.1,10.0.0.2")]),
        ("NAME=a=b", [("NAME", "=", "a=b")]),
        ("HOST=", [("HOST", "=", "")]),
    ],
)
def test_a_filter_is_columns_operators_and_values(text: str, conditions: list[tuple[str, str, str]]) -> None:
    assert parse_filter(text) == conditions


@pytest.mark.parametrize("text", ["", "STAT", "=x", "web,STAT=runn"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="filter"):
        parse_filter(text)


@given(st.text())
def test_no_text_crashes_the_reader_of_filters(text: str) -> None:
    try:
        conditions = parse_filter(text)
    except UsageError:
        return
    assert all(c.operator in ("=", "!=", ">", "<") for c in conditions)


@pytest.mark.parametrize(
    ("operator", "cell", "value", "holds"),
    [
        (">", "1.5G", "900M", True),
        ("<", "28%", "100%", True),
        (">", "9", "10", False),
        (">", "b", "a", True),
        ("=", "  web ", "web", True),
        ("!=", "web", "db", True),
    ],
)
def test_comparisons_know_numbers_and_sizes(operator: str, cell: str, value: str, holds: bool) -> None:
    assert Condition("X", operator, value).holds(cell) is holds


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_greater_less_and_equal_exclude_each_other(left: int, right: int) -> None:
    results = [Condition("X", op, str(right)).holds(str(left)) for op in ("<", "=", ">")]
    assert sum(results) == 1


def test_or_wants_one_condition_and_wants_all() -> None:
    conditions = parse_filter("STAT=runn,CPU>1")
    assert not matches(conditions, {"STAT": "runn", "CPU": "1"})
    assert matches(conditions, {"STAT": "runn", "CPU": "1"}, "OR")
