"""Events for programs outside: a ZeroMQ publisher and a replier, with 5.12's ports, keys and messages.

Only what somebody has subscribed to is made at all: the publisher (XPUB, for subscribers the same as PUB) is
told of subscriptions. An event is published when its change is durable. ZeroMQ drops what a subscriber that
is not connected, or too slow, does not take: what must not be lost is a hook, not a subscription.

Source: spec drivers.yaml `hm`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64decode
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from merope.core import hook_log, hook_matching
from merope.core.transaction import Transaction
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Handle, Timer
from merope.model.bus_address import HIGH_WATER, BusAddress
from merope.model.change import Change
from merope.model.event import Event
from merope.model.hook import Execution

if TYPE_CHECKING:
    import zmq.asyncio

log = logging.getLogger("merope.hooks")

_RESULT = re.compile(rb"(-?\d{1,9}) (\d{1,9}) (\S+)")
_AGAIN_SECONDS = 5.0
_LARGEST_RESULT = 16 * 1024 * 1024


class EventBus:
    """Starts where pyzmq is installed and the ports are free; a cloud works without it."""

    def __init__(
        self, cloud: Cloud, address: BusAddress | None, after: Timer, private: Path | None = None
    ) -> None:
        """`private`: a socket for the cloud's own services, which is there whoever has the ports."""
        self._cloud = cloud
        self._address = address
        self._after = after
        self._private = private
        self._again: Handle | None = None
        self._complained = False
        self._subscriptions: set[str] = set()
        self._context: zmq.asyncio.Context | None = None
        self._publisher: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self.published = 0

    def start(self) -> None:
        if self._address is None and self._private is None:
            return
        try:
            import zmq
            import zmq.asyncio
        except ImportError:
            log.info("no events are published: pyzmq is not installed")
            return
        self._context = zmq.asyncio.Context()
        self._publisher = publisher = self._made(zmq.XPUB)
        if self._private is not None:
            with suppress(zmq.ZMQError):
                publisher.bind(f"ipc://{self._private}")
        self._tasks = [asyncio.get_running_loop().create_task(self._follow(publisher))]
        self._cloud.heard = self.heard
        self._cloud.subscribe(self._changed)
        self._open()

    def _open(self) -> None:
        """Publishes at the ports, as soon as they are free."""
        import zmq

        self._again = None
        if self._address is None or self._publisher is None:
            return
        replier = self._made(zmq.REP)
        try:
            self._bind(replier, self._address.replier)
            self._bind(self._publisher, self._address.publisher)
        except zmq.ZMQError as error:
            if not self._complained:
                log.warning("no events are published at %s: %s", self._address.shown, error)
            self._complained = True
            replier.close(linger=0)
            self._again = self._after(_AGAIN_SECONDS, self._open)
            return
        self._tasks.append(asyncio.get_running_loop().create_task(self._take(replier)))

    def _made(self, kind: int) -> Any:
        import zmq

        assert self._context is not None
        made = self._context.socket(kind)
        made.setsockopt(zmq.LINGER, 500)
        made.setsockopt(zmq.SNDHWM, self._address.high_water if self._address else HIGH_WATER)
        made.setsockopt(zmq.MAXMSGSIZE, _LARGEST_RESULT)
        return made

    def _bind(self, made: Any, port: int) -> None:
        """Raises ZMQError where the port is taken."""
        import zmq

        assert self._address is not None
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        made.setsockopt(zmq.IPV6, int(":" in self._address.host))
        made.bind(f"tcp://{host}:{port or '*'}")

    @property
    def endpoint(self) -> str:
        """Where events are published, "" where they are not."""
        import zmq

        return (
            ""
            if self._publisher is None
            else self._publisher.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")
        )

    def heard(self, key: str) -> bool:
        return any(map(key.startswith, self._subscriptions))

    async def _follow(self, publisher: Any) -> None:
        """Keeps the subscriptions that there are."""
        while True:
            message: bytes = await publisher.recv()
            prefix = message[1:].decode("utf-8", "replace")
            if message[:1] == b"\1":
                self._subscriptions.add(prefix)
            else:
                self._subscriptions.discard(prefix)

    def _changed(self, change: Change) -> None:
        for event in change.events:
            self._publish(event)

    def _publish(self, event: Event) -> None:
        if self._publisher is None:
            return
        message = hook_matching.as_base64(event)
        for key in event.keys:
            if self.heard(key):
                self._publisher.send_multipart([key.encode(), message])
                self.published += 1

    async def _take(self, replier: Any) -> None:
        """Logs what executors outside have run."""
        while True:
            message: bytes = await replier.recv()
            try:
                self._log(message)
            except Exception:
                log.exception("the result of a hook could not be taken")
            await replier.send(b"ACK")

    def _log(self, message: bytes) -> None:
        found = _RESULT.fullmatch(message.strip())
        hook_id = int(found[2]) if found else -1
        execution = result_of(found[3], int(found[1])) if found else None
        if execution is None or hook_id not in self._cloud.state.pools["hook_pool"].entries:
            log.warning("something that is no result of a hook was sent to the replier")
            return
        self._cloud.execute(partial(_note, hook_id=hook_id, execution=execution), Inputs(internal=True))

    async def stop(self) -> None:
        if self._again is not None:
            self._again.cancel()
        publisher, self._publisher = self._publisher, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._context is not None and publisher is not None:
            self._context.destroy(linger=500)
            self._context = None


def result_of(coded: bytes, code: int) -> Execution | None:
    """The execution that an executor outside tells of, None when it is none."""
    try:
        text = b64decode(coded, validate=True).decode()
        if "<!" in text:
            return None
        root = ElementTree.fromstring(f"<R>{text}</R>")  # noqa: S314 - without declarations
    except (ValueError, ElementTree.ParseError):
        return None
    return Execution(
        command=root.findtext("EXECUTION_RESULT/COMMAND", ""),
        arguments=root.findtext("ARGUMENTS", ""),
        stdout=root.findtext("EXECUTION_RESULT/STDOUT", "") or "",
        stderr=root.findtext("EXECUTION_RESULT/STDERR", "") or "",
        code=code,
        remote_host=root.findtext("REMOTE_HOST", ""),
        retry=root.find("RETRY") is not None,
    )


def _note(tx: Transaction, *, hook_id: int, execution: Execution) -> int:
    return hook_log.note(tx, hook_id, execution)
