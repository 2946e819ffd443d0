"""A whole response in one message reaches the client as the same bytes as in the usual two messages."""

import asyncio
import gzip
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
import uvloop
from starlette.types import Message, Receive, Scope, Send

from eventscope.http.edge.compression import compress_from
from eventscope.http.uvicorn import whole_response
from eventscope.http.uvicorn.listen import listen
from eventscope.server.api import config
from tests.support.until import until

DATE = re.compile(rb"date: [^\r]+")
BODY = b"x" * 2_000
REQUESTS = {
    "one request": b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": b"GET %b HTTP/1.0\r\n\r\n",
    "a body": b"POST %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    "one after the other without waiting": b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" * 3
    + b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
}


class Application:
    """Answers `/whole` in one message, and anything else in two; a large answer if the path says so."""

    def __init__(self) -> None:
        self.count = self.sent = 0
        self.received: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert whole_response.is_supported(scope)
        assert (await receive())["type"] == "http.request"
        end = asyncio.ensure_future(receive())
        self.count += 1
        await self.may_answer.wait()
        body = BODY * (10_000 if scope["path"].endswith("large") else 1)
        start: Message = {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"content-length", b"%d" % len(body)), (b"content-type", b"text/plain")],
        }
        if scope["path"].startswith("/whole"):
            await send({**start, "body": body})
        else:
            await send(start)
            await send({"type": "http.response.body", "body": body})
        self.sent += 1
        self.received.append((await end)["type"])


@asynccontextmanager
async def served(app: Application) -> AsyncIterator[int]:
    """The port of a server with that application."""
    async with serving(app) as (port, _):
        yield port


@asynccontextmanager
async def serving(app: Application) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """A server with that application, and its port."""
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(config(app))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        try:
            yield listener.getsockname()[1], server
        finally:
            server.should_exit = server.force_exit = True
            await running


async def exchange(port: int, request: bytes) -> bytes:
    """All bytes that the server sends until it closes the connection, without the date."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(30):
        received = await reader.read()
    writer.close()
    return DATE.sub(b"date", received)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_it_has_the_same_bytes_as_two_messages(request_: bytes) -> None:
    count = request_.count(b"%b")
    async with served(app := Application()) as port:
        whole = await exchange(port, request_.replace(b"%b", b"/whole"))
        assert whole == await exchange(port, request_.replace(b"%b", b"/parts"))
        assert whole.count(b"201 Created") == whole.count(BODY) == count
        await until(lambda: app.received == ["http.disconnect"] * 2 * count)


async def test_the_connection_stays_open_for_the_next_request() -> None:
    async with served(Application()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET /whole HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"201 Created" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(BODY)) == BODY
        writer.close()


async def test_the_next_response_waits_until_a_slow_client_has_read_the_last() -> None:
    request = b"GET /whole/large HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served(app := Application()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request * 3)
        await until(lambda: app.sent == 1)
        for count in (2, 3):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(BODY) * 10_000)
            await until(lambda count=count: app.sent >= count)  # type: ignore[misc]  # mypy infers no type for it
        writer.close()


async def test_nothing_is_sent_to_a_client_that_has_left_and_the_application_is_notified() -> None:
    async with served(app := Application()) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /whole/large HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        await until(lambda: app.sent == 1)
        writer.transport.abort()
        await until(lambda: app.sent == 2)
        await until(lambda: app.received == ["http.disconnect"] * 2)


@pytest.mark.parametrize("path", [b"/whole", b"/parts", b"/whole/large", b"/parts/large"])
def test_a_client_that_leaves_before_its_requests_are_answered_costs_no_error_in_the_log(
    path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # asyncio's own ignores what we write then
        runner.run(_leave_before_an_answer(path))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def _leave_before_an_answer(path: bytes) -> None:
    app = Application()
    app.may_answer.clear()
    async with serving(app) as (port, server):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path * 5)
        await until(lambda: app.count == 1)
        writer.transport.abort()
        await until(lambda: not server.server_state.connections)
        app.may_answer.set()
        await until(lambda: app.received)
        assert set(app.received) == {"http.disconnect"}


@pytest.mark.parametrize("size", [0, 10, 5_000, 200_000])
async def test_it_is_compressed_like_two_messages(size: int) -> None:
    async def sent(*messages: Message) -> list[Message]:
        passed = list[Message]()

        async def send(message: Message) -> None:
            passed.append(message)

        compress = compress_from(send, 1_000)
        for message in messages:
            await compress(message)
        return passed

    body = b"y" * size
    headers = [(b"content-length", b"%d" % size), (b"content-type", b"application/json")]
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    head, rest = await sent(start, {"type": "http.response.body", "body": body})
    [whole] = await sent({**start, "body": body})

    assert whole == {**head, "body": rest["body"]}
    assert (gzip.decompress(whole["body"]) if size > 1_000 else whole["body"]) == body
