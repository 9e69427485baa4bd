"""Who may be connected to a service beside the core."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from merope.services.connections import Census, Watched

Open = Callable[[], "asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]"]


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    census = Census(2)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Watched(census, Echo, silence=0.2), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_one_address_has_so_many_connections_and_no_more(port: int) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for reader, writer in opened:
        writer.write(b"x")
        assert await reader.read(1) == b"x"
    reader, third = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    opened[0][1].close()
    await opened[0][1].wait_closed()
    while True:
        reader, fourth = await asyncio.open_connection("127.0.0.1", port)
        fourth.write(b"y")
        if await reader.read(1) == b"y":
            break
    for writer in (third, fourth, opened[1][1]):
        writer.close()


async def test_who_says_nothing_is_sent_away(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
