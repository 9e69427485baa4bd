"""An agent that tests speak for: it seals what they say."""

from dataclasses import dataclass

from merope_agent import message
from merope_agent.message import Message
from merope_agent.sealing import Keys, session_secret

MASTER = bytes(range(32))


@dataclass
class FakeAgent:
    """Its clock is what the test says (seconds); numbers go up by themselves."""

    host: int = 0
    session: str = "s1"
    master: bytes = MASTER
    second: bytes = b""
    wrapped: bytes = b""
    sequence: int = 0

    def say(
        self,
        kind: str = message.BEACON,
        payload: str = "",
        *,
        clock: float = 0,
        status: str = message.SUCCESS,
        sequence: int | None = None,
    ) -> bytes:
        self.sequence += 1
        secret = session_secret(self.master, self.host, self.session)
        number = self.sequence if sequence is None else sequence
        said = Message(
            kind, status, self.host, 1700000000, payload, self.session, number, round(clock * 1000)
        )
        return message.pack(said, Keys.of(secret, self.second), self.wrapped)
