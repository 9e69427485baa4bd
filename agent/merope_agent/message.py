"""A message of an agent as one line: the five words of 5.12's monitoring protocol, and five that seal it.

    KIND STATUS HOST TIMESTAMP PAYLOAD SESSION SEQUENCE CLOCK KEY TAG

PAYLOAD is base64 of zlib of a template's text, or "-" where there is none; it is encrypted where KEY, the
wrapped secret in base64, is not "-". CLOCK is milliseconds of the agent's own clock since it started, at
which what the message says was looked at.
Source: spec drivers.yaml `im.message_line`; the seal is docs/adr/0009.
"""

from __future__ import annotations

import binascii
import hmac
import zlib
from typing import NamedTuple

from merope_agent.sealing import Keys

BEACON, SYSTEM, FIGURES, VM_STATES, VM_FIGURES, LOG = KINDS = (
    "BEACON_HOST",
    "SYSTEM_HOST",
    "MONITOR_HOST",
    "STATE_VM",
    "MONITOR_VM",
    "LOG",
)
SUCCESS, FAILURE = "SUCCESS", "FAILURE"
SEPARATOR = "\x1e"
"""Between what different probes say in one payload: what one of them garbles spoils no other's."""

LINE_LIMIT = 8 * 1024 * 1024
PAYLOAD_LIMIT = 32 * 1024 * 1024
"""Bytes of a payload, unpacked."""
_WORDS = 10
_STOP = b"STOP "


class Message(NamedTuple):
    """`payload` is a template's text; times are epochs in seconds, `clock` is milliseconds."""

    kind: str
    status: str
    host: int
    timestamp: int
    payload: str
    session: str
    sequence: int
    clock: int


class Unread(NamedTuple):
    """A line that was taken apart; nothing of it is true before `unpack` has checked the seal."""

    kind: str
    status: str
    host: int
    timestamp: int
    packed: bytes
    session: str
    sequence: int
    clock: int
    wrapped: bytes
    signed: bytes
    tag: bytes


class BadMessage(ValueError):  # noqa: N818 - what somebody sent, not a fault of ours
    """Why a line is no message."""


def pack(message: Message, keys: Keys, wrapped: bytes = b"") -> bytes:
    """The line, with its end. With the `wrapped` secret that the keys were made with it is encrypted."""
    packed = zlib.compress(message.payload.encode()) if message.payload else b""
    if wrapped:
        packed = keys.crypt(message.sequence, packed)
    words = (
        message.kind.encode(),
        message.status.encode(),
        b"%d" % message.host,
        b"%d" % message.timestamp,
        _base64(packed),
        message.session.encode(),
        b"%d" % message.sequence,
        b"%d" % message.clock,
        _base64(wrapped),
    )
    signed = b" ".join(words)
    return signed + b" " + _base64(keys.tag(signed)) + b"\n"


def parse(line: bytes) -> Unread:
    """Takes a line apart. Raises BadMessage."""
    line = line.rstrip(b"\r\n")
    words = line.split(b" ")
    if len(words) != _WORDS:
        raise BadMessage(f"a message has {_WORDS} words, not {len(words)}")
    try:
        return Unread(
            words[0].decode("ascii"),
            words[1].decode("ascii"),
            _number(words[2]),
            _number(words[3]),
            _bytes(words[4]),
            words[5].decode("ascii"),
            _number(words[6]),
            _number(words[7]),
            _bytes(words[8]),
            line[: line.rindex(b" ")],
            _bytes(words[9]),
        )
    except ValueError as error:
        raise BadMessage(f"a word of the message cannot be read: {error}") from error


def is_sealed(unread: Unread, keys: Keys) -> bool:
    """Whether it was sealed with this authentication key."""
    return hmac.compare_digest(unread.tag, keys.tag(unread.signed))


def unpack(unread: Unread, keys: Keys) -> Message:
    """The message, if it was sealed with these keys. Raises BadMessage."""
    if not is_sealed(unread, keys):
        raise BadMessage("the seal is wrong")
    packed = keys.crypt(unread.sequence, unread.packed) if unread.wrapped else unread.packed
    return Message(
        unread.kind,
        unread.status,
        unread.host,
        unread.timestamp,
        _text(packed) if packed else "",
        unread.session,
        unread.sequence,
        unread.clock,
    )


def stop_order(session: str, keys: Keys) -> bytes:
    """What the receiver answers an agent whose session is over: it ends itself."""
    order = _STOP + session.encode()
    return order + b" " + _base64(keys.tag(order)) + b"\n"


def is_stop_order(line: bytes, session: str, keys: Keys) -> bool:
    return hmac.compare_digest(line, stop_order(session, keys))


def _text(packed: bytes) -> str:
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(packed, PAYLOAD_LIMIT)
        if not unpacking.eof:
            raise BadMessage(f"the payload is cut off, or has more than {PAYLOAD_LIMIT} bytes")
        return text.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise BadMessage(f"the payload cannot be unpacked: {error}") from error


def _base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False) if data else b"-"


def _bytes(word: bytes) -> bytes:
    return b"" if word == b"-" else binascii.a2b_base64(word)


def _number(word: bytes) -> int:
    if not word.isdigit() or len(word) > 18:
        raise BadMessage(f"{word[:20]!r} is no number")
    return int(word)
