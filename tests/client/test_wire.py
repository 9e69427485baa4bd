"""Calls as bytes and answers as values, against what goes over the wire (recorded in examples/wire.txt)."""

import re
import xmlrpc.client
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.client.errors import BadAnswer, ClientError, Fault
from merope.client.kinds import Filter
from merope.client.wire import decode_answer, encode_call

WIRE = Path(__file__).parents[3] / "shared" / "examples" / "wire.txt"

_xml_text = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r&<>]\"'")
)
_argument = st.recursive(
    st.booleans() | st.integers(-(2**31), 2**31 - 1) | _xml_text, lambda inner: st.lists(inner, max_size=3)
)


def _exchange(title: str) -> tuple[bytes, bytes]:
    if not WIRE.exists():
        pytest.skip(f"{WIRE} is absent: the recorded exchanges stand beside the repository")
    _, found, rest = WIRE.read_text().partition(f"=== {title}\n> ")
    assert found, title
    request, _, rest = rest.partition("\n")
    head, _, rest = rest.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 OK")
    return request.encode(), rest.partition("\n[connection")[0].encode()


@given(st.lists(_argument, max_size=5))
def test_what_is_encoded_means_the_same_to_the_standard_library(arguments: list[object]) -> None:
    body = encode_call("one.vm.info", arguments)  # type: ignore[arg-type]
    decoded, method = xmlrpc.client.loads(body)
    assert method == "one.vm.info"
    assert list(decoded) == arguments


@given(st.lists(_argument, min_size=1, max_size=4))
def test_what_the_standard_library_answers_is_decoded_as_it_was_meant(values: list[object]) -> None:
    # Its own encoding of a carriage return does not survive XML.
    clean = _without_cr(values)
    body = xmlrpc.client.dumps((clean,), methodresponse=True).encode()
    assert decode_answer(body) == clean


def _without_cr(value: list[object]) -> list[object]:
    def clean(item: object) -> object:
        if isinstance(item, list):
            return _without_cr(item)
        return item.replace("\r", "") if isinstance(item, str) else item

    return [clean(item) for item in value]


def test_a_call_is_what_was_recorded() -> None:
    request, _ = _exchange("success, integer")
    assert encode_call("one.template.clone", ("oneadmin:opennebula", 0, "copy")) == request


def test_a_recorded_success_is_a_tuple_of_three() -> None:
    assert decode_answer(_exchange("success, string")[1]) == [True, "5.12.0", 0]


@pytest.mark.parametrize(
    ("tag", "number"), [("i4", 0), ("i4", -1), ("i4", 2**31 - 1), ("i8", 2**40), ("i8", -(2**40))]
)
@pytest.mark.parametrize("changed", [(b"", b""), (b"</value>", b" </value>"), (b"<data>", b"<data><!-- -->")])
def test_a_number_is_read_alike_in_the_cores_own_form_and_in_any_other(
    tag: str, number: int, changed: tuple[bytes, bytes]
) -> None:
    assert decode_answer(_number(tag, str(number)).replace(*changed)) == [True, number, 0]


@pytest.mark.parametrize("text", ["", "x", "1 2", "1.5"])
def test_what_is_no_number_is_none_in_the_cores_own_form_either(text: str) -> None:
    with pytest.raises(BadAnswer):
        decode_answer(_number("i4", text))


def _number(tag: str, text: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>\r\n<params>\r\n'
        "<param><value><array><data>\r\n<value><boolean>1</boolean></value>\r\n"
        f"<value><{tag}>{text}</{tag}></value>\r\n<value><i4>0</i4></value>\r\n"
        "</data></array></value></param>\r\n</params>\r\n</methodResponse>\r\n"
    ).encode()


def test_a_recorded_failure_is_a_tuple_of_five() -> None:
    message = "[one.vm.info] Error getting virtual machine [4711]."
    assert decode_answer(_exchange("failure")[1]) == [False, message, 1024, 4711, -1]


@pytest.mark.parametrize(
    ("title", "code", "text"),
    [
        ("wrong type", -501, "Parameter that is supposed to be integer is not"),
        ("unknown method", -506, "Method 'one.no.such' not defined"),
    ],
)
def test_a_recorded_fault_is_raised_with_its_code(title: str, code: int, text: str) -> None:
    with pytest.raises(Fault, match=re.escape(text)) as caught:
        decode_answer(_exchange(title)[1])
    assert caught.value.code == code


def test_a_number_above_32_bits_travels_as_i8() -> None:
    assert b"<i8>4294967296</i8>" in encode_call("m", (2**32,))


def test_an_enum_travels_as_its_number() -> None:
    assert b"<i4>-2</i4>" in encode_call("m", (Filter.ALL,))


def test_an_untyped_value_is_a_string() -> None:
    body = b"<methodResponse><params><param><value>plain</value></param></params></methodResponse>"
    assert decode_answer(body) == "plain"


@pytest.mark.parametrize("text", ["\x00", "a\x1bb", "\ufffe"])
def test_a_character_that_xml_cannot_carry_is_refused_by_name(text: str) -> None:
    with pytest.raises(ClientError, match=r"U\+"):
        encode_call("m", (text,))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"<html><body>404</body></html>",
        b"<methodResponse/>",
        b"<methodResponse><params><param><value><i4>x</i4></value></param></params></methodResponse>",
        b"<methodResponse><params><param><value><nil/></value></param></params></methodResponse>",
        b"<methodResponse><params><param><value><boolean>2</boolean></value></param></params></methodResponse>",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_answer_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode_answer(body)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(body: bytes) -> None:
    with pytest.raises((BadAnswer, Fault)):
        decode_answer(b"<methodResponse>" + body)
