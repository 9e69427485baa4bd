"""The template language: what it reads, what it refuses, and what it writes."""

import re
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model.template import Template, TemplateError, Value, Vector, restricted_attribute

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "examples"

names = st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,8}\Z")
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
    | st.sampled_from('\n\t"\\[]=,#< >&')
).filter(lambda t: "]]>" not in t and not t.endswith("\\"))
vectors = st.dictionaries(names, texts, min_size=1, max_size=4).map(Vector)
templates = st.lists(st.tuples(names, texts | vectors), max_size=8).map(Template)


def parse_error(text: str) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("A=b", [("A", "b")]),
        ("a = b", [("A", "b")]),
        ('A="b c"', [("A", "b c")]),
        ('A="b\nc"', [("A", "b\nc")]),
        (r'A="say \"x\""', [("A", 'say "x"')]),
        (r'A="C:\dir\n"', [("A", r"C:\dir\n")]),
        (r'A="\\"x"', [("A", '\\"x')]),
        ('A=""', [("A", "")]),
        ("A=\nB=c", [("A", ""), ("B", "c")]),
        ("A=b C=d", [("A", "b"), ("C", "d")]),
        ("A\n=\tb", [("A", "b")]),
        ("  # a comment\nA=b# another\n#last", [("A", "b")]),
        ('A="#x"', [("A", "#x")]),
        ("A=[]", [("A", Vector())]),
        ("A=[\n]", [("A", Vector())]),
        ('A=[k=v,L="w"]', [("A", Vector(K="v", L="w"))]),
        ('A = [ # why\n K = v ,\n\n # more\n L="]" \n ]\nB=c', [("A", Vector(K="v", L="]")), ("B", "c")]),
        ("A=[K=v]B=c", [("A", Vector(K="v")), ("B", "c")]),
        ("A=[K=first,K=second]", [("A", Vector(K="first"))]),
        ("A=1\nB=x\nA=2", [("A", "1"), ("A", "2"), ("B", "x")]),
        ("", []),
        (" \n# nothing\n", []),
        ('A="x"\r\nB=[ K=v,\r\n L=w ]\r\nC=\r\n', [("A", "x"), ("B", Vector(K="v", L="w")), ("C", "")]),
        ('A="one\r\ntwo"', [("A", "one\ntwo")]),
        ("A=Grüße", [("A", "Grüße")]),
    ],
)
def test_the_text_form_reads(text: str, items: list[tuple[str, Value]]) -> None:
    assert list(Template.parse(text).items()) == items


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("<TEMPLATE/>", []),
        ("<ANY><a>b</a></ANY>", [("A", "b")]),
        ("<T><A><![CDATA[x < y & z]]></A></T>", [("A", "x < y & z")]),
        ("<T><A>&lt;&#10;</A></T>", [("A", "<\n")]),
        ("<T><A>1&#13;&#10;2&#13;3</A></T>", [("A", "1\n2\n3")]),
        ("<T><A/></T>", [("A", "")]),
        ("<T>\n <V>\n <k>1</k> <L/></V>\n</T>", [("V", Vector(K="1", L=""))]),
        ("<T><A>2</A><B/><A>1</A></T>", [("A", "2"), ("A", "1"), ("B", "")]),
        ('<?xml version="1.0" encoding="UTF-16"?><T><A>ü</A></T>', [("A", "ü")]),
        ("<T xmlns='http://example.org'><A>1</A></T>", [("A", "1")]),
        ("<T><A><![CDATA[<!DOCTYPE html>]]></A></T>", [("A", "<!DOCTYPE html>")]),
    ],
)
def test_the_xml_form_reads(text: str, items: list[tuple[str, Value]]) -> None:
    assert list(Template.parse(text).items()) == items


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("A", "unexpected end of file, expecting EQUAL at line 1, columns 2:2"),
        ("A B=5", "unexpected VARIABLE, expecting EQUAL at line 1, columns 3:4"),
        ("A=", "unexpected end of file, expecting STRING or OBRACKET at line 1, columns 3:3"),
        ("A=,", "unexpected COMMA, expecting STRING or OBRACKET at line 1, columns 3:4"),
        ("A=b\nC = = d", "unexpected EQUAL, expecting STRING or OBRACKET at line 2, columns 5:6"),
        ("A=5, B=6", "unexpected COMMA, expecting VARIABLE or end of file at line 1, columns 4:5"),
        ("A=[K=v", "unexpected end of file, expecting COMMA or CBRACKET at line 1, columns 7:7"),
        ("A=[K=v,]", "unexpected CBRACKET, expecting VARIABLE at line 1, columns 8:9"),
        ("A=[,]", "unexpected COMMA, expecting VARIABLE or CBRACKET at line 1, columns 4:5"),
        ("A=[K=v LONG=w]", "unexpected VARIABLE, expecting COMMA or CBRACKET at line 1, columns 8:12"),
        ("A=[K=\nv]", "unexpected EQUAL_EMPTY, expecting STRING at line 1, columns 6:7"),
        ("A=[K=[]]", "unexpected OBRACKET, expecting STRING at line 1, columns 6:7"),
        ("A=[ K ]", "unexpected CBRACKET, expecting EQUAL at line 1, columns 7:8"),
        ("\n\n-", "unexpected character '-', expecting VARIABLE or end of file at line 3, columns 1:2"),
        ('A="x', "the quotes of the value of A do not end with it at line 1, columns 3:4"),
        ('A="x"y', "the quotes of the value of A do not end with it at line 1, columns 3:4"),
        ("A=[K=v,9L=w]", "the name 9L begins with a digit at line 1, columns 8:10"),
        ('\nA="a ]]> b"', 'the value of A has "]]>" at line 2, columns 3:12'),
        ('A="b\x07"', "character U+0007 cannot be stored at line 1, columns 5:6"),
        ('A="\ud800"', "character U+D800 cannot be stored at line 1, columns 4:5"),
    ],
)
def test_an_error_names_what_and_where(text: str, what: str) -> None:
    assert str(parse_error(text)) == f"Parse error: syntax error, {what}"


