"""The core as a service sees it: calls on behalf of users, signed with the service's own credentials."""

import time
from collections.abc import Callable
from typing import Protocol

from merope.client.async_client import AsyncClient
from merope.client.client import Scalar
from merope.client.tokens import server_cipher_session
from merope.client.wire import Argument

#: Seconds for which a session is signed, and those before its end in which another one is made.
_LIFE, _EARLY = 1800, 300


class Core(Protocol):
    """`user` is a name, "" for the service itself, which is an administrator."""

    async def call(self, user: str, method: str, *arguments: Argument) -> Scalar: ...


class ServerCore:
    """`login` is "name:password" of the service's user, who has the driver server_cipher.

    Calls raise as those of AsyncClient do.
    """

    def __init__(self, client: AsyncClient, login: str, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._name, _, self._password = login.strip().partition(":")
        self._now = now
        self._sessions: dict[str, tuple[str, float]] = {}

    async def call(self, user: str, method: str, *arguments: Argument) -> Scalar:
        return await self._client.call(self.session_of(user or self._name), method, *arguments)

    async def call_as(self, session: str, method: str, *arguments: Argument) -> Scalar:
        """With the session of whoever asks: "user:password" or "user:token"."""
        return await self._client.call(session, method, *arguments)

    def session_of(self, user: str) -> str:
        """What the service acts for a user with; good for minutes."""
        session, until = self._sessions.get(user, ("", 0.0))
        now = self._now()
        if until < now:
            session = server_cipher_session(self._name, self._password, user, int(now) + _LIFE)
            self._sessions[user] = (session, now + _LIFE - _EARLY)
        return session

    async def close(self) -> None:
        await self._client.close()


async def text(core: Core, user: str, method: str, *arguments: Argument) -> str:
    """A call that answers with a document."""
    return str(await core.call(user, method, *arguments))


async def number(core: Core, user: str, method: str, *arguments: Argument) -> int:
    """A call that answers with an id."""
    return int(await core.call(user, method, *arguments))
