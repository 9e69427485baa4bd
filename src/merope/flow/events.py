"""The core's events over ZeroMQ. What was missed is not told again: whoever connects anew reads everything.

That a subscription is in force is known when an event has come that was provoked: a call that is refused.
"""

import asyncio
import logging
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

from merope.client.errors import ClientError, OneError
from merope.flow.manager import SUBSCRIPTIONS
from merope.services.core import Core

log = logging.getLogger("merope.flow")

#: A call on nothing: what is heard of it shows that we are heard.
_PROVOKED, _METHOD = "EVENT API one.vm.rename 0", "one.vm.rename"
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
    ) -> None:
        self._endpoint = endpoint
        self._core = core
        self._hear = hear
        self._connected = connected
        self._lost = lost
        self._proved = asyncio.Event()
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
        for prefix in (*SUBSCRIPTIONS, _PROVOKED):
            socket.setsockopt(zmq.SUBSCRIBE, prefix.encode())
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        socket.connect(self._endpoint)
        watching = asyncio.get_running_loop().create_task(self._watch(monitor))
        try:
            while True:
                self._take(await socket.recv_multipart())
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            socket.disable_monitor()
            context.destroy(linger=0)

    def _take(self, parts: list[bytes]) -> None:
        key = parts[0].decode("utf-8", "replace")
        if key.startswith(_PROVOKED):
            if self._word in b64decode(parts[-1]):
                self._proved.set()
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

    async def _prove(self) -> None:
        self._proved.clear()
        tries = 0
        while not self._proved.is_set():
            tries += 1
            if tries == _MANY:
                log.warning(
                    "what is published at %s is not the core's: does another cloud have that port (HM_MAD)?",
                    self._endpoint,
                )
            with suppress(OneError):
                try:
                    await self._core.call("", _METHOD, -1, self._word.decode())
                except OneError:
                    raise
                except ClientError:
                    await asyncio.sleep(_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._proved.wait(), _SECONDS)
        log.info("the core's events at %s are heard", self._endpoint)
        self._connected()
