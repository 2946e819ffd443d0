"""Requests to an API by any name and from any page, over HTTP and WebSocket."""

import asyncio

import httpx
import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.support.api_server import RunningApi
from tests.support.clients.event_stream import EVENTS
from tests.support.clients.websocket import ACK, INIT, PROTOCOL

QUERY = {"query": "{ log { head } }"}
OURS = "https://ours.example"
DATA = [
    ("POST", "/graphql", "application/json"),
    ("GET", "/graphql", "application/json"),
    ("POST", "/graphql", EVENTS),
    ("GET", "/graphql", EVENTS),
    *(("GET", f"/events/{name}", "*/*") for name in ("history", "replay", "stats", "aggregate")),
]
ORIGINS = "access-control-allow-origin"


async def ask(http: httpx.AsyncClient, method: str, path: str, accept: str, **headers: str) -> httpx.Response:
    """The answer to one fixed query at this address."""
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"accept": accept}
    if path == "/graphql" and method == "GET":
        return await http.get(path, params=QUERY, headers=named)
    if path == "/events/aggregate":
        path += "?aggregateId=u1&aggregateType=user"
    return await http.request(method, path, json=QUERY if method == "POST" else None, headers=named)


async def raw(http: httpx.AsyncClient, *lines: str) -> int:
    """The status of the answer to a request that no client would send."""
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    try:
        writer.write("\r\n".join((*lines, "connection: close", "", "")).encode("latin-1"))
        async with asyncio.timeout(30):
            return int((await reader.readline()).split()[1])
    finally:
        writer.close()


async def shake(api: RunningApi, **headers: str) -> int:
    """The status of the answer to a WebSocket's handshake; 101 if the connection works."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    origin = named.pop("origin", None)
    try:
        async with connect(
            api.socket_url,
            subprotocols=[Subprotocol(PROTOCOL)],
            origin=None if origin is None else Origin(origin),
            additional_headers=named,
        ) as socket:
            await socket.send(orjson.dumps(INIT).decode())
            assert orjson.loads(await socket.recv()) == ACK
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def refusal(response: httpx.Response) -> str:
    """The message of a refusal."""
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    [error] = response.json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    message: str = error["message"]
    return message
