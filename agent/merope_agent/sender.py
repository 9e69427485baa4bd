"""The way to the receiver: small messages as datagrams, large and rare ones over a connection."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

from merope_agent import message
from merope_agent.config import Config
from merope_agent.message import Message
from merope_agent.sealing import Keys, new_secret

DATAGRAM_LIMIT = 1400
"""Bytes that go through any network in one piece."""
_SECONDS = 20.0
_ORDER_LIMIT = 2048


class Sender:
    """Numbers and seals messages. May be used from any thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        second = new_secret() if config.public_key else b""
        self._wrapped = config.public_key.wrap(second) if config.public_key else b""
        self._keys = Keys.of(config.secret, second)
        self._lock = threading.Lock()
        self._sequence = 0
        self._began = time.monotonic()
        self._epoch = time.time()
        family = socket.getaddrinfo(config.address, config.port, type=socket.SOCK_DGRAM)[0][0]
        self._datagrams = socket.socket(family, socket.SOCK_DGRAM)
        self._datagrams.connect((config.address, config.port))

    def clock(self) -> int:
        """Milliseconds since the agent started."""
        return round((time.monotonic() - self._began) * 1000)

    def send(self, kind: str, payload: str, clock: int, status: str = message.SUCCESS) -> None:
        """`clock` is when what is told was looked at. What cannot be sent is not kept: the next look has
        newer news. Raises OSError where a connection was needed and there is none."""
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
        config = self._config
        timestamp = int(self._epoch + clock / 1000)
        line = message.pack(
            Message(kind, status, config.host, timestamp, payload, config.session, sequence, clock),
            self._keys,
            self._wrapped,
        )
        if kind != message.SYSTEM and len(line) <= DATAGRAM_LIMIT:
            # A refusal by the other side is told with the next datagram, and concerns the last one.
            with suppress(OSError):
                self._datagrams.send(line)
            return
        with socket.create_connection((config.address, config.port), _SECONDS) as connection:
            connection.sendall(line)

    def wait_for_stop(self) -> None:
        """Returns when the receiver has said that this agent's session is over."""
        while True:
            try:
                line = self._datagrams.recv(_ORDER_LIMIT)
            except OSError:
                # Nobody listened to the last datagram.
                time.sleep(1)
                continue
            if message.is_stop_order(line, self._config.session, self._keys):
                return
