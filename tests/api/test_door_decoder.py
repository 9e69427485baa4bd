"""The two decoders mean the same, and refuse the rest by a fault, in bounded time."""

import time
import xmlrpc.client
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from merope.api.backend import Fault, FaultCode, Foreign, Value
from merope.api.strict import MOST_VALUES, decode_strictly
from merope.api.xmlrpc import decode, decode_fast

# Any character that XML 1.0 can hold, so without controls, surrogates and the two noncharacters.
xml_text = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\x7f\x85<>&\"']")
)
scalars = st.booleans() | st.integers(-(2**31), 2**31 - 1) | xml_text
method_names = st.from_regex(r"[A-Za-z0-9_.:/]+", fullmatch=True)
ORDINARY = b"""<?xml version='1.0'?>
<methodCall>
<methodName>one.vm.action</methodName>
<params>
<param>
<value><string>ann:secret</string></value>
</param>
<param>
<value><string>a &lt;b&gt; &amp; "c"</string></value>
</param>
<param>
<value><int>-7</int></value>
</param>
<param>
<value><boolean>1</boolean></value>
</param>
</params>
</methodCall>
"""


def python_call(method: str, *params: Any) -> bytes:
    return xmlrpc.client.dumps(params, method).encode()


def call_with(params: str) -> bytes:
    return f"<methodCall><methodName>m</methodName><params>{params}</params></methodCall>".encode()


def one_value(xml: str) -> Value:
    body = (
        f"<methodCall><methodName>m</methodName><params><param>{xml}</param></params></methodCall>".encode()
    )
    _, params = decode_strictly(body)
    assert decode_fast(body) in (None, ("m", params))
    assert len(params) == 1
    return params[0]


def fault_of(body: bytes) -> Fault:
    assert decode_fast(body) is None
    with pytest.raises(Fault) as caught:
        decode(body)
    return caught.value


@given(method_names, st.lists(scalars, max_size=8))
@example("one.vm.info", ["a:b", "\u2028 ]] > é 𝄞 \x85"])
def test_what_python_clients_send_is_read_by_the_patterns_and_by_the_parser_alike(
    method: str, params: list[Value]
) -> None:
    body = python_call(method, *params)
    # By their representations, since True == 1.
    assert repr(decode_strictly(body)) == repr((method, params))
    assert repr(decode_fast(body)) == repr((method, params))


@given(method_names, st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=12))
def test_arrays_are_read_as_lists(method: str, value: Value) -> None:
    assert repr(decode(python_call(method, value))) == repr((method, [value]))


@given(xml_text)
def test_a_text_sent_as_latin_1_arrives_as_it_was(text: str) -> None:
    plain = "".join(character for character in text if ord(character) < 256)
    body = xmlrpc.client.dumps((plain,), "m", encoding="iso-8859-1").encode("iso-8859-1")
    assert decode(body) == ("m", [plain])


@given(st.text(st.sampled_from("ab\r\n\t ")))
def test_line_ends_arrive_as_line_feeds_in_both_decoders(text: str) -> None:
    body = call_with(f"\r\n<param><value>{text}</value></param>")
    fast = decode_fast(body)
    assert fast is not None
    assert fast == decode_strictly(body)


def mutated(data: st.DataObject, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        cut = data.draw(st.integers(0, 6))
        changed[at : at + cut] = data.draw(
            st.binary(max_size=4)
            | st.sampled_from(
                [b"<", b"&", b"]]>", b"\xff", b"<value>", b"</param>", b"&#10;", b"<i4>", b"<!--", b"\0"]
            )
        )
    return bytes(changed)


@given(st.data())
@settings(max_examples=1000)
def test_a_damaged_call_is_decoded_alike_or_faulted_and_nothing_else(data: st.DataObject) -> None:
    body = mutated(data, ORDINARY)
    fast = decode_fast(body)
    try:
        strict = repr(decode_strictly(body))
    except Fault as fault:
        strict = f"fault {fault.code.name}"
    assert fast is None or repr(fast) == strict
    assert strict.startswith("(") or strict in ("fault PARSE", "fault LIMIT_EXCEEDED")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_a_fault(body: bytes) -> None:
    try:
        words = repr(decode(body))
    except Fault as fault:
        words = fault.text
    assert words.startswith(("('", "Call XML not a proper XML-RPC call.  "))


@pytest.mark.parametrize(
    ("xml", "value"),
    [
        ("<value>plain &amp; untyped</value>", "plain & untyped"),
        ("<value/>", ""),
        ("<value><string/></value>", ""),
        ("<value> <string> kept </string>\n</value>", " kept "),
        ("<value><string><![CDATA[<a>&]]></string></value>", "<a>&"),
        ("<value><string>&#65;&#x42;&#13;</string></value>", "AB\r"),
        ("<value><string>a<!-- not b -->c</string></value>", "ac"),
        ("<value><i4> +12 </i4></value>", 12),
        ("<value><i4>-2147483648</i4></value>", -(2**31)),
        ("<value><i8>9223372036854775807</i8></value>", 2**63 - 1),
        ("<value><i8>-123456789012</i8></value>", -123456789012),
        ("<value><boolean> 0 </boolean></value>", False),
        ("<value><array><data/></array></value>", []),
        ("<value><array><data><value><i4>1</i4></value><value>a</value></data></array></value>", [1, "a"]),
        ("<value><double>1.5</double></value>", Foreign("double", "1.5")),
        ("<value><nil/></value>", Foreign("nil")),
        ("<value><base64>YQ==</base64></value>", Foreign("base64", "YQ==")),
        (
            "<value><struct><member><name>a</name><value>b</value></member></struct></value>",
            Foreign("struct"),
        ),
    ],
)
def test_every_form_of_a_value_is_read(xml: str, value: Value) -> None:
    assert one_value(xml) == value
    assert type(one_value(xml)) is type(value)


def test_a_call_without_params_has_none() -> None:
    assert decode(b"<methodCall><methodName>one.zone.raftstatus</methodName></methodCall>") == (
        "one.zone.raftstatus",
        [],
    )


@pytest.mark.parametrize("encoding", ["UTF-8", "utf-8", "UTF-16", "US-ASCII", "ISO-8859-1"])
def test_these_encodings_are_read(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><methodCall><methodName>m</methodName></methodCall>"
    assert decode(text.encode(encoding)) == ("m", [])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Call is not valid XML.  no element found"),
        (b"hello", "Call is not valid XML.  syntax error"),
        (
            b"<methodCall><methodName>one.vm",
            "Call is not valid XML.  Invalid XML \"content\".  Problem with token at '...': no element found",
        ),
        (b"<methodCall><methodName>m</methodName></methodCall>x", "junk after document element"),
        (b"<methodCall>\xff</methodCall>", "not well-formed (invalid token)"),
        (b"<methodCall><methodName>a\x01</methodName></methodCall>", "not well-formed (invalid token)"),
        (b"<html/>", "<html> has no place as the outermost element."),
        (b"<methodCall/>", "<methodCall> must hold <methodName> or <methodName> <params>."),
        (b"<methodCall>x</methodCall>", "Text has no place inside <methodCall>."),
        (b"<?xml version='1.0' encoding='cp1252'?><methodCall/>", "Encoding 'cp1252' is not understood"),
    ],
)
def test_what_is_no_call_is_faulted_in_words(body: bytes, words: str) -> None:
    fault = fault_of(body)
    assert fault.code == FaultCode.PARSE
    assert fault.text.startswith("Call XML not a proper XML-RPC call.  ")
    assert words in fault.text


