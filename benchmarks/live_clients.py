"""Many WebSocket clients that only count what they receive, so that they use little of the machine."""

import asyncio
import base64
import os
import struct
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final, Self, cast

import orjson

PROTOCOL: Final = "graphql-transport-ws"
INIT: Final = orjson.dumps({"type": "connection_init"})
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
LENGTHS: Final = {126: struct.Struct("!H"), 127: struct.Struct("!Q")}
TOGETHER: Final = 50  # clients that connect before the crowd waits for them
PATIENCE_SECONDS: Final = 120.0


class Client(asyncio.Protocol):
    """One connection of a crowd. `last` is the last event that it received."""

    def __init__(self, host: str, first: bytes, crowd: "Crowd") -> None:
        self.events = 0
        self.last = b""
        self._host = host
        self._first = first
        self._crowd = crowd
        self._rest = b""
        self._open = False
        self._transport: asyncio.Transport | None = None

    def itself(self) -> Self:
        """This client: asyncio wants a function that creates a protocol."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        transport = cast("asyncio.Transport", transport)  # uvloop has a class of its own
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /graphql HTTP/1.1",
            f"Host: {self._host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {PROTOCOL}",
        ]
        transport.write("\r\n".join([*lines, "", ""]).encode())

    def connection_lost(self, error: Exception | None) -> None:
        """Let the crowd fail, unless this client closed the connection."""
        if self._transport is not None:
            self._crowd.fail(f"a connection was lost: {error or 'closed'}")

    def data_received(self, data: bytes) -> None:
        """Split the data into frames."""
        rest = self._rest + data if self._rest else data
        if not self._open:
            head, end, rest = rest.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._open = True
            self.send(INIT)
            self.send(self._first)
        offset = 0
        while len(rest) - offset >= 2:
            size, start = rest[offset + 1], offset + 2
            if size > 125:
                length = LENGTHS[size]
                if len(rest) < start + length.size:
                    break
                size, start = length.unpack_from(rest, start)[0], start + length.size
            if len(rest) < start + size:
                break
            self._receive(rest[offset], rest[start : start + size])
            offset = start + size
        self._rest = rest[offset:]

    def send(self, body: bytes, opcode: int = TEXT) -> None:
        """Send a frame, masked with zeros."""
        assert self._transport is not None
        size = len(body)
        mark = size if size < 126 else 126 if size < 65_536 else 127
        length = LENGTHS[mark].pack(size) if mark > 125 else b""
        self._transport.write(bytes([opcode, 0x80 | mark]) + length + bytes(4) + body)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()

    def _receive(self, opcode: int, body: bytes) -> None:
        if opcode == TEXT:
            self._crowd.count(self, body)
        elif opcode == PING:
            self.send(body, PONG)
        elif opcode != PONG:
            self._crowd.fail(f"a frame of {opcode:#x}: {body!r}")


class Crowd:
    """Clients, and the events that they received together. Unless they have filters, each must get the same number."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.events = 0
        self.whole: list[float] = []
        """The times at which the last client had its first event, its second, and so on."""
        self._reached: list[int] = []  # by how many clients each of these events was received
        self._acknowledged = 0
        self._caught_up = 0
        self._failure = ""
        self._progress = asyncio.Event()

    async def enter(self, address: str, firsts: Sequence[bytes], *, signalled: bool) -> None:
        """Connect a client for each first message; wait until all have caught up, or connected if not `signalled`."""
        host, _, port = address.partition(":")
        loop = asyncio.get_running_loop()
        for number, first in enumerate(firsts, 1):
            client = Client(address, first, self)
            self.clients.append(client)
            await loop.create_connection(client.itself, host, int(port))
            if number % TOGETHER == 0 or number == len(firsts):
                await self._until(lambda: (self._caught_up if signalled else self._acknowledged) >= len(self.clients))

    async def received(self, events: int) -> None:
        """Wait until the clients together received that number of events."""
        await self._until(lambda: self.events >= events)

    async def all_received(self, events: int) -> None:
        """Wait until each client received that number of events."""
        await self._until(lambda: len(self.whole) >= events)

    def leave(self) -> None:
        """Close all connections."""
        for client in self.clients:
            client.close()

    def count(self, client: Client, text: bytes) -> None:
        """Count a message that a client received."""
        if b'"next"' in text:
            if b'"Event"' in text:
                self._event(client, text)
            elif b'"CaughtUp"' in text:
                self._caught_up += 1
        elif b"connection_ack" in text:
            self._acknowledged += 1
        else:
            self.fail(text.decode())
        self._progress.set()

    def fail(self, why: str) -> None:
        """End the measurement: all waiting calls raise a RuntimeError with this reason."""
        self._failure = self._failure or why
        self._progress.set()

    def _event(self, client: Client, text: bytes) -> None:
        number, client.last = client.events, text
        client.events += 1
        self.events += 1
        if number == len(self._reached):
            self._reached.append(0)
        self._reached[number] += 1
        if self._reached[number] == len(self.clients):
            self.whole.append(perf_counter())

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                if self._failure:
                    raise RuntimeError(self._failure)
                self._progress.clear()
                await self._progress.wait()
