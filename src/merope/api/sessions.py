"""Who is calling: sessions that were verified are remembered, so that a request costs no key derivation."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from merope.core import login
from merope.core.login import Step, Verdict
from merope.core.transaction import Caller
from merope.model.settings import Settings
from merope.model.state import Entry, State

#: Sessions that are remembered at the same time; the oldest goes first.
REMEMBERED = 10_000


@dataclass(slots=True)
class _Known:
    """`entry` is the user's row when it was verified: any change of the user makes it void.

    `expires` is when it must be verified again, by the clock; `ends` the epoch at which what was shown ends.
    """

    caller: Caller
    entry: Entry
    holder: Entry
    expires: float
    ends: int


class Sessions:
    """Remembers verified sessions for `session_expiration_time` seconds, by a keyed digest of their text."""

    def __init__(
        self, state: State, settings: Settings, clock: Callable[[], float], now: Callable[[], int]
    ) -> None:
        self._state = state
        self._settings = settings
        self._clock = clock
        self._now = now
        self._key = os.urandom(32)
        self._known: dict[bytes, _Known] = {}
        self._wrong: dict[bytes, None] = {}
        self._right: dict[bytes, None] = {}

    def remembered(self, session: str) -> Caller | None:
        """The caller of a session that was verified before and still holds."""
        digest = self._digest(session)
        known = self._known.get(digest)
        if known is None:
            return None
        users = self._state.pools["user_pool"].entries
        current = users.get(known.entry.oid) is known.entry and users.get(known.holder.oid) is known.holder
        if current and known.expires > self._clock() and (known.ends == -1 or known.ends > self._now()):
            return known.caller
        del self._known[digest]
        return None

    def check(self, session: str, now: int) -> Verdict:
        """The fast half of a login; `session` is "name:secret"."""
        name, _, secret = session.partition(":")
        return login.check_credentials(self._state, now, name, secret, self._settings)

    def caller(self, verdict: Verdict) -> Caller | None:
        return login.caller(self._state, self._settings, verdict.uid, verdict.egid)

    def remember(self, session: str, verdict: Verdict, caller: Caller, ends: int = -1) -> None:
        """To be called for a session whose secret was verified; tokens, which expire, are looked up anew.

        `ends` is the epoch at which what a driver verified expires, -1 for never.
        """
        self._note(self._right, verdict)
        lasting = self._settings.session_expiration_time
        users = self._state.pools["user_pool"].entries
        entry, holder = users.get(caller.uid), users.get(verdict.holder)
        if lasting <= 0 or verdict.step is Step.GRANTED or entry is None or holder is None:
            return
        if len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        known = _Known(caller, entry, holder, self._clock() + lasting, ends)
        self._known[self._digest(session)] = known

    def is_known_wrong(self, verdict: Verdict) -> bool:
        """Whether this secret was verified against this stored form before, and was not it.

        What somebody's script sends again and again with an old password costs one derivation.
        """
        return self._attempt(verdict) in self._wrong

    def remember_wrong(self, verdict: Verdict) -> None:
        self._note(self._wrong, verdict)

    def was_right(self, verdict: Verdict) -> bool:
        """Whether this secret has let somebody in since the start, with the same stored form: no guess."""
        return self._attempt(verdict) in self._right

    def _note(self, attempts: dict[bytes, None], verdict: Verdict) -> None:
        if len(attempts) >= REMEMBERED:
            del attempts[next(iter(attempts))]
        attempts[self._attempt(verdict)] = None

    def _attempt(self, verdict: Verdict) -> bytes:
        return self._digest(f"{verdict.name}:{verdict.stored}:{verdict.secret}")

    def _digest(self, session: str) -> bytes:
        return hashlib.blake2b(session.encode(), key=self._key, digest_size=16).digest()
