"""Replies are, byte for byte, what OpenNebula 5.12 sent (recorded in shared/examples/wire.txt)."""

import re
import xmlrpc.client
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.door_harness import SHARED, RawClient, RunningDoor, call, post, running_door

from merope.api.backend import I8, Fault, FaultCode, Outcome, Peer, Result, Value, Wire
from merope.api.xmlrpc import encode, encode_fault, escape

RECORDING = SHARED / "examples" / "wire.txt"


def recorded() -> dict[str, tuple[bytes, bytes, bytes]]:
    """Give (request body, head, reply body) of each recorded exchange, by its title."""
    if not RECORDING.exists():
        return {}
    exchanges = {}
    for part in RECORDING.read_bytes().split(b"\n=== ")[1:]:
        title, _, rest = part.partition(b" ===\n" if b" ===\n" in part else b"\n")
        request, _, reply = rest.partition(b"\n") if rest.startswith(b"> ") else (b"", b"", rest)
        head, _, body = reply.partition(b"\r\n\r\n")
        body = body.partition(b"[connection closed by the server]")[0]
        exchanges[title.decode()] = (request[2:], head, body)
    return exchanges


EXCHANGES = recorded()
DOCUMENT = re.search(
    rb"<string>(&lt;DOCUMENT.*)</string>", EXCHANGES.get("document (cut)", (b"", b"", b""))[2]
)


def dispatcher(method: str, params: list[Value], peer: Peer) -> Outcome:
    """Answer the recorded calls as the original did."""
    if method == "one.template.clone":
        return Outcome(1)
    if method == "one.system.version":
        return Outcome("5.12.0")
    if method == "one.document.info" and DOCUMENT is not None:
        return Outcome(Wire(DOCUMENT[1]))
    if params[1:] == ["x"]:
        raise Fault(FaultCode.TYPE, "Parameter that is supposed to be integer is not")
    if len(params) < 2 and method == "one.vm.action":
        raise Fault(FaultCode.TYPE, "Not enough parameters")
    if method != "one.vm.info":
        raise Fault(FaultCode.NO_SUCH_METHOD, f"Method '{method}' not defined")
    if params[0] == "ann:wrong":
        return Outcome.failure(256, f"[{method}] User couldn't be authenticated, aborting call.")
    return Outcome.failure(1024, f"[{method}] Error getting virtual machine [{params[1]}].", 4711)


@pytest.fixture(scope="module")
def door() -> Iterator[RunningDoor]:
    with running_door(dispatcher) as running:
        yield running


@pytest.fixture
def client(door: RunningDoor) -> Iterator[RawClient]:
    with door.connect() as connected:
        yield connected


def masked(head: bytes) -> list[bytes]:
    """Give the lines of a head, without the time and the server's name."""
    lines = head.strip().splitlines()
    lines = [re.sub(rb"^(Date: )\w{3}, \d\d \w{3} \d{4} [\d:]{8}( UTC)$", rb"\1\2", line) for line in lines]
    return [re.sub(rb"^(Server: ).+", rb"\1", line) for line in lines]


@pytest.mark.skipif(not EXCHANGES, reason="shared/examples/wire.txt is not beside the repository")
@pytest.mark.parametrize("title", sorted(set(EXCHANGES) - {"GET"}))
def test_the_reply_is_the_recorded_one(client: RawClient, title: str) -> None:
    request, head, body = EXCHANGES[title]
    reply = client.ask(post(request, "Connection: close"))
    assert reply.body == body
    assert masked(reply.head) == masked(head)
    assert client.closed()


@pytest.mark.parametrize(
    ("value", "element"),
    [
        (True, b"<boolean>1</boolean>"),
        (False, b"<boolean>0</boolean>"),
        (0, b"<i4>0</i4>"),
        (-(2**31), b"<i4>-2147483648</i4>"),
        (2**31, b"<i8>2147483648</i8>"),
        (I8(7), b"<i8>7</i8>"),
        ("", b"<string></string>"),
        ("a<b>&\"'\r\n", b"<string>a&lt;b&gt;&amp;\"'&#x0d;\n</string>"),
        (Wire(b"&lt;VM/&gt;"), b"<string>&lt;VM/&gt;</string>"),
    ],
)
def test_each_type_of_result_has_its_element(value: Result, element: bytes) -> None:
    body = b"".join(encode(Outcome(value)))
    assert body.count(b"<value>" + element + b"</value>\r\n<value><i4>0</i4></value>\r\n</data>") == 1


def test_a_wire_is_one_of_the_pieces_itself() -> None:
    document = b"&lt;VM/&gt;"
    assert encode(Outcome(Wire(document)))[1] is document


def in_response(pieces: tuple[bytes, ...]) -> list[Any]:
    """Give the tuple that the standard library reads in a response."""
    values: Any = xmlrpc.client.loads(b"".join(pieces))[0]
    return list(values[0])


@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
        | st.sampled_from("\r\n\t")
    )
)
def test_a_string_result_arrives_as_it_was(text: str) -> None:
    assert in_response(encode(Outcome(text))) == [True, text, 0]


@given(st.text())
def test_a_message_of_any_characters_gives_a_reply_that_can_be_read(text: str) -> None:
    failure = in_response(encode(Outcome.failure(2048, text, 3, 2**40)))
    assert failure[0] is False
    assert failure[2:] == [2048, 3, 2**40]
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(b"".join(encode_fault(Fault(-501, text))))
    assert caught.value.faultCode == -501


def test_what_xml_cannot_hold_is_replaced() -> None:
    assert escape("a\0b\x1bc\ud800\ufffe") == b"a?b?c?" + "\ufffd".encode()


def test_the_standard_library_calls_and_reads_a_success(door: RunningDoor) -> None:
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{door.port}/RPC2") as server:
        assert server.one.system.version("oneadmin:opennebula") == [True, "5.12.0", 0]


def test_the_standard_library_raises_our_faults(door: RunningDoor) -> None:
    with (
        xmlrpc.client.ServerProxy(f"http://127.0.0.1:{door.port}/RPC2") as server,
        pytest.raises(xmlrpc.client.Fault) as caught,
    ):
        server.one.no.such("oneadmin:opennebula")
    assert caught.value.faultCode == -506
    assert caught.value.faultString == "Method 'one.no.such' not defined"


def test_calls_are_taken_at_any_path(client: RawClient) -> None:
    for target in ("/", "/RPC2", "/other?x=1"):
        request = call("one.system.version").replace(b"/RPC2", target.encode(), 1)
        assert b"5.12.0" in client.ask(request).body
