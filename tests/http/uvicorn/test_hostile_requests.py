"""Requests that are too large beside their bodies, too many at once, or ask for another protocol."""

from collections.abc import Iterator

import pytest

from eventscope.http.uvicorn.bounds import Bounds, bounds
from eventscope.http.uvicorn.http_protocol import MOST_PIPELINED
from eventscope.settings import Settings
from tests.http.uvicorn.test_http_protocol import WHOLE, serving
from tests.support.until import until

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HELD = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
SIZED = b"Content-Length: 4\r\n\r\nbody"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


def test_each_bound_is_that_of_its_setting() -> None:
    settings = Settings(header_seconds=1.5, body_seconds=2.5, client_rate=77)
    found = bounds(settings, lambda reason: None)
    assert (found.header_seconds, found.body_seconds, found.client_rate) == (1.5, 2.5, 77)
    assert found.idle_seconds == Bounds().idle_seconds


def pieces(kind: str) -> Iterator[bytes]:
    """A request that never ends."""
    match kind:
        case "one header":
            yield b"GET / HTTP/1.1\r\nHost: x\r\nA: "
            while True:
                yield b"a" * 10_000
        case "many headers":
            yield b"GET / HTTP/1.1\r\nHost: x\r\n"
            while True:
                yield b"A: b\r\n" * 2_000
        case "address":
            yield b"GET /"
            while True:
                yield b"a" * 10_000
        case "trailers":
            yield POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
            while True:
                yield b"A: b\r\n" * 2_000
        case "chunk extension":
            yield POST + b"Transfer-Encoding: chunked\r\n\r\n4;"
            while True:
                yield b"a" * 10_000


@pytest.mark.parametrize("kind", ["one header", "many headers", "address", "trailers", "chunk extension"])
async def test_what_is_beside_the_body_of_a_request_is_bounded(kind: str) -> None:
    async with serving(Bounds(header_seconds=60, body_seconds=60)) as server:
        _, writer = await server.open()
        sent = 0
        with pytest.raises(ConnectionError):
            for piece in pieces(kind):
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                assert sent < 32 * 1024**2
        assert "large" in server.reasons
        writer.close()


async def test_a_body_in_small_chunks_is_read_whole() -> None:
    async with serving(Bounds()) as server:
        sent = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n"
        reader, writer = await server.open()
        for start in range(0, len(sent), 10_000):
            writer.write(sent[start : start + 10_000])
            await writer.drain()
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        assert server.reasons == []
        writer.close()


async def test_requests_that_wait_for_an_earlier_answer_are_bounded() -> None:
    async with serving(Bounds()) as server:
        last = WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        answers = await server.answer(WHOLE * MOST_PIPELINED + last)
        assert answers.count(b"200 OK") == MOST_PIPELINED + 1
        assert b"400 Bad Request" in await server.answer(HELD + WHOLE * (MOST_PIPELINED + 2))


@pytest.mark.parametrize(
    "rest", [b"Content-Length: 4\r\n\r\nbody", b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("pieces", [1, 2])
async def test_an_upgrade_to_another_protocol_is_ignored_and_the_body_is_read(rest: bytes, pieces: int) -> None:
    """Java's client and `curl --http2` ask for h2c with every request."""
    async with serving(Bounds()) as server:
        upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        reader, writer = await server.open()
        for piece in (POST + upgrade, rest) if pieces == 2 else (POST + upgrade + rest,):
            writer.write(piece)
            await writer.drain()
        assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200 OK")
        assert server.bodies == [b"body"]
        writer.close()


async def test_a_request_after_one_that_asked_for_another_protocol_is_answered_too() -> None:
    async with serving(Bounds()) as server:
        first = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        reader, writer = await server.open(first + WHOLE)
        for _ in range(2):
            assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (b"Content-Length: 4\r\n", b"400"),
        (b"Transfer-Encoding: chunked\r\n", b"400"),
        (b"Cookie: " + b"a" * 9_000 + b"\r\n", b"431"),
        (b"A: b\r\n" * 200, b"431"),
    ],
)
async def test_a_handshake_that_could_not_be_answered_is_refused(more: bytes, status: bytes) -> None:
    async with serving(Bounds()) as server:

        async def is_refused() -> bool:
            # the end of the connection may overtake the answer
            return (await server.answer(HANDSHAKE + more + b"\r\n")).startswith(b"HTTP/1.1 " + status)

        await until(is_refused)


async def test_a_handshake_with_a_long_address_is_refused() -> None:
    async with serving(Bounds()) as server:
        sent = HANDSHAKE.replace(b"GET /", b"GET /" + b"a" * 9_000) + b"\r\n"

        async def is_refused() -> bool:
            return (await server.answer(sent)).startswith(b"HTTP/1.1 431")

        await until(is_refused)


async def test_a_handshake_that_is_not_answered_in_time_is_broken_off() -> None:
    async with serving(Bounds(header_seconds=0.3)) as server:
        assert await server.answer(HANDSHAKE + b"\r\n") == b""
        assert server.reasons == ["headers"]
        server.release.set()
