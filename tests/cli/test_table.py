"""The table engine and the documents' other forms."""

import csv
import io
import json
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from merope.cli import output, table
from merope.cli.declare import Column, column
from merope.cli.errors import UsageError
from merope.cli.table import Style
from merope.cli.view import text


def _columns(*layouts: str) -> list[Column]:
    return [column(layout, "", text("")) for layout in layouts]


def test_cells_are_cut_and_aligned_and_the_heading_keeps_its_width() -> None:
    lines = table.lines(_columns("ID:4R", "NAME:5L"), [["7", "toolong"], ["12345", "a"]])
    assert lines == ["  ID NAME ", "   7 toolo", "1234 a"]


def test_a_column_that_adjusts_is_as_wide_as_its_content() -> None:
    assert table.lines(_columns("ID:4R~"), [["123456"], ["1"]]) == ["    ID", "123456", "     1"]


def test_a_column_that_is_whole_is_never_cut() -> None:
    assert table.lines(_columns("IP:3L!"), [["10.0.0.1"]])[1] == "10.0.0.1"


def test_expanding_columns_share_the_free_width_of_the_terminal() -> None:
    lines = table.lines(_columns("A:2L+", "B:2L+", "C:2R"), [["a", "b", "c"]], Style(width=17))
    assert lines == ["A       B       C", "a       b       c"]


def test_nothing_expands_without_a_terminal() -> None:
    assert table.lines(_columns("A:2L+"), [["abc"]]) == ["A ", "ab"]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5), st.integers(0, 60))
def test_no_line_is_wider_than_its_heading(rows: list[tuple[str, str]], width: int) -> None:
    lines = table.lines(_columns("A:5R", "B:5L+"), rows, Style(width=width))
    assert all(len(line) <= len(lines[0]) for line in lines)


@given(st.text())
def test_no_cell_reaches_the_terminal_with_control_characters(cell: str) -> None:
    line = table.lines(_columns("A:500L"), [[cell]])[1]
    assert line.isprintable()


def test_shares_divide_the_free_width() -> None:
    columns = table.share_width(_columns("A:2L", "B:2L", "C:2L"), {"A": 3.0, "B": 1.0}, 28)
    assert [c.size for c in columns] == [17, 7, 2]


def test_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="no column X; there are A, B"):
        table.share_width(_columns("A:2L", "B:2L"), {"X": 1.0}, 20)


def test_colours_come_with_a_terminal_only() -> None:
    columns = _columns("STAT:4L")
    assert "\x1b" not in "".join(table.lines(columns, [["err"]], Style(colour=False)))
    assert table.lines(columns, [["err"], ["xyz"]], Style(colour=True))[1:] == ["\x1b[31merr\x1b[0m", "xyz"]


_cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(st.lists(st.tuples(_cell, _cell), min_size=1, max_size=5), st.sampled_from(",;\t"))
def test_csv_can_be_read_back(rows: list[tuple[str, str]], separator: str) -> None:
    lines = table.csv(_columns("A:1L", "B:1L"), rows, separator, header=True)
    read = list(csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=separator))
    assert read == [["A", "B"], *map(list, rows)]


DOCUMENT = "<VM_POOL><VM><ID>0</ID><T><A><![CDATA[x<y]]></A><A>2</A><E/></T></VM></VM_POOL>"


def test_a_document_is_indented_and_otherwise_unchanged() -> None:
    assert output.pretty_xml(DOCUMENT) == (
        "<VM_POOL>\n  <VM>\n    <ID>0</ID>\n    <T>\n      <A><![CDATA[x<y]]></A>\n"
        "      <A>2</A>\n      <E/>\n    </T>\n  </VM>\n</VM_POOL>"
    )


_name = st.from_regex(r"[A-Z][A-Z_]{0,5}", fullmatch=True)
_document = st.recursive(
    st.tuples(_name, st.text("ab <&>\n\"'", max_size=6)),
    lambda inner: st.tuples(_name, st.lists(inner, min_size=1, max_size=4)),
    max_leaves=12,
)


def _element(tree: object) -> ElementTree.Element:
    assert isinstance(tree, tuple)
    name, content = tree
    element = ElementTree.Element(name)
    if isinstance(content, str):
        element.text = content
    else:
        element.extend(_element(c) for c in content)
    return element


@given(_document)
def test_indenting_keeps_every_text(tree: object) -> None:
    document = ElementTree.tostring(_element(tree), encoding="unicode")
    before, after = ElementTree.fromstring(document), ElementTree.fromstring(output.pretty_xml(document))
    leaves = [[(e.tag, e.text or "") for e in root.iter() if not len(e)] for root in (before, after)]
    assert leaves[0] == leaves[1]


@given(_document)
def test_json_and_yaml_say_the_same(tree: object) -> None:
    element = _element(tree)
    assert yaml.safe_load(output.to_yaml(element)) == json.loads(output.to_json(element))


@pytest.mark.parametrize("members", [0, 1, 2])
def test_the_members_of_a_pool_are_always_a_list(members: int) -> None:
    pool = ElementTree.fromstring(f"<VM_POOL>{'<VM><ID>1</ID></VM>' * members}</VM_POOL>")
    assert json.loads(output.to_json(pool)) == {"VM_POOL": {"VM": [{"ID": "1"}] * members}}


def test_an_object_is_text_object_or_list() -> None:
    vm = ElementTree.fromstring("<VM><ID>0</ID><EMPTY/><D><N>1</N></D><D><N>2</N></D></VM>")
    assert output.plain(vm) == {"VM": {"ID": "0", "EMPTY": {}, "D": [{"N": "1"}, {"N": "2"}]}}
