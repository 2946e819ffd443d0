"""Many WebSocket clients that do nothing but count what they are sent, so that little of the machine is theirs."""

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Final, cast

import orjson

PROTOCOL: Final = "graphql-transport-ws"
INIT: Final = orjson.dumps({"type": "connection_init"})


class Client(asyncio.Protocol):
    """One connection. `heard` is called with each text."""

    def __init__(self, host: str, first: bytes, heard: Callable[[bytes], None]) -> None:
        self._host = host
        self._first = first
        self._heard = heard
        self._rest = b""
        self._open = False
        self._transport: asyncio.Transport | None = None

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
            if size == 126:
                if len(rest) < start + 2:
                    break
                size, start = struct.unpack_from("!H", rest, start)[0], start + 2
            elif size == 127:
                raise NotImplementedError("frames of over 64 KiB are not sent here")
            if len(rest) < start + size:
                break
            if rest[place] == 0x81:
                self._heard(rest[start : start + size])
            place = start + size
        self._rest = rest[place:]

    def say(self, text: bytes) -> None:
        """Send a text frame, masked with zeros."""
        assert self._transport is not None
        size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack("!H", len(text))
        self._transport.write(b"\x81" + size + bytes(4) + text)

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.abort()


class Crowd:
    """Clients, and what all of them heard together."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.caught_up = 0
        self.events = 0
        self.last_at = 0.0
        self._clients: list[Client] = []
        self._something = asyncio.Event()

    async def enter(self, address: str, firsts: list[bytes], *, signalled: bool) -> None:
        """Connect a client for each first message, and wait until all follow."""
        host, _, port = address.partition(":")
        loop = asyncio.get_running_loop()
        for first in firsts:
            client = Client(address, first, self._hear)
            await loop.create_connection(partial(_same, client), host, int(port))
            self._clients.append(client)
            if len(self._clients) % 50 == 0 or len(self._clients) == len(firsts):
                await self._until(lambda: (self.caught_up if signalled else self.acknowledged) >= len(self._clients))

    async def heard(self, events: int) -> None:
        """Wait until they heard so many events together."""
        await self._until(lambda: self.events >= events)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(300):
            while not condition():
                self._something.clear()
                await self._something.wait()

    def leave(self) -> None:
        """Close all."""
        for client in self._clients:
            client.close()

    def _hear(self, text: bytes) -> None:
        if b'"next"' in text:
            if b"CaughtUp" in text:
                self.caught_up += 1
            elif b'"__typename":"Event"' in text:
                self.events += 1
                self.last_at = perf_counter()
        elif b"connection_ack" in text:
            self.acknowledged += 1
        self._something.set()


def _same(client: Client) -> Client:
    return client
