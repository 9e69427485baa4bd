"""Messages of agents: what is packed is unpacked, and nothing else is."""

import base64
import zlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from merope_agent import message
from merope_agent.message import BadMessage, Message
from merope_agent.sealing import Keys, PublicKey, session_secret

SECRET = bytes(range(32))
KEYS = Keys.of(SECRET)
HELLO = Message("BEACON_HOST", "SUCCESS", 3, 1700000000, "", "s1", 1, 0)

numbers = st.integers(0, 10**17)
messages = st.builds(
    Message,
    st.sampled_from(message.KINDS),
    st.sampled_from(["SUCCESS", "FAILURE", "-"]),
    numbers,
    numbers,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.from_regex(r"[a-z0-9]{1,16}", fullmatch=True),
    numbers,
    numbers,
)


@given(messages)
def test_a_message_comes_out_as_it_went_in(sent: Message) -> None:
    assert message.unpack(message.parse(message.pack(sent, KEYS)), KEYS) == sent


@given(messages)
def test_an_encrypted_message_comes_out_as_it_went_in(sent: Message) -> None:
    keys = Keys.of(SECRET, b"second")
    line = message.pack(sent, keys, b"wrapped")
    assert message.unpack(message.parse(line), keys) == sent


@given(messages, st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_makes_it_no_message(sent: Message, place: int, change: int) -> None:
    line = bytearray(message.pack(sent, KEYS))
    line[place % (len(line) - 1)] ^= change
    try:
        found = message.unpack(message.parse(bytes(line)), KEYS)
    except BadMessage:
        return
    # Base64 has bits that mean nothing, and white space at the end is none.
    assert found == sent


@given(st.binary(max_size=300))
def test_garbage_is_no_message(line: bytes) -> None:
    with pytest.raises(BadMessage):
        message.unpack(message.parse(line), KEYS)


def test_the_line_has_the_words_of_the_protocol() -> None:
    words = message.pack(HELLO._replace(payload='A="1"\n'), KEYS).split(b" ")
    assert words[:4] == [b"BEACON_HOST", b"SUCCESS", b"3", b"1700000000"]
    assert zlib.decompress(base64.b64decode(words[4])) == b'A="1"\n'


def test_who_has_not_the_secret_seals_nothing() -> None:
    with pytest.raises(BadMessage, match="seal"):
        message.unpack(message.parse(message.pack(HELLO, Keys.of(bytes(32)))), KEYS)


def test_the_secret_of_a_session_is_its_own() -> None:
    secrets = {session_secret(SECRET, host, name) for host in (1, 11) for name in ("1", "11", "1 1")}
    assert len(secrets) == 6


def test_an_encrypted_payload_tells_nothing() -> None:
    text = 'VM=[ ID="1" ]\n' * 20
    line = message.pack(HELLO._replace(payload=text), Keys.of(SECRET, b"second"), b"wrapped")
    packed = message.parse(line).packed
    assert packed != zlib.compress(text.encode())
    with pytest.raises(BadMessage, match="unpacked"):
        message.unpack(message.parse(line), KEYS)


def test_the_same_text_is_never_encrypted_alike() -> None:
    keys = Keys.of(SECRET, b"second")
    assert keys.crypt(1, bytes(64)) != keys.crypt(2, bytes(64))


def test_a_payload_that_grows_without_end_is_refused() -> None:
    bomb = zlib.compress(bytes(message.PAYLOAD_LIMIT + 1))
    signed = b"LOG W 1 1 " + base64.b64encode(bomb) + b" s1 1 0 -"
    line = signed + b" " + base64.b64encode(KEYS.tag(signed))
    with pytest.raises(BadMessage, match="more than"):
        message.unpack(message.parse(line), KEYS)


@pytest.mark.parametrize("bits", [2048, 3072])
def test_a_wrapped_secret_is_opened_with_the_private_key(bits: int) -> None:
    private = rsa.generate_private_key(65537, bits)
    numbers = private.public_key().public_numbers()
    wrapped = PublicKey(numbers.n, numbers.e).wrap(SECRET)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    assert private.decrypt(wrapped, oaep) == SECRET


def test_only_the_receiver_can_order_an_agent_to_stop() -> None:
    assert message.is_stop_order(message.stop_order("s1", KEYS), "s1", KEYS)
    assert not message.is_stop_order(message.stop_order("s1", KEYS), "s2", KEYS)
    assert not message.is_stop_order(message.stop_order("s1", Keys.of(bytes(32))), "s1", KEYS)
