"""The floor of live delivery: a bare Starlette route that only sends a prepared text to every socket."""

import asyncio
import os
from contextlib import suppress

import nats
import orjson
import uvicorn
import uvloop
from nats.aio.msg import Msg
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

TEXT = os.environ["TEXT"]
SOCKETS: dict[WebSocket, None] = {}


async def follow(socket: WebSocket) -> None:
    """Serve one client."""
    await socket.accept("graphql-transport-ws")
    with suppress(WebSocketDisconnect):
        while True:
            message = orjson.loads(await socket.receive_text())
            if message["type"] == "connection_init":
                await socket.send_text('{"type":"connection_ack"}')
            else:
                SOCKETS[socket] = None
    SOCKETS.pop(socket, None)


async def send(message: Msg) -> None:
    """Send the text to all, once for each event of the batch."""
    for _ in orjson.loads(message.data)["events"]:
        for socket in tuple(SOCKETS):
            await socket.send_text(TEXT)
        await asyncio.sleep(0)


async def following(request: object) -> PlainTextResponse:
    """The number of clients that events are sent to."""
    return PlainTextResponse(str(len(SOCKETS)))


async def main() -> None:
    """Serve."""
    client = await nats.connect(os.environ["EVENTSCOPE_NATS_URL"])
    await client.subscribe(os.environ["SUBJECT"], cb=send)
    app = Starlette(routes=[Route("/healthz", following), WebSocketRoute("/graphql", follow)])
    config = uvicorn.Config(
        app,
        port=int(os.environ["EVENTSCOPE_PORT"]),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="error",
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
