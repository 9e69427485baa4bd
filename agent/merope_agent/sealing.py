"""Keys and seals of messages, from the standard library alone (docs/adr/0009).

A session has a secret of 32 bytes that the front-end gave to the agent when it started it. Where the site has
an RSA key, the agent draws a second secret, which goes with its messages wrapped with the public key. Who
wants to forge a message needs the first, who wants to read one needs both.

    authentication key = HMAC-SHA256(secret, "A"), encryption key = HMAC-SHA256(secret, "E" || second secret)
    ciphertext = zlib(payload) XOR SHAKE-256(encryption key || sequence)
    tag = the first 16 bytes of HMAC-SHA256(authentication key, the line up to the tag)
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import NamedTuple

SECRET_BYTES = 32
TAG_BYTES = 16
_HASH_BYTES = 32


class PublicKey(NamedTuple):
    """An RSA key that messages' secrets are wrapped with."""

    modulus: int
    exponent: int

    def wrap(self, secret: bytes) -> bytes:
        """RSAES-OAEP with SHA-256 and no label (RFC 8017, 7.1.1)."""
        size = (self.modulus.bit_length() + 7) // 8
        padding = size - len(secret) - 2 * _HASH_BYTES - 2
        if padding < 0:
            raise ValueError(f"the RSA key of {self.modulus.bit_length()} bits is too short")
        block = hashlib.sha256(b"").digest() + bytes(padding) + b"\x01" + secret
        seed = os.urandom(_HASH_BYTES)
        masked = _xor(block, _mask(seed, len(block)))
        encoded = _xor(seed, _mask(masked, _HASH_BYTES)) + masked
        return pow(int.from_bytes(encoded, "big"), self.exponent, self.modulus).to_bytes(size, "big")


class Keys(NamedTuple):
    """What a session's messages are sealed with."""

    encryption: bytes
    authentication: bytes

    @classmethod
    def of(cls, secret: bytes, second: bytes = b"") -> Keys:
        return cls(_hmac(secret, b"E" + second), _hmac(secret, b"A"))

    def crypt(self, sequence: int, data: bytes) -> bytes:
        """Encrypts, and decrypts what was encrypted; a sequence number is never used for two messages."""
        stream = hashlib.shake_256(self.encryption + sequence.to_bytes(8, "big"))
        return _xor(data, stream.digest(len(data)))

    def tag(self, line: bytes) -> bytes:
        return _hmac(self.authentication, line)[:TAG_BYTES]


def session_secret(master: bytes, host: int, session: str) -> bytes:
    """The secret of a session: whoever has the cloud's key knows that of every session there ever was."""
    return _hmac(master, f"{host} {session}".encode())


def new_secret() -> bytes:
    return os.urandom(SECRET_BYTES)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, "sha256").digest()


def _mask(seed: bytes, size: int) -> bytes:
    """MGF1 with SHA-256 (RFC 8017, B.2.1)."""
    blocks = range((size + _HASH_BYTES - 1) // _HASH_BYTES)
    return b"".join(hashlib.sha256(seed + n.to_bytes(4, "big")).digest() for n in blocks)[:size]


def _xor(left: bytes, right: bytes) -> bytes:
    size = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(size, "big")
