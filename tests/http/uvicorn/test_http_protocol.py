"""Connections that send nothing or half a request, or read nothing: none blocks the server or its health checks."""

import asyncio
import logging
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import orjson
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from eventscope.http.uvicorn import bounds as bounds_
from eventscope.http.uvicorn.bounds import SPARE, Bounds, bounds, raise_descriptors
from eventscope.http.uvicorn.listen import listen
from eventscope.server.api import config
from eventscope.settings import Settings
from tests.support.until import until

HALF = b"GET / HTTP/1.1\r\nHost: x\r\n"
WHOLE = HALF + b"\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 32 * 1024**2


@dataclass
class Server:
    """A server on a port; it records what it gave up and which bodies its application received."""

    port: int
    reasons: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    own: uvicorn.Server | None = None
    release: asyncio.Event = field(default_factory=asyncio.Event)
    """Requests for /held are answered after that."""

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    async def answer(self, sent: bytes) -> bytes:
        """All that arrives until the server closes the connection."""
        reader, writer = await self.open(sent)
        try:
            async with asyncio.timeout(30):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def serving(within: Bounds) -> AsyncIterator[Server]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await server.release.wait()
            return
        whole = b""
        while True:
            message = await receive()
            whole += message.get("body", b"")
            if message["type"] == "http.disconnect" or not message["more_body"]:
                server.heard.append(message["type"])
                server.bodies.append(whole)
                break
        if scope["path"] == "/held":
            await server.release.wait()
        body = b"x" * LARGE if scope["path"] == "/large" else b"fine"
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with listen("127.0.0.1", 0) as listener:
        server = Server(listener.getsockname()[1])
        within.on_drop = server.reasons.append
        server.own = uvicorn.Server(config(app, within))
        running = asyncio.create_task(server.own.serve(sockets=[listener]))
        await until(lambda: server.own is not None and server.own.started)
        try:
            yield server
        finally:
            server.own.should_exit = server.own.force_exit = True
            await running


async def test_endless_headers_are_answered_with_408(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Bounds(header_seconds=0.2)) as server:
        answer = await server.answer(HALF)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}
        assert server.reasons == ["headers"]
        assert await server.answer(b"") == b"", "who says nothing at all is answered nothing"
        reader, writer = await server.open(WHOLE)
        assert b"200 OK" in await reader.readline()
        writer.write(HALF)  # of a second request on the same connection
        assert b"HTTP/1.1 408 " in await reader.read()
        writer.close()


async def test_invalid_http_is_answered_with_400_in_the_form_of_all_errors() -> None:
    async with serving(Bounds()) as server:
        answer = await server.answer(b"hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    [error] = orjson.loads(answer.partition(b"\r\n\r\n")[2])["errors"]
    assert (error["message"], error["extensions"]) == ("Invalid HTTP request received.", {"code": "BAD_USER_INPUT"})


async def test_an_endless_body_is_answered_with_408_and_the_application_is_notified() -> None:
    async with serving(Bounds(body_seconds=0.2)) as server:
        sent = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
        assert (await server.answer(sent)).startswith(b"HTTP/1.1 408 ")
        await until(lambda: server.heard == ["http.disconnect"])
        assert server.reasons == ["body"]


async def test_a_request_that_arrives_in_pieces_but_in_time_is_answered() -> None:
    async with serving(Bounds(header_seconds=20, body_seconds=20)) as server:
        reader, writer = await server.open()
        for part in (b"POST / HT", b"TP/1.1\r\nHost: x\r\nContent-Le", b"ngth: 4\r\n\r\nbo", b"dy"):
            writer.write(part)
            await writer.drain()
        assert b"200 OK" in await reader.readline()
        writer.close()


async def test_a_client_that_reads_nothing_of_an_answer_is_cut_off_and_a_slow_one_is_served() -> None:
    async with serving(Bounds(slow_seconds=0.2)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as stuck:
            stuck.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: server.reasons == ["slow"])
        answer = await server.answer(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert len(answer) > LARGE


async def test_a_connection_on_which_no_request_follows_is_closed_but_not_while_its_request_is_being_answered() -> None:
    async with serving(Bounds(idle_seconds=0.2)) as server:
        held, writer = await server.open(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await server.answer(WHOLE + WHOLE)).count(b"200 OK") == 2
        early = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
        assert (await server.answer(early)).count(b"200 OK") == 1
        server.release.set()
        assert (await held.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        assert server.reasons == []


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with serving(Bounds(idle_seconds=20)) as server:
        reader, writer = await server.open()
        for _ in range(3):
            writer.write(WHOLE)
            assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_health_checks_are_answered_while_all_connections_are_taken_and_everything_else_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(Bounds(connections=20, header_seconds=60)) as server:
        held = [await server.open(HALF) for _ in range(20)]
        reader, writer = await server.open(HEALTH)
        assert b"200 OK" in await reader.readline()
        writer.close()
        turned_away = [await server.answer(WHOLE)]
        upgrade = (
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
        )
        turned_away.append(await server.answer(HALF + upgrade + b"\r\n"))
        for answer in turned_away:
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in head
            assert orjson.loads(body)["errors"][0]["extensions"] == {"code": "UNAVAILABLE"}
        assert server.reasons == ["full", "full"]
        assert sum("20 connections are open" in record.getMessage() for record in caplog.records) == 1
        for _, one in held:
            one.close()
        assert server.own is not None
        state = server.own.server_state
        await until(lambda: not state.connections)
        assert (await server.answer(HALF + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert "new connections are accepted again" in caplog.text


async def test_of_far_too_many_connections_the_oldest_make_room_for_a_health_check() -> None:
    async with serving(Bounds(connections=5, header_seconds=60, spare_seconds=60.0)) as server:
        held = [await server.open(HALF) for _ in range(5 + SPARE + 10)]
        await until(lambda: server.reasons == ["full"] * 10)
        reader, writer = await server.open(HEALTH)
        assert b"200 OK" in await reader.readline()
        assert server.reasons == ["full"] * 11
        assert not any(reader.at_eof() or reader.exception() for reader, _ in held[:5]), (
            "those within it are left alone"
        )
        for _, one in (*held, (reader, writer)):
            one.close()


async def test_a_client_that_sends_nothing_on_a_spare_connection_loses_it_soon() -> None:
    async with serving(Bounds(connections=1, header_seconds=60, spare_seconds=0.2)) as server:
        _, held = await server.open(HALF)
        assert (await server.answer(HALF)).startswith(b"HTTP/1.1 408 ")
        held.close()


@contextmanager
def limited(soft: int) -> Iterator[int]:
    """Sets a soft limit of descriptors; gives the hard one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_of_descriptors_is_raised_as_far_as_needed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with limited(1024) as hard:
        assert raise_descriptors(1000) == 1024, "there are enough"
        assert raise_descriptors(2000) == 2000 == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert "raised the limit of file descriptors from 1024 to 2000" in caplog.text
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] == hard


def test_if_the_hard_limit_is_low_fewer_connections_are_accepted_and_this_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds_, "raise_descriptors", lambda wanted: 1024)
    assert bounds(Settings(), lambda reason: None).connections == 1024 - bounds_.RESERVED
    assert "raise the hard limit" in caplog.text
