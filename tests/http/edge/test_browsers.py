"""A real browser as a client: pages of other origins, and event streams that are interrupted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import uvicorn
from nats.aio.client import Client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from eventscope.http.uvicorn.listen import listen
from eventscope.server.api import config
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.browser import open_page
from tests.support.network_proxy import running_proxy
from tests.support.sample_log import fill
from tests.support.until import until

pytestmark = pytest.mark.browser

ASK = """async ([api, query]) => {
  const tried = async (what) => { try { return await what(); } catch (error) { return String(error); } };
  const headers = { "Content-Type": "application/json", Authorization: "Bearer x", traceparent: "00-1-2-01" };
  const ask = (body) => fetch(`${api}/graphql`, { method: "POST", headers, body });
  const heard = (source) => new Promise((done) => {
    source.addEventListener("next", (event) => { source.close(); done(JSON.parse(event.data)); });
    source.onerror = () => { source.close(); done("error"); };
  });
  const socket = () => new Promise((done) => {
    const socket = new WebSocket(`${api.replace("http", "ws")}/graphql`, "graphql-transport-ws");
    socket.onopen = () => socket.send('{"type": "connection_init"}');
    socket.onmessage = ({ data }) => { socket.close(); done(JSON.parse(data)); };
    socket.onerror = () => done("error");
  });
  return {
    post: await tried(async () => (await ask(JSON.stringify({ query }))).json()),
    get: await tried(async () => (await fetch(`${api}/graphql?query=${encodeURIComponent(query)}`)).json()),
    wrong: await tried(async () => (await ask("{")).status),
    large: await tried(async () => (await ask(" ".repeat(300000))).status),
    rest: await tried(async () => (await fetch(`${api}/events/stats`)).json().then((stats) => stats.totalEvents)),
    stream: await heard(new EventSource(`${api}/graphql?query=${encodeURIComponent(query)}`)),
    socket: await socket(),
  };
}"""
FOLLOW = """([address]) => {
  window.seen = [];
  window.source = new EventSource(address);
  source.addEventListener("next", (event) => {
    const result = JSON.parse(event.data).data;
    const delivery = result.events || result.replay;
    if (delivery.id) seen.push(delivery.id);
  });
}"""


@asynccontextmanager
async def elsewhere() -> AsyncIterator[str]:
    """The origin of a foreign page."""

    async def blank(request: Request) -> Response:
        return HTMLResponse("<!doctype html><title>elsewhere</title>")

    server = uvicorn.Server(config(Starlette(routes=[Route("/", blank)])))
    with listen("127.0.0.1", 0) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        yield f"http://localhost:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


async def stored(log: Log, *numbers: int) -> None:
    await fill(log, [orjson.dumps({"type": "a.b", "messageId": f"m{n}"}) for n in numbers], {"*": 0})


def address(api: RunningApi) -> str:
    return str(api.http.base_url).rstrip("/")


async def asked_from(origin: str, api: RunningApi) -> Any:
    async with open_page(f"{origin}/") as page:
        return await page.evaluate(ASK, [address(api), "{ log { head } }"])


@pytest.mark.parametrize("star", [False, True])
async def test_a_page_of_a_listed_origin_queries_subscribes_and_reads_errors(
    settings: Settings, log: Log, client: Client, star: bool
) -> None:
    await stored(log, 1, 2)
    head = {"data": {"log": {"head": 2}}}
    async with (
        elsewhere() as origin,
        running_api(settings.model_copy(update={"origins": ("*",) if star else (origin,)})) as api,
    ):
        assert await asked_from(origin, api) == {
            "post": head,
            "get": head,
            "wrong": 400,
            "large": 413,
            "rest": 2,
            "stream": head,
            "socket": {"type": "connection_ack"},
        }


async def test_a_page_of_another_origin_gets_nothing(settings: Settings, log: Log, client: Client) -> None:
    async with (
        elsewhere() as origin,
        elsewhere() as other,
        running_api(settings.model_copy(update={"origins": (other,)})) as api,
    ):
        assert await asked_from(origin, api) == {
            **dict.fromkeys(("post", "get", "wrong", "large", "rest"), "TypeError: Failed to fetch"),
            **dict.fromkeys(("stream", "socket"), "error"),
        }


async def test_an_event_source_misses_and_repeats_nothing_when_its_connection_breaks(
    settings: Settings, log: Log, client: Client
) -> None:
    await stored(log, 0)
    query = "subscription{events{__typename ...on Event{id}}}"
    async with (
        running_api(settings) as api,
        running_proxy(api.http.base_url.port or 0) as line,
        open_page(f"http://127.0.0.1:{line.port}/healthz") as page,
    ):
        await page.evaluate(FOLLOW, [f"/graphql?query={query}"])
        await page.wait_for_function("source.readyState == EventSource.OPEN")
        await until(lambda: api.services.hub.state().count == 1)
        for n in (1, 3):
            await stored(log, n)
            await page.wait_for_function(f"seen.at(-1) == 'm{n}'")
            await line.cut()
            await stored(log, n + 1)
            await line.heal()
            await page.wait_for_function(f"seen.at(-1) == 'm{n + 1}'")
        assert await page.evaluate("seen") == [f"m{n}" for n in range(1, 5)]


async def test_an_event_source_does_not_reconnect_after_a_complete_replay(
    settings: Settings, log: Log, client: Client
) -> None:
    await stored(log, *range(5))
    query = "subscription{replay{...on Event{id}}}"
    async with running_api(settings) as api, open_page(f"{address(api)}/healthz") as page:
        await page.evaluate(FOLLOW, [f"/graphql?query={query}"])
        await page.wait_for_function("source.readyState == EventSource.CLOSED")
        assert await page.evaluate("seen") == [f"m{n}" for n in range(5)]
