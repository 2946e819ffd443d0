"""A client that repeats one request over a few lasting connections, and uses little of the machine itself."""

import asyncio
import time
from dataclasses import dataclass
from typing import cast

HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests were answered, and in how many seconds."""

    requests: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def post_request(port: int, body: bytes, path: str = "/graphql") -> bytes:
    """The bytes of a POST request with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Accept: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def answer(port: int, request: bytes) -> bytes:
    """The body of one answer; ends the program unless its status is 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    body = await _body(reader)
    writer.close()
    return body


async def delays(port: int, request: bytes, times: int) -> list[float]:
    """Send the request `times` times over one connection, each after the answer to the last; the seconds of each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        writer.write(request)
        await _body(reader)
        seconds.append(time.perf_counter() - began)
    writer.close()
    return seconds


async def _body(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(HEAD)
    body = await reader.readexactly(_length(head))
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the server answers {head[:40]!r}: {body[:300]!r}")
    return body


async def rate(port: int, request: bytes, seconds: float, connections: int) -> Rate:
    """Repeat the request for `seconds`, over `connections` at a time."""
    loop = asyncio.get_running_loop()
    clients = [
        await loop.create_connection(lambda: _Connection(request), "127.0.0.1", port) for _ in range(connections)
    ]
    began = time.perf_counter()
    for _, connection in clients:
        connection.send()
    await asyncio.sleep(seconds)
    elapsed, count = time.perf_counter() - began, sum(connection.answered for _, connection in clients)
    for transport, _ in clients:
        transport.abort()
    return Rate(count, elapsed)


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes) -> None:
        self._request = request
        self._missing = 0
        self._head = b""
        self.answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, but not of that class

    def send(self) -> None:
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(HEAD)
            if end < 0:
                return
            self._missing = _length(self._head[: end + 4]) - (len(self._head) - end - 4)
            self._head = b""
        if self._missing == 0:
            self.answered += 1
            self.send()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    raise SystemExit(f"no length in {head!r}")
