"""What objects, users and passwords may be called. Each check gives a sentence, or None when it is well."""

from __future__ import annotations

import re
from typing import Final

MAX_NAME: Final = 128
"""Characters of the longest NAME; the column of the database is as wide."""

# NAME is written into documents, texts and search tokens as it is. What XML 1.0 cannot carry, or would read
# back as something else (the carriage return), would make the document unreadable.
_UNWRITABLE: Final = r"\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff"
_FORBIDDEN: Final = re.compile(rf"""[&|:\\";/'#{{}}$<>{_UNWRITABLE}]""")
_BLANKS: Final = r" \t\n\v\f\r"
_FORBIDDEN_TO_USERS: Final = re.compile(rf"{_FORBIDDEN.pattern[:-1]}{_BLANKS}]")
_FORBIDDEN_IN_PASSWORDS: Final = re.compile(f"[{_BLANKS}{_UNWRITABLE}]")


def name_fault(name: str) -> str | None:
    """Why an object cannot have this NAME (spec `invalid_name_chars`, `error_messages.details.name_*`)."""
    return _fault(name, _FORBIDDEN)


def user_name_fault(name: str) -> str | None:
    """Why a user cannot have this NAME: white space is forbidden too, a session is split at its ':'."""
    return _fault(name, _FORBIDDEN_TO_USERS)


def password_fault(password: str) -> str | None:
    """Why a user cannot have this password: it is empty or has white space, which no session can carry."""
    if not password:
        return "Invalid password, it cannot be empty"
    # The character is not shown: it is part of a secret.
    if _FORBIDDEN_IN_PASSWORDS.search(password):
        return "Invalid password, white space and control characters are not allowed"
    return None


def _fault(name: str, forbidden: re.Pattern[str]) -> str | None:
    if not name:
        return "Invalid NAME, it cannot be empty"
    if found := forbidden.search(name):
        char = found[0]
        shown = char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        return f"Invalid NAME, char '{shown}' is not allowed"
    if len(name) > MAX_NAME:
        return f"Invalid NAME, max length is {MAX_NAME} chars"
    return None
