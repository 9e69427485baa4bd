"""The positions of attributes in a configuration file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.daemon.config_syntax import Block, Pair, read
from merope.model.template import Template, TemplateError, Vector

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
quoted = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\\r', exclude_categories=["Cc", "Cs"])
).map(lambda text: '"' + text.replace("]]>", "") + '"')
plain = st.from_regex(r"[a-zA-Z0-9:/._-]+", fullmatch=True)
values = st.one_of(quoted, plain)
noise = st.sampled_from(["", " ", "\n", "\n\n", '# a comment = [ "\n', "\t"])
pairs = st.tuples(names, values).map(lambda pair: f"{pair[0]} = {pair[1]}")
blocks = st.tuples(names, st.lists(pairs, max_size=3), noise).map(
    lambda block: f"{block[0]} = [ " + f" ,{block[2]} ".join(block[1]) + " ]"
)
texts = st.lists(st.tuples(st.one_of(pairs, blocks), noise), max_size=6).map(
    lambda items: "\n".join(attribute + "\n" + between for attribute, between in items)
)


@given(texts)
def test_it_reads_what_the_template_language_reads(text: str) -> None:
    found = Template()
    for attribute in read(text):
        if isinstance(attribute, Pair):
            found.add(attribute.name, attribute.text)
        else:
            vector = Vector()
            for pair in attribute.pairs:
                vector.setdefault(pair.name, pair.text)
            found.add(attribute.name, vector)
    assert found == Template.parse(text)


@given(texts)
def test_an_attribute_stands_on_the_line_that_it_names(text: str) -> None:
    lines = text.upper().split("\n")
    for attribute in read(text):
        assert attribute.name in lines[attribute.line - 1]


def test_lines_count_through_quotes_comments_and_blocks() -> None:
    text = 'A = "one\ntwo"\n# B = 1\nC = [\n  D = 1,\n\n  E = "x" ]\r\nF = 2'
    assert read(text) == [
        Pair("A", "one\ntwo", 1),
        Block("C", 4, (Pair("D", "1", 5), Pair("E", "x", 7))),
        Pair("F", "2", 8),
    ]


def test_an_escaped_quote_is_a_quote() -> None:
    assert read(r'A = "say \"hi\""') == [Pair("A", 'say "hi"', 1)]


def test_text_that_is_not_well_formed_is_refused_with_its_place() -> None:
    with pytest.raises(TemplateError) as caught:
        read("A = 1\nB = [ C = ")
    assert caught.value.line == 2