def test_an_error_carries_line_and_column() -> None:
    error = parse_error("A=1\nB=2\n  ,")
    assert (error.line, error.column) == (3, 3)


@pytest.mark.parametrize(
    "text",
    [
        "<",
        "<A>",
        "<A></B>",
        "<A/><B/>",
        "<A>&nbsp;</A>",
        "<A>\x01</A>",
        "<A>&#1;</A>",
        "<A>\udc00</A>",
        "< A/>",
    ],
)
def test_malformed_xml_is_refused(text: str) -> None:
    assert str(parse_error(text)) == "Parse error: XML Template malformed."


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE A><A/>",
        '<?xml version="1.0"?><!-- <A> --><!DOCTYPE A [<!ENTITY e "ha">]><A><B>&e;</B></A>',
        '<!DOCTYPE A SYSTEM "file:///etc/passwd"><A/>',
    ],
)
def test_a_doctype_is_refused(text: str) -> None:
    assert "A DOCTYPE is not accepted" in str(parse_error(text))


def test_xml_that_spells_the_end_of_a_cdata_section_is_refused() -> None:
    assert 'The value of B has "]]>"' in str(parse_error("<A><B><K>]]&gt;</K></B></A>"))


def test_xml_is_one_line_sorted_and_in_cdata() -> None:
    template = Template.parse('B="2"\nA=[Y="<",X="1"]\nB="1"\nA=[Z=""]')
    assert template.to_xml() == (
        "<TEMPLATE><A><X><![CDATA[1]]></X><Y><![CDATA[<]]></Y></A><A><Z><![CDATA[]]></Z></A>"
        "<B><![CDATA[2]]></B><B><![CDATA[1]]></B></TEMPLATE>"
    )


