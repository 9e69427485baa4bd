"""Whose messages are taken: those that the present agent of a host sealed, each once, while they are news."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from merope.monitor.window import Ages, Window
from merope_agent import message
from merope_agent.message import BadMessage, Message, Unread
from merope_agent.sealing import Keys, session_secret

LATE_SECONDS = 120.0
_ORDERED = (message.SYSTEM, message.VM_STATES)
"""What says how things are: an older message must not follow a newer one. Figures have their own time."""


class Reason(StrEnum):
    """Why a message was refused."""

    MALFORMED = "malformed"
    FORGED = "forged"
    OPEN = "not encrypted"
    UNREADABLE = "unreadable"
    ENDED = "of an ended session"
    REPLAYED = "replayed"
    LATE = "late"


class Refused(Exception):  # noqa: N818 - what somebody sent, not a fault of ours
    """`answer` is to be sent back: the order to stop, to an agent whose time is over."""

    def __init__(self, reason: Reason, text: str = "", answer: bytes = b"") -> None:
        super().__init__(text or reason.value)
        self.reason = reason
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Taken:
    """A message to be believed; `at` is when its sender looked, by our own clock (seconds)."""

    message: Message
    at: float


@dataclass(slots=True)
class Session:
    """What is known of a host's agent. `heard` is when it was last heard of, by our clock (seconds)."""

    name: str
    authentication: Keys
    heard: float
    silent: bool = False
    window: Window = field(default_factory=Window)
    ages: Ages = field(default_factory=Ages)
    wrapped: bytes = b""
    keys: Keys | None = None
    last: dict[str, int] = field(default_factory=dict)
    before: "Session | None" = None
    """That of the agent that this one's is to replace, until it is heard of."""


Unwrap = Callable[[bytes], bytes]
"""Opens a wrapped secret with the private key; raises ValueError."""


class Sessions:
    """`master` is the cloud's key. With `unwrap`, only encrypted messages are taken."""

    def __init__(self, master: bytes, unwrap: Unwrap | None = None) -> None:
        self._master = master
        self._unwrap = unwrap
        self._of: dict[int, Session] = {}
        self.refused: Counter[Reason] = Counter()
        self.taken = 0

    def __len__(self) -> int:
        return len(self._of)

    def expect(self, host: int, name: str, now: float, began: float | None = None) -> None:
        """From now on this session is the host's; `began` is when its agent was started, where it was.

        The agent that was there is listened to until the new one is heard of: that may never come to be.
        """
        secret = session_secret(self._master, host, name)
        before = self._of.get(host)
        if before is not None:
            before.before = None
        self._of[host] = Session(name, Keys.of(secret), now, ages=Ages(began), before=before)

    def start(self, host: int, began: float) -> None:
        """The host's agent is started, and its clock begins no earlier: that dates its first messages."""
        session = self._of.get(host)
        if session is not None:
            session.ages = Ages(began)

    def wait(self, host: int, now: float) -> None:
        """The host's agent runs from now on: it has its time to be heard of."""
        session = self._of.get(host)
        if session is not None:
            session.heard, session.silent = now, False

    def forget(self, host: int) -> None:
        self._of.pop(host, None)

    def fallen_silent(self, now: float, seconds: float) -> list[int]:
        """Hosts that were not heard of for so long; each is told once, until it is heard of again."""
        found = [h for h, s in self._of.items() if not s.silent and now - s.heard > seconds]
        for host in found:
            self._of[host].silent = True
        return found

    def take(self, line: bytes, now: float) -> Taken:
        """The message of a line; `now` is seconds of our clock. Raises Refused."""
        try:
            taken = self._take(line, now)
        except Refused as refusal:
            self.refused[refusal.reason] += 1
            raise
        self.taken += 1
        return taken

    def _take(self, line: bytes, now: float) -> Taken:
        try:
            unread = message.parse(line)
        except BadMessage as error:
            raise Refused(Reason.MALFORMED, str(error)) from error
        session = self._session(unread)
        if session is None:
            raise self._of_no_session(unread)
        if not message.is_sealed(unread, session.authentication):
            raise Refused(Reason.FORGED)
        if self._unwrap is not None and not unread.wrapped:
            raise Refused(Reason.OPEN)
        keys = self._keys(session, unread)
        at = now - session.ages.of(unread.clock / 1000, now)
        if not session.window.admit(unread.sequence):
            raise Refused(Reason.REPLAYED)
        if now - at > LATE_SECONDS:
            raise Refused(Reason.LATE)
        try:
            found = message.unpack(unread, keys)
        except BadMessage as error:
            raise Refused(Reason.UNREADABLE, str(error)) from error
        self._hear(found.host, session, now)
        if found.kind in _ORDERED:
            if found.sequence < session.last.get(found.kind, 0):
                raise Refused(Reason.LATE)
            session.last[found.kind] = found.sequence
        return Taken(found, at)

    def heard_again(self, host: int) -> bool:
        """Whether the host had been told to be silent; it is not any more."""
        session = self._of.get(host)
        if session is None or not session.silent:
            return False
        session.silent = False
        return True

    def _session(self, unread: Unread) -> Session | None:
        session = self._of.get(unread.host)
        while session is not None and session.name != unread.session:
            session = session.before
        return session

    def _hear(self, host: int, session: Session, now: float) -> None:
        present = self._of[host]
        present.heard = now
        if session is present:
            session.before = None

    def _of_no_session(self, unread: Unread) -> Refused:
        """An agent of ours whose time is over is told so; nobody else can make it believe that."""
        keys = Keys.of(session_secret(self._master, unread.host, unread.session))
        if not message.is_sealed(unread, keys):
            return Refused(Reason.FORGED)
        return Refused(Reason.ENDED, answer=message.stop_order(unread.session, keys))

    def _keys(self, session: Session, unread: Unread) -> Keys:
        """Opening a wrapped secret takes a millisecond; an agent sends the same all its life."""
        if not unread.wrapped:
            return session.authentication
        if session.keys is None or session.wrapped != unread.wrapped:
            if self._unwrap is None:
                raise Refused(Reason.UNREADABLE, "it is encrypted, and there is no private key")
            try:
                second = self._unwrap(unread.wrapped)
            except ValueError as error:
                raise Refused(Reason.UNREADABLE, "its key cannot be opened") from error
            secret = session_secret(self._master, unread.host, unread.session)
            session.keys, session.wrapped = Keys.of(secret, second), unread.wrapped
        return session.keys
