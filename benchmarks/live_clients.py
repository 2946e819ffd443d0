"""Many WebSocket clients that do nothing but count what they are sent, so that little of the machine is theirs."""

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
TOGETHER: Final = 50  # clients that are let in before they are waited for
PATIENCE_SECONDS: Final = 120.0


class Client(asyncio.Protocol):
    """One connection of a crowd. `last` is the last event that it was sent."""

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
        """For asyncio, which wants to make its protocols."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
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
        """Say so, unless the end was ours."""
        if self._transport is not None:
            self._crowd.fail(f"a connection was lost: {error or 'closed'}")

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        rest = self._rest + data if self._rest else data
        if not self._open:
            head, end, rest = rest.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._open = True
            self.say(INIT)
            self.say(self._first)
        place = 0
        while len(rest) - place >= 2:
            size, start = rest[place + 1], place + 2
            if size > 125:
                length = LENGTHS[size]
                if len(rest) < start + length.size:
                    break
                size, start = length.unpack_from(rest, start)[0], start + length.size
            if len(rest) < start + size:
                break
            self._hear(rest[place], rest[start : start + size])
            place = start + size
        self._rest = rest[place:]

    def say(self, body: bytes, opcode: int = TEXT) -> None:
        """Send a frame, masked with zeros."""
        assert self._transport is not None
        size = len(body)
        mark = size if size < 126 else 126 if size < 65_536 else 127
        length = LENGTHS[mark].pack(size) if mark > 125 else b""
        self._transport.write(bytes([opcode, 0x80 | mark]) + length + bytes(4) + body)

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()

    def _hear(self, opcode: int, body: bytes) -> None:
        if opcode == TEXT:
            self._crowd.hear(self, body)
        elif opcode == PING:
            self.say(body, PONG)
        elif opcode != PONG:
            self._crowd.fail(f"a frame of {opcode:#x}: {body!r}")


class Crowd:
    """Clients, and what all of them heard together. Each must be sent the same number of events, but for filters."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.events = 0
        self.whole: list[float] = []
        """When the last of the clients had its first event, its second, and so on."""
        self._reached: list[int] = []  # by how many clients each of these was
        self._acknowledged = 0
        self._caught_up = 0
        self._failure = ""
        self._something = asyncio.Event()

    async def enter(self, address: str, firsts: Sequence[bytes], *, signalled: bool) -> None:
        """Connect a client for each first message, and wait until they follow, or without a signal are let in."""
        host, _, port = address.partition(":")
        loop = asyncio.get_running_loop()
        for number, first in enumerate(firsts, 1):
            client = Client(address, first, self)
            self.clients.append(client)
            await loop.create_connection(client.itself, host, int(port))
            if number % TOGETHER == 0 or number == len(firsts):
                await self._until(lambda: (self._caught_up if signalled else self._acknowledged) >= len(self.clients))

    async def heard(self, events: int) -> None:
        """Wait until they heard so many events together."""
        await self._until(lambda: self.events >= events)

    async def all_heard(self, events: int) -> None:
        """Wait until each of them heard so many events."""
        await self._until(lambda: len(self.whole) >= events)

    def leave(self) -> None:
        """Close all."""
        for client in self.clients:
            client.close()

    def hear(self, client: Client, text: bytes) -> None:
        """Count what a client was sent."""
        if b'"next"' in text:
            if b'"Event"' in text:
                self._event(client, text)
            elif b'"CaughtUp"' in text:
                self._caught_up += 1
        elif b"connection_ack" in text:
            self._acknowledged += 1
        else:
            self.fail(text.decode())
        self._something.set()

    def fail(self, why: str) -> None:
        """End the waiting: nothing more is to be measured."""
        self._failure = self._failure or why
        self._something.set()

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
                self._something.clear()
                await self._something.wait()