def test_an_empty_template_is_an_empty_element() -> None:
    assert Template().to_xml("USER_TEMPLATE") == "<USER_TEMPLATE/>"


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="../shared/examples is not there")
@pytest.mark.parametrize("name", ["template", "vm-held", "host", "image", "vnet", "user", "datastore-system"])
def test_recorded_templates_are_written_as_they_were_read(name: str) -> None:
    wire = re.sub(r">\s+<", "><", (EXAMPLES / f"{name}.xml").read_text().strip())
    element = ElementTree.fromstring(wire).find("TEMPLATE")
    assert element is not None
    recorded = wire[wire.index("<TEMPLATE>") : wire.index("</TEMPLATE>") + len("</TEMPLATE>")]
    assert Template.from_element(element).to_xml() == recorded


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="../shared/examples is not there")
def test_the_text_is_what_the_command_line_prints() -> None:
    shown = (EXAMPLES / "cli.txt").read_text().split("$ onetemplate show 0")[1]
    shown = shown.split("TEMPLATE CONTENTS")[1].split("\n", 1)[1].split("\n\n")[0]
    element = ElementTree.parse(EXAMPLES / "template.xml").getroot().find("TEMPLATE")
    assert element is not None
    assert Template.from_element(element).to_text() == shown + "\n"


@given(templates)
def test_text_and_xml_give_the_same_template_back(template: Template) -> None:
    assert Template.parse(template.to_text()) == template
    assert Template.parse(template.to_xml()) == template
    assert Template.parse(template.to_text()).to_xml() == template.to_xml()


_WORDS = st.sampled_from(
    [
        "A",
        "B1",
        '\\"',
        "\\",
        "_",
        '="x"',
        '="',
        '"',
        "=y",
        " = ",
        "=[",
        '=[A="1"',
        ",",
        "]",
        '="]"',
        "\n",
        "b",
        "2",
    ]
)


@given(st.lists(_WORDS, max_size=14).map("".join))
def test_what_programs_write_is_read_as_what_people_write(text: str) -> None:
    # The comment makes it a text that is read by the complete expression.
    try:
        expected = Template.parse(f"#\n{text}")
    except TemplateError:
        parse_error(text)
        return
    assert Template.parse(text) == expected


@given(st.text(st.sampled_from('AB1 =,[]"\\#\n\t-<>&;\r\x00é') | st.characters(), max_size=40))
def test_any_text_is_a_template_that_can_be_stored_or_a_template_error(text: str) -> None:
    try:
        template = Template.parse(text)
    except TemplateError:
        return
    for name, value in list(template.items()):
        if not value:
            template.set(name, "x")  # an empty vector and an empty value look the same in XML
    assert Template.parse(template.to_xml()) == template


@pytest.mark.parametrize("text", ["a\\", "C:\\", "\\"])
def test_a_last_backslash_survives_the_text_form(text: str) -> None:
    assert Template.parse(Template([("A", text), ("B", 'x"y')]).to_text()).get("A") == text


@given(st.text(st.characters(), max_size=20))
def test_whatever_the_program_puts_in_the_document_is_readable(text: str) -> None:
    template = Template([("ERROR", text), ("V", Vector(K=text))])
    read = Template.parse(template.to_xml().replace("]]]]><![CDATA[>", ""))
    assert read.names() == ["ERROR", "V"]


def test_a_programs_cdata_end_is_kept() -> None:
    element = ElementTree.fromstring(Template([("A", "x]]>y]]>")]).to_xml())
    assert Template.from_element(element).get("A") == "x]]>y]]>"


