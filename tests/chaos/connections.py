"""Connections of a chaos run's subscribers: one operation each, over a WebSocket or as server-sent events.

Their buffers are small on purpose, so that the server notices a stall at once.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

PROTOCOL: Final = Subprotocol("graphql-transport-ws")
OPEN_SECONDS: Final = 10.0
WINDOW: Final = 16_384
SEGMENT: Final = 1460  # as on Ethernet; with the loopback's, the system would buffer megabytes of unread data
# codes after which clients of graphql-transport-ws do not connect again
FATAL: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1010, 1011, 4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500})


class Ended(Exception):
    """The connection is over. `anomaly` says why clients would not connect again; empty if they may."""

    def __init__(self, anomaly: str = "") -> None:
        super().__init__(anomaly)
        self.anomaly = anomaly


class Connection(Protocol):
    """One connection on which one operation runs."""

    @property
    def transport(self) -> asyncio.Transport:
        """The transport, to pause or abort."""
        ...

    async def result(self) -> Any:
        """The next result, with `data` and `errors`; raises Ended after the last one."""
        ...


@dataclass(frozen=True, slots=True)
class Socket:
    """A WebSocket."""

    raw: ClientConnection

    @property
    def transport(self) -> asyncio.Transport:
        """The transport, to pause or abort."""
        return self.raw.transport

    async def result(self) -> Any:
        """The next result."""
        try:
            message = orjson.loads(await self.raw.recv())
        except ConnectionClosed as closed:
            code = 0 if closed.rcvd is None else closed.rcvd.code
            raise Ended(f"was closed with {code}" if code in FATAL else "") from None
        match message["type"]:
            case "next":
                return message["payload"]
            case "error":
                return {"data": None, "errors": message["payload"]}
            case kind:
                raise Ended(f"received {kind}")


@dataclass(frozen=True, slots=True)
class Stream:
    """An event stream."""

    reader: asyncio.StreamReader
    transport: asyncio.Transport

    async def result(self) -> Any:
        """The next result."""
        while True:
            lines = (await self.part(b"\n\n")).split(b"\n")
            if b"event: complete" in lines:
                raise Ended("received complete")
            for line in lines:
                if line.startswith(b"data: "):
                    return orjson.loads(line.removeprefix(b"data: "))

    async def part(self, end: bytes) -> bytes:
        """All bytes through `end`. They are read at once, so a cancelled wait loses nothing; raises Ended."""
        try:
            return await self.reader.readuntil(end)
        except (asyncio.IncompleteReadError, OSError):
            raise Ended from None


@asynccontextmanager
async def socket_to(address: str, query: str, variables: Mapping[str, object]) -> AsyncIterator[Socket]:
    """The operation over a WebSocket, for the length of the block."""
    raw = await _dial(address)
    try:
        async with connect(
            f"ws://{address}/graphql",
            sock=raw,
            subprotocols=[PROTOCOL],
            open_timeout=OPEN_SECONDS,
            close_timeout=0.1,
            ping_interval=None,
            compression=None,
            max_queue=4,
            max_size=None,
        ) as client:
            payload = {"query": query, "variables": variables}
            for message in ({"type": "connection_init"}, {"id": "1", "type": "subscribe", "payload": payload}):
                if message["type"] == "subscribe":
                    assert orjson.loads(await client.recv()) == {"type": "connection_ack"}
                await client.send(orjson.dumps(message).decode())
            yield Socket(client)
    except InvalidStatus as error:
        status = error.response.status_code
        raise Ended("" if status == 503 else f"was answered {status}") from None
    except (ConnectionClosed, InvalidHandshake, EOFError, OSError):  # asyncio's TimeoutError is an OSError
        raise Ended from None
    finally:
        raw.close()


@asynccontextmanager
async def stream_from(address: str, query: str, variables: Mapping[str, object]) -> AsyncIterator[Stream]:
    """The operation as an event stream, for the length of the block."""
    raw = await _dial(address)
    try:
        reader, writer = await asyncio.open_connection(sock=raw, limit=WINDOW)
    except OSError:
        raw.close()
        raise Ended from None
    try:
        body = orjson.dumps({"query": query, "variables": variables})
        # HTTP 1.0, so that the body is not chunked
        head = (
            f"POST /graphql HTTP/1.0\r\nHost: {address}\r\nAccept: text/event-stream\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        stream = Stream(reader, writer.transport)  # type: ignore[arg-type]  # a transport of a socket can be read from
        async with asyncio.timeout(OPEN_SECONDS):
            status, _, _ = (await stream.part(b"\r\n\r\n")).partition(b"\r\n")
        if b" 200 " not in status:
            raise Ended("" if b" 503 " in status else f"was answered {status.decode()}")
        yield stream
    except OSError:
        raise Ended from None
    finally:
        writer.transport.abort()


async def _dial(address: str) -> socket.socket:
    host, _, port = address.partition(":")
    raw = socket.socket()
    try:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        async with asyncio.timeout(OPEN_SECONDS):
            await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    except OSError:
        raw.close()
        raise Ended from None
    return raw
