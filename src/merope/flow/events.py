"""The core's events over ZeroMQ. What was missed is not told again: whoever connects anew reads everything.

That a subscription is in force is known when an event has come that was provoked: a call that is refused.
"""

import asyncio
import logging
from base64 import b64decode
from collections.abc import Callable, Coroutine
from contextlib import suppress
from secrets import token_hex
from typing import Any

from merope.client.errors import ClientError, OneError
from merope.flow.manager import SUBSCRIPTIONS, UPDATES
from merope.services.core import Core

log = logging.getLogger("merope.flow")

#: A call on nothing: what is heard of it shows that we are heard.
_PROVOKED = {
    False: ("EVENT API one.vm.rename 0", "one.vm.rename"),
    True: ("EVENT API one.vm.update 0", "one.vm.update"),
}
_SECONDS = 0.05
#: Tries after which it is said that something is odd.
_MANY = 100


class Events:
    """`hear` gets each event; `connected` says that none is missed from now on, `lost` that some may be."""

    def __init__(
        self,
        endpoint: str,
        core: Core,
        hear: Callable[[str, bytes], None],
        connected: Callable[[], None],
        lost: Callable[[], None],
        heard_updates: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._endpoint = endpoint
        self._core = core
        self._hear = hear
        self._connected = connected
        self._lost = lost
        self._heard_updates = heard_updates
        self._proved = {False: asyncio.Event(), True: asyncio.Event()}
        self._socket: Any = None
        self._wanted = False
        self._listening: asyncio.Task[None] | None = None
        # Another cloud's events may be what is heard at this port.
        self._word = token_hex(12).encode()

    async def run(self) -> None:
        """Until it is cancelled. Raises ImportError where pyzmq is not installed."""
        import zmq
        import zmq.asyncio

        context = zmq.asyncio.Context()
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        for prefix in (*SUBSCRIPTIONS, _PROVOKED[False][0]):
            socket.setsockopt(zmq.SUBSCRIBE, prefix.encode())
        self._socket = socket
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        socket.connect(self._endpoint)
        watching = asyncio.get_running_loop().create_task(self._watch(monitor))
        try:
            while True:
                self._take(await socket.recv_multipart())
        finally:
            self._socket = None
            tasks = [watching, *([self._listening] if self._listening else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            socket.disable_monitor()
            context.destroy(linger=0)

    def _take(self, parts: list[bytes]) -> None:
        key = parts[0].decode("utf-8", "replace")
        about_updates = next(
            (kind for kind, (prefix, _) in _PROVOKED.items() if key.startswith(prefix)), None
        )
        if about_updates is not None:
            if self._word in b64decode(parts[-1]):
                self._proved[about_updates].set()
        elif len(parts) == 2:
            self._hear(key, parts[1])

    async def _watch(self, monitor: "object") -> None:
        import zmq
        import zmq.asyncio
        from zmq.utils.monitor import recv_monitor_message

        assert isinstance(monitor, zmq.asyncio.Socket)
        proving: asyncio.Task[None] | None = None
        while True:
            told = await recv_monitor_message(monitor)
            if proving is not None:
                proving.cancel()
                proving = None
            if told["event"] == zmq.EVENT_DISCONNECTED:
                log.warning("the core's events at %s are not heard any more", self._endpoint)
                self._lost()
            else:
                proving = asyncio.get_running_loop().create_task(self._prove())

    def want_updates(self, wanted: bool) -> None:
        """Whether updates of VMs are to be heard; `heard_updates` is called when they are."""
        if wanted == self._wanted or self._socket is None:
            return
        import zmq

        self._wanted = wanted
        # In this order: what is heard of the second shows that the first is in force.
        for prefix in (UPDATES, _PROVOKED[True][0]):
            self._socket.setsockopt(zmq.SUBSCRIBE if wanted else zmq.UNSUBSCRIBE, prefix.encode())
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        if wanted:
            self._listening = asyncio.get_running_loop().create_task(self._hear_updates())

    async def _hear_updates(self) -> None:
        await self._proof(True)
        with suppress(ClientError):
            # A core that has gone is read anew when it is back.
            await self._heard_updates()

    async def _prove(self) -> None:
        await self._proof(False)
        log.info("the core's events at %s are heard", self._endpoint)
        self._connected()

    async def _proof(self, about_updates: bool) -> None:
        """Returns when what is published is heard here."""
        proved, method = self._proved[about_updates], _PROVOKED[about_updates][1]
        more = (1,) if about_updates else ()
        proved.clear()
        tries = 0
        while not proved.is_set():
            tries += 1
            if tries == _MANY:
                log.warning(
                    "what is published at %s is not the core's: does another cloud have that port (HM_MAD)?",
                    self._endpoint,
                )
            with suppress(OneError):
                try:
                    await self._core.call("", method, -1, self._word.decode(), *more)
                except OneError:
                    raise
                except ClientError:
                    await asyncio.sleep(_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(proved.wait(), _SECONDS)
