"""Drivers of third parties: an executable `remotes/auth/<driver>/authenticate` under the cloud's home.

It reads one line of XML on standard input and says by its exit status whether the credentials are right;
what it prints is the user to be made, or the user's groups (spec drivers.yaml `auth`).
"""

import os
import re
from pathlib import Path
from xml.sax.saxutils import escape

from merope.drivers import commands
from merope.drivers.auth.base import Computing, Places, Refused
from merope.drivers.errors import DriverError
from merope.model.authentication import Credentials, Identity, Membership

#: Seconds that it may take, unless ARGUMENTS of AUTH_MAD say otherwise (-w).
SECONDS = 30.0
_OUTPUT_LIMIT = 64 * 1024
_GROUP = re.compile(r"(\*?)([0-9]{1,9})", re.ASCII)
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LINE_ENDS = {"\n": "&#10;", "\r": "&#13;"}
#: What scripts of the original write around their message.
_MARKS = re.compile(r"ERROR MESSAGE -+(8<-+|>8-+)( / )?|( / )?ExitCode: \d+")
_SAID_NO = "authenticate failed with exit status"


class ExecutableDriver(Computing):
    """`name` is the driver's, which names the directory of the executable: a process of its own anyway."""

    def __init__(self, places: Places, name: str, seconds: float = SECONDS) -> None:
        self._path = places.home / "remotes" / "auth" / name / "authenticate"
        self._seconds = seconds

    def seconds(self) -> float:
        return self._seconds

    def check(self) -> None:
        if not os.access(self._path, os.X_OK) or not self._path.is_file():
            raise DriverError(f"there is no driver of that name built in, and no executable {self._path}")
        for path in (self._path, self._path.parent):
            if path.stat().st_mode & 0o002:
                raise DriverError(f"anybody can write {path}, which decides who gets in: chmod o-w it")

    def authenticate(self, credentials: Credentials) -> Identity:
        self.check()
        hidden = [text for text in (credentials.secret, credentials.stored) if len(text) > 1]
        if any(_UNWRITABLE.search(text) for text in (credentials.name, *hidden)):
            raise Refused("the credentials have characters that XML cannot carry")
        try:
            done = commands.run(
                [str(self._path)],
                timeout=self._seconds,
                input=_question(credentials),
                output_limit=_OUTPUT_LIMIT,
                secrets=[],
            )
        except DriverError as error:
            # What it wrote may repeat what it was given.
            sentence = _without(_MARKS.sub("", str(error)), [credentials.name, *hidden])
            if sentence.startswith(_SAID_NO):
                raise Refused(sentence) from None
            raise DriverError(sentence) from None
        return answer(done.stdout, known=bool(credentials.stored))


def _question(credentials: Credentials) -> str:
    fields = {
        "USERNAME": credentials.name,
        "PASSWORD": credentials.stored or "-",
        "SECRET": credentials.secret,
    }
    inner = "".join(f"<{tag}>{escape(text, _LINE_ENDS)}</{tag}>" for tag, text in fields.items())
    return f"<AUTHN>{inner}</AUTHN>\n"


def answer(text: str, *, known: bool) -> Identity:
    """`<driver> <user> <password> [*]<gid>…` in the last line that is not blank. For a user who is `known`
    something shorter, or nothing, says as much as is needed. Raises DriverError."""
    words = next((line.split() for line in reversed(text.splitlines()) if line.strip()), [])
    if known and len(words) < 3:
        return Identity()
    if len(words) < 3:
        raise DriverError("the driver must print: driver user password [*]group…")
    driver, name, password, *groups = words
    found = [_GROUP.fullmatch(group) for group in groups]
    if not all(found):
        raise DriverError("the driver printed a group that is not a number, or * and a number")
    members = tuple(Membership(int(match[2]), match[1] == "*") for match in found if match)
    return Identity(driver, name, password, members)


def _without(text: str, hidden: list[str]) -> str:
    for word in sorted(hidden, key=len, reverse=True):
        text = text.replace(word, "***") if word else text
    return text


def built_in_name(directory: Path, name: str) -> str:
    """The driver that a link in `remotes/auth` stands for: `default -> ldap`, as 5.12 has it."""
    link = directory / "remotes" / "auth" / name
    return os.path.basename(os.readlink(link)) if link.is_symlink() else name