@pytest.mark.parametrize(
    "xml",
    [
        "<value><i4>x</i4></value>",
        "<value><i4>2147483648</i4></value>",
        "<value><i8>9223372036854775808</i8></value>",
        f"<value><i8>{'9' * 10000}</i8></value>",
        "<value><boolean>2</boolean></value>",
        "<value><boolean>true</boolean></value>",
        "<value><i4>1</i4><i4>2</i4></value>",
        "<value>a<i4>1</i4></value>",
        "<value><array/></value>",
        "<value><array><data/><data/></array></value>",
        "<value><float>1</float></value>",
        "<value><struct><member><value>a</value></member></struct></value>",
        "<i4>1</i4>",
        "<value>a</value><value>b</value>",
        "",
    ],
)
def test_what_is_no_value_is_faulted(xml: str) -> None:
    body = (
        f"<methodCall><methodName>m</methodName><params><param>{xml}</param></params></methodCall>".encode()
    )
    assert fault_of(body).code == FaultCode.PARSE


def test_a_fault_repeats_nothing_of_a_session_string() -> None:
    fault = fault_of(call_with("<param><value>oneadmin:se&cret</value></param>"))
    assert "cret" not in fault.text


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE a [<!ENTITY b "cccc"><!ENTITY d "&b;&b;&b;&b;">]>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd">',
        "<!DOCTYPE methodCall>",
    ],
)
def test_a_document_type_is_refused(doctype: str) -> None:
    body = f"<?xml version='1.0'?>{doctype}<methodCall><methodName>&d;</methodName></methodCall>".encode()
    assert "DOCTYPE" in fault_of(body).text


def test_arrays_inside_arrays_have_an_end() -> None:
    deep = "<array><data><value>" * 5000 + "</value></data></array>" * 5000
    assert fault_of(call_with(f"<param><value>{deep}</value></param>")).code == FaultCode.LIMIT_EXCEEDED


def test_the_number_of_values_has_a_limit() -> None:
    many = "<param><value/></param>" * (MOST_VALUES + 1)
    assert fault_of(call_with(many)).code == FaultCode.LIMIT_EXCEEDED


HEAD = b"<methodCall><methodName>m</methodName><params>"


@pytest.mark.parametrize(
    "unit",
    [
        b"<param><value><string>a</string></value></param>",
        b"<param>" + b" " * 40,
        b"<param><value>" + b"&" * 40,
        b"<param><value>" + b"&amp;" * 8,
        b"<param><value><i4>" + b"1" * 30,
        b"<!-- " + b"-" * 40,
        b"<![CDATA[" + b"]" * 40,
        b"<" * 40,
        b" " * 40,
    ],
    ids=[
        "params",
        "spaces in a param",
        "ampersands",
        "references",
        "digits",
        "a comment",
        "CDATA",
        "<",
        "spaces",
    ],
)
def test_a_hostile_call_of_a_megabyte_takes_linear_time(unit: bytes) -> None:
    def seconds(size: int) -> float:
        body = HEAD + unit * (size // len(unit))
        began = time.process_time()
        with pytest.raises(Fault):
            decode(body)
        return time.process_time() - began

    small, large = min(seconds(125_000) for _ in range(3)), seconds(1_000_000)
    assert large < 0.02 + 24 * small, "eight times the size may take eight times as long, and some noise"
