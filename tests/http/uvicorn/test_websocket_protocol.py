"""The server's end of a WebSocket: texts sent at once are whole, and a peer that does not answer is disconnected."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from eventscope.http.uvicorn.websocket_protocol import CUT, PUT, WebSocketProtocol
from eventscope.server.api import config
from tests.support.until import until

Put = Callable[[bytes, bytes, bytes], bool]


class App:
    """Accepts the connection, and lets the test do the rest."""

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.ended: int | None = None
        self._send: Send | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it ends."""
        await receive()
        await send({"type": "websocket.accept"})
        self.scope, self._send = scope, send
        while (message := await receive())["type"] != "websocket.disconnect":
            pass
        self.ended = message["code"]

    def put(self, prefix: bytes, body: bytes, suffix: bytes = b"}") -> bool:
        """Send the text without waiting."""
        way: Put = self.scope["extensions"][PUT]
        return way(prefix, body, suffix)

    async def say(self, text: str) -> None:
        """Send the text; may wait."""
        assert self._send is not None
        await self._send({"type": "websocket.send", "text": text})


class HastyProtocol(WebSocketProtocol):
    """Does not wait long for a peer to close."""

    close_seconds = 0.1


@asynccontextmanager
async def running(
    app: App, ping: float = 20.0, protocol: type[WebSocketProtocol] = WebSocketProtocol
) -> AsyncIterator[str]:
    """Serves the application as in production; gives the address of its sockets."""
    chosen = config(app)
    chosen.ws = protocol
    chosen.ws_ping_interval = chosen.ws_ping_timeout = ping
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(chosen)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 65_535, 65_536, 200_000])
async def test_a_text_of_any_size_arrives_completely(size: int) -> None:
    app = App()
    async with running(app) as url, connect(url, max_size=None) as client:
        await until(lambda: bool(app.scope))
        for letter in ("x", "ö"):
            body = (letter * size).encode()
            assert app.put(b"", body, b"")
            assert await client.recv() == letter * size
        assert app.put(b'{"id":', b'"1"')
        assert await client.recv() == '{"id":"1"}'


async def test_nothing_is_sent_at_once_without_room_and_all_of_it_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = App()
    async with running(app) as url, connect(url, max_size=None, max_queue=None) as client:
        await until(lambda: bool(app.scope))
        client.transport.pause_reading()
        sent = 0
        while app.put(b"", b"x" * 100_000):
            sent += 1
        assert sent < 1_000
        client.transport.resume_reading()
        for _ in range(sent):
            assert len(await client.recv()) == 100_001
        await until(lambda: app.put(b"", b"x"))


async def test_nothing_is_sent_after_the_end() -> None:
    app = App()
    async with running(app) as url:
        async with connect(url):
            await until(lambda: bool(app.scope))
        await until(lambda: app.ended is not None)
        assert not app.put(b"", b"x")


async def test_a_client_that_is_cut_off_is_gone_at_once_whatever_waits_for_it() -> None:
    app = App()
    async with running(app) as url, connect(url) as client:
        await until(lambda: bool(app.scope))
        client.transport.pause_reading()
        while app.put(b"", b"x" * 100_000):
            pass
        app.scope["extensions"][CUT]()
        await until(lambda: app.ended is not None)
        client.transport.resume_reading()


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_does_not_answer_is_closed_with_a_code_after_which_clients_reconnect(reads: bool) -> None:
    app = App()
    async with running(app, ping=0.1, protocol=HastyProtocol) as url:
        client = await connect(url, ping_interval=None)
        await until(lambda: bool(app.scope))
        client.transport.pause_reading()
        if not reads:
            while app.put(b"", b"x" * 100_000):
                pass
        await until(lambda: app.ended == 4410)
        client.transport.resume_reading()
        with pytest.raises(OSError):  # and not an error that says that the application is wrong
            await app.say("x")
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await client.recv()
        if reads:
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4410
        await client.close()


@pytest.mark.parametrize("pieces", [(b"\xff\xfe",), (b"\xc3", b"("), (b"fine", b" \xe2\x82")])
async def test_a_text_that_is_not_utf_8_ends_its_connection_without_a_traceback(
    pieces: tuple[bytes, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app = App()
    async with running(app) as url, connect(url) as socket:
        # the client of this library sends bytes as text if asked to, whatever they are
        await socket.send(pieces[0] if len(pieces) == 1 else list(pieces), text=True)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007
        await until(lambda: app.ended)
    assert app.ended == 1007
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("handshake", "status"),
    [
        (b"Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 400),
        (b"Sec-WebSocket-Version: 13\r\n", 400),
    ],
)
async def test_a_handshake_of_another_version_or_without_a_key_is_refused_in_the_form_of_all_errors(
    handshake: bytes, status: int
) -> None:
    async with running(App()) as url:
        host, port = url.removeprefix("ws://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + handshake + b"\r\n"
        )
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    headers = head.lower().split(b"\r\n")
    assert headers[0].startswith(b"http/1.1 %d " % status)
    assert headers.count(b"content-type: application/json") == headers.count(b"content-length: %d" % len(body)) == 1
    [error] = orjson.loads(body)["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert "Sec-WebSocket-" in error["message"]


async def test_a_character_that_is_split_between_frames_is_no_error() -> None:
    app = App()
    async with running(app) as url, connect(url) as socket:
        await socket.send([b"\xc3", b"\xa9"], text=True)
        await until(lambda: app.scope)
        await app.say("still here")
        assert await socket.recv() == "still here"