MB = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "a" * MB,
        " " * MB + "-",
        "a " * (MB // 2),
        "a" + " " * MB,
        'A="' * (MB // 3),
        'A="\\' * (MB // 4),
        'A="' + '\\"' * (MB // 2),
        'A="' + "\\" * MB,
        "A=[" * (MB // 3),
        "A=[B=" + "c" * MB,
        "A=[" + "B=c," * (MB // 4),
        "A=[" + 'B="",' * (MB // 5),
        "#" * MB,
        "#\n" * (MB // 2) + "A",
        "\n" * MB + "A",
        "A=" + "\t" * MB,
        "=" * MB,
        "]]>" * (MB // 3),
        "<A>" * (MB // 3),
        "<A><B>" + "<C>" * (MB // 3),
        "<!DOCTYPE" * (MB // 9),
    ],
    ids=lambda text: repr(text[:8]),
)
def test_a_megabyte_of_hostile_text_is_refused_in_bounded_time(text: str) -> None:
    start = time.process_time()
    if text.startswith("#") and not text.endswith("A"):
        assert not Template.parse(text)
    else:
        parse_error(text)
    # Linear is below 0.3 s on a slow machine; one quadratic step would take minutes.
    assert time.process_time() - start < 5


def test_an_attribute_is_read_in_its_type() -> None:
    template = Template.parse("I=-4 F=1.5 Y=yes N=1 V=[K=x] V=plain E=\n")
    assert template.get_int("I") == -4
    assert template.get_int("NONE") is None
    assert template.get_int("NONE", 3) == 3
    assert template.get_float("F") == 1.5
    assert template.get_bool("Y") is True
    assert template.get_bool("N", default=True) is False
    assert template.get_bool("NONE", default=True) is True
    assert template.get("V") == "plain"
    assert template.get("E", "default") == ""
    assert template.vector("V") == {"K": "x"}
    assert template.vector("I") is None


@pytest.mark.parametrize("text", ["x", "", "1_0", "0x10", "1.5"])
def test_what_is_no_integer_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f'VCPU must be an integer, not "{text}"')):
        Template([("VCPU", text)]).get_int("VCPU")


@pytest.mark.parametrize("text", ["x", "", "1_0.5", "nan", "inf", "1e999"])
def test_what_is_no_finite_number_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f'CPU must be a number, not "{text}"')):
        Template([("CPU", text)]).get_float("CPU")


def test_set_replaces_add_appends_remove_returns() -> None:
    template = Template([("a", "1"), ("A", "2")])
    assert template.values("A") == ["1", "2"]
    template.set("a", "3")
    template.add("A", Vector(K="v"))
    assert template.remove("A") == ["3", {"K": "v"}]
    assert template.remove("A") == []
    assert not template


def test_merge_replaces_all_of_a_name_and_keeps_the_rest() -> None:
    old = Template.parse("A=1 A=2 B=x D=[K=old]")
    new = Template.parse("A=3 C=y D=[L=new]")
    old.merge(new)
    assert old == Template.parse("A=3 B=x C=y D=[L=new]")
    old.vectors("D")[0]["L"] = "changed"
    assert new.vectors("D") == [{"L": "new"}]


def test_a_copy_shares_nothing() -> None:
    one = Template.parse("A=1 V=[K=v]")
    two = one.copy()
    two.add("A", "2")
    two.vectors("V")[0]["K"] = "w"
    assert one == Template.parse("A=1 V=[K=v]")


def test_length_counts_every_attribute() -> None:
    assert len(Template.parse("A=1 A=2 V=[K=1,L=2]")) == 3


RESTRICTED = ["CONTEXT/FILES", "NIC/MAC", "RAW"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CPU=1 NIC=[IP=x]", None),
        ("NIC=[IP=x] NIC=[MAC=y]", "NIC/MAC"),
        ("RAW=[]", "RAW"),
        ("RAW=x", "RAW"),
        ("CONTEXT=[FILES=/etc/passwd]", "CONTEXT/FILES"),
    ],
)
def test_without_a_base_any_restricted_attribute_is_found(text: str, found: str | None) -> None:
    assert restricted_attribute(Template.parse(text), RESTRICTED) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("NIC=[MAC=b] NIC=[MAC=a,IP=i] RAW=r", None),
        ("CPU=1", None),
        ("NIC=[MAC=a] NIC=[IP=i]", "NIC/MAC"),
        ("NIC=[MAC=a] NIC=[MAC=c]", "NIC/MAC"),
        ("NIC=[MAC=a] NIC=[MAC=b] NIC=[MAC=b]", "NIC/MAC"),
        ("RAW=s", "RAW"),
        ("CONTEXT=[FILES=x]", "CONTEXT/FILES"),
    ],
)
def test_with_a_base_restricted_values_must_stay(text: str, found: str | None) -> None:
    base = Template.parse("NIC=[MAC=a] NIC=[MAC=b] RAW=r")
    assert restricted_attribute(Template.parse(text), RESTRICTED, base) == found


def test_a_restricted_attribute_that_is_left_out_comes_back_from_the_base() -> None:
    base = Template.parse("RAW=[DATA=x] RAW=[DATA=y] CPU=1")
    template = Template.parse("CPU=2")
    assert restricted_attribute(template, ["RAW"], base) is None
    assert template == Template.parse("CPU=2 RAW=[DATA=x] RAW=[DATA=y]")
    template.vectors("RAW")[0]["DATA"] = "changed"
    assert base.vectors("RAW")[0] == {"DATA": "x"}
