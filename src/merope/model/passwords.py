"""Stored passwords and login tokens: how they look, and whether a secret matches.

New passwords are kept as `$scrypt$ln=14,r=8,p=1$<salt>$<hash>` (base64 without padding, as RFC 7914's
parameters are commonly written). The plain digests that 5.12 stored, SHA-256 and before it SHA-1 in
hexadecimal, are accepted until they are replaced at the next login. Nothing here is slow but `scrypt`
itself; random bytes and the time come from the caller.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

DEFAULT_COST: Final = 14
"""log2 of scrypt's N: 16 MiB and some tens of milliseconds on the machines of 2020."""

SALT_BYTES: Final = 16
TOKEN_BYTES: Final = 32
MAX_TOKENS: Final = 10
"""Login tokens that one user may have at a time (spec `one.user.login`)."""

_BLOCK: Final = 8
_PARALLEL: Final = 1
_HASH_BYTES: Final = 32
_HIGHEST_COST: Final = 20
_SCRYPT: Final = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]{1,88})\$([A-Za-z0-9+/]{22,88})", re.ASCII
)
_DIGESTS: Final = {64: "sha256", 40: "sha1"}


def hash_password(password: str, salt: bytes, cost: int = DEFAULT_COST) -> str:
    """The form in which a password is stored; `salt` is SALT_BYTES random bytes.

    Takes 2**cost KiB of memory. Raises ValueError when the cost is not 1…20 or the salt is short.
    """
    if not 1 <= cost <= _HIGHEST_COST:
        raise ValueError(f"Cost of a password must be from 1 to {_HIGHEST_COST}, not {cost}")
    if len(salt) < SALT_BYTES:
        raise ValueError(f"Salt of a password must be {SALT_BYTES} bytes, not {len(salt)}")
    key = _scrypt(password, salt, cost, _BLOCK, _PARALLEL, _HASH_BYTES)
    return f"$scrypt$ln={cost},r={_BLOCK},p={_PARALLEL}${_base64(salt)}${_base64(key)}"


def verify(stored: str, password: str) -> bool:
    """Whether the password is the one that is stored, in any of the forms; False for a form unknown.

    Takes as long for a wrong password as for the right one.
    """
    match = _SCRYPT.fullmatch(stored)
    if match is None:
        digest = _DIGESTS.get(len(stored))
        return digest is not None and _same(_digest(digest, password), stored.lower())
    cost, block, parallel = int(match[1]), int(match[2]), int(match[3])
    if not (1 <= cost <= _HIGHEST_COST and 1 <= block <= 32 and parallel):
        return False
    try:
        salt, key = _from_base64(match[4]), _from_base64(match[5])
    except ValueError:
        return False
    return hmac.compare_digest(_scrypt(password, salt, cost, block, parallel, len(key)), key)


def needs_upgrade(stored: str, cost: int = DEFAULT_COST) -> bool:
    """Whether a password that has just been verified should be stored anew: an older form, a lower cost."""
    match = _SCRYPT.fullmatch(stored)
    return match is None or int(match[1]) < cost or (match[2], match[3]) != (f"{_BLOCK}", f"{_PARALLEL}")


def is_digest(stored: str) -> bool:
    """Whether it is one of 5.12's plain digests, which whoever reads the database can guess against fast."""
    return len(stored) in _DIGESTS and all(char in "0123456789abcdef" for char in stored.lower())


def sha256_hex(password: str) -> str:
    """The digest that 5.12 stores, and that its tools expect for users of the core driver."""
    return _digest("sha256", password)


class Token(Protocol):
    """A login token: `expires` is an epoch in seconds, -1 for never; `egid` the group it acts for or -1."""

    @property
    def token(self) -> str: ...
    @property
    def expires(self) -> int: ...
    @property
    def egid(self) -> int: ...


T = TypeVar("T", bound=Token)


def new_token(random: bytes) -> str:
    """The text of a new login token: 64 hexadecimal digits from TOKEN_BYTES random bytes."""
    if len(random) < TOKEN_BYTES:
        raise ValueError(f"A login token takes {TOKEN_BYTES} random bytes, not {len(random)}")
    return hashlib.sha256(random).hexdigest()


def find_token(tokens: Iterable[T], secret: str) -> T | None:
    """The token that a session's secret is, expired or not.

    An expired one is an error of its own: it must not be tried as a password (spec `session.order`).
    """
    found = None
    for token in tokens:
        if _same(token.token, secret):
            found = token
    return found


def has_expired(token: Token, now: int) -> bool:
    return token.expires != -1 and token.expires <= now


def token_gids(token: Token, gids: frozenset[int]) -> frozenset[int]:
    """The groups that a session with the token acts for: only `egid` where it names one of the user's.

    Empty when the user has left that group: such a token is good for nothing.
    """
    return gids if token.egid == -1 else gids & {token.egid}


def token_period(period: int, longest: int) -> int | None:
    """The seconds a new token lives (-1: for ever) when a driver's MAX_TOKEN_TIME is `longest`.

    None when the driver has no tokens (0). The source of the rule is spec `one.user.login`.
    """
    if longest == 0:
        return None
    if longest == -1 or 0 <= period <= longest:
        return period
    return longest


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int, size: int) -> bytes:
    memory = 128 * block * ((1 << cost) + parallel + 2)
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=1 << cost, r=block, p=parallel, maxmem=memory, dklen=size)


def _digest(name: str, password: str) -> str:
    return hashlib.new(name, password.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _same(known: str, given: str) -> bool:
    return hmac.compare_digest(known.encode("utf-8", "surrogatepass"), given.encode("utf-8", "surrogatepass"))


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii").rstrip("=")


def _from_base64(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))
