"""What a signed token says: who, perhaps for whom, and until when."""

import base64
import binascii
import re

from merope.drivers.auth.base import Refused
from merope.model.authentication import Credentials

#: Characters of the longest token: a chain of ten certificates is about 30,000.
LONGEST = 128 * 1024
_EPOCH = re.compile(r"[0-9]{1,15}", re.ASCII)


def decoded(text: str) -> bytes:
    """Base64 as every client writes it; raises Refused for anything else."""
    if len(text) > LONGEST:
        raise Refused("the token is too long")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("the token is not base64") from error


def check_user(text: bytes, credentials: Credentials) -> int:
    """The end (epoch) of a user's token `name:expires`; raises Refused."""
    name, *rest = _parts(text)
    if name != credentials.name or len(rest) != 1:
        raise Refused("the token is for another user")
    return _end(rest[0], credentials.now)


def check_server(text: bytes, credentials: Credentials) -> int:
    """The end (epoch) of a service's token `server:target:expires`; raises Refused.

    The target is compared as well, which the original leaves out: a token made for one user is of no use
    for another. One that is limited to a group (`server:target:egid:expires`) is good for that group only.
    """
    server, *target, end = _parts(text)
    if server != credentials.name:
        raise Refused("the token is of another service")
    limited = [credentials.target, str(credentials.egid)]
    if target != [credentials.target] and (credentials.egid == -1 or target != limited):
        raise Refused("the token is for another user or group than the session says")
    return _end(end, credentials.now)


def _parts(text: bytes) -> list[str]:
    try:
        parts = text.decode().split(":")
    except UnicodeDecodeError as error:
        raise Refused("the token was made with another key") from error
    if len(parts) < 2:
        raise Refused("the token was made with another key")
    return parts


def _end(text: str, now: int) -> int:
    if not _EPOCH.fullmatch(text):
        raise Refused("the token does not say until when it is valid")
    if int(text) <= now:
        raise Refused("the token has expired")
    return int(text)
