"""What the store says when it cannot do its work."""

import sqlite3

_REASONS = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_BUSY": "another process holds it locked",
    "SQLITE_LOCKED": "another process holds it locked",
    "SQLITE_READONLY": "the file or its directory cannot be written",
    "SQLITE_CANTOPEN": "the file cannot be opened, or its directory cannot be written",
    "SQLITE_PERM": "this user may not open it",
    "SQLITE_CORRUPT": "it is damaged; stop the cloud, see what `one fsck` finds, and put a backup back "
    "(`one restore`)",
    "SQLITE_NOTADB": "the file is no SQLite database, or its beginning is destroyed; put a backup back "
    "(`one restore`)",
    "SQLITE_IOERR": "the disk fails, or is full",
}


class StoreError(Exception):
    """The database could not be read or written; nothing of what was asked has been stored."""


class InUseError(StoreError):
    """Another process has the claim on the database."""


class InDoubtError(StoreError):
    """The connection was lost while changes were being committed: they may be stored, or not.

    `settle` of the store tells when the database answers again.
    """


class SupersededError(StoreError):
    """Somebody else has written to the database: what this process holds in memory is not true any more."""


def sentence(error: Exception) -> str:
    """Why the database fails, in words that say what to do where that is known."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    name = getattr(error, "sqlite_errorname", "") if isinstance(error, sqlite3.Error) else ""
    # Extended names (SQLITE_IOERR_WRITE) begin with the name of their kind.
    kind = "_".join(name.split("_")[:2])
    reason = _REASONS.get(kind)
    return f"{reason} ({error})" if reason else " ".join(str(error).split())
