"""A client of graphql-transport-ws that sends whatever a test passes, right or wrong."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

PROTOCOL = "graphql-transport-ws"
INIT = {"type": "connection_init"}
ACK = {"type": "connection_ack"}
SECONDS = 60.0
MOST = 64 * 1024**2  # bytes of a message


def subscribe(id: str, query: str, **more: object) -> dict[str, object]:
    """The message that starts an operation."""
    return {"id": id, "type": "subscribe", "payload": {"query": query, **more}}


@dataclass(frozen=True, slots=True)
class Socket:
    """One connection."""

    raw: ClientConnection

    async def say(self, *messages: object) -> None:
        """Send messages: text and bytes unchanged, everything else as JSON."""
        for message in messages:
            await self.raw.send(message if isinstance(message, str | bytes) else orjson.dumps(message).decode())

    async def hear(self) -> Any:
        """The next message."""
        async with asyncio.timeout(SECONDS):
            return orjson.loads(await self.raw.recv())

    async def end(self) -> tuple[int, str, list[Any]]:
        """How the server closes the connection, and what it sent before that."""
        heard = []
        try:
            while True:
                heard.append(await self.hear())
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "the connection broke off without a close frame"
            return closed.rcvd.code, closed.rcvd.reason, heard

    async def is_open(self) -> bool:
        """Whether the server still answers; everything it sent before must have been received."""
        await self.say({"type": "ping"})
        return bool(await self.hear() == {"type": "pong"})


@asynccontextmanager
async def open_socket(
    url: str, *, init: bool = True, protocols: Sequence[str] = (PROTOCOL,), origin: str | None = None
) -> AsyncIterator[Socket]:
    """A connection for the length of the block, initialized unless the arguments say otherwise."""
    asked = [Subprotocol(protocol) for protocol in protocols] or None
    given = None if origin is None else Origin(origin)
    async with connect(url, subprotocols=asked, origin=given, max_size=MOST) as raw:
        socket = Socket(raw)
        if init:
            await socket.say(INIT)
            assert await socket.hear() == ACK
        yield socket
