"""Only a few large answers are built at a time, and each makes room for the next, however it was requested."""

import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import nats
import orjson
import pytest
import pytest_asyncio

from eventscope.http.endpoint import MOST_OPERATIONS
from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.settings import Settings
from eventscope.store.log import open_log, prepare
from eventscope.subscriptions.nats import stream
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.event_stream import open_stream
from tests.support.clients.websocket import open_socket, subscribe
from tests.support.sample_log import fill
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = "{ events(first: 3) { nodes { id data } } }"
RELATED = "subscription { replay { ... on Event { related(first: 3) { nodes { data } } } } }"
RESULT = Mapping[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongo_url: str, nats_url: str) -> AsyncIterator[RunningApi]:
    """An API with room for one large answer, and a log of three events that are large together."""
    name = f"permits_{os.getpid()}"
    settings = Settings(
        mongo_url=mongo_url, mongo_database=name, nats_url=nats_url, stream=name, subjects=(f"{name}.>",)
    )
    settings = settings.model_copy(update={"subjects": (f"{name}.>",), "large_answers": 1, "tail_events": 0})
    client = await nats.connect(nats_url)
    await stream.ensure(client.jetstream(), settings.stream, settings.subjects)
    async with open_log(mongo_url, name) as log:
        await prepare(log)
        message = orjson.dumps({"type": "large", "correlationId": "c", "data": {"text": "x" * 400_000}})
        await fill(log, [message] * 3, {"*": 0})
        # a client that does not read is not cut off while another one is answered
        async with running_api(settings, http_limits=HttpLimits(send_seconds=120)) as api:
            yield api
        await log.mongo.client.drop_database(name)
    await client.jetstream().delete_stream(settings.stream)
    await client.close()


async def by_post(api: RunningApi) -> RESULT:
    return await api.answer(LARGE)


async def by_get(api: RunningApi) -> RESULT:
    answer: RESULT = (await api.http.get("/graphql", params={"query": LARGE})).json()
    return answer


async def by_rest(api: RunningApi) -> RESULT:
    answer: RESULT = (await api.http.get("/events/history")).json()
    return answer


async def by_socket(api: RunningApi) -> RESULT:
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", LARGE))
        heard = await socket.hear()
        payload: RESULT = heard["payload"] if heard["type"] == "next" else {"errors": heard["payload"]}
        return payload


async def by_stream(api: RunningApi) -> RESULT:
    async with open_stream(api.http, LARGE) as stream:
        payload: RESULT = (await stream.hear())[1]
        return payload


async def by_subscription(api: RunningApi) -> RESULT:
    async with open_stream(api.http, RELATED) as stream:
        payload: RESULT = (await stream.hear())[1]
        return payload


WAYS = (by_post, by_get, by_rest, by_socket, by_stream, by_subscription)


@pytest.mark.parametrize("ask", WAYS)
async def test_a_large_answer_makes_room_for_the_next_once_it_is_sent(
    api: RunningApi, ask: Callable[[RunningApi], Awaitable[RESULT]]
) -> None:
    for _ in range(2):
        assert "errors" not in await ask(api)
    await until(lambda: not api.services.permits.are_taken)


@pytest.mark.parametrize("ask", WAYS)
async def test_a_large_answer_without_a_permit_is_unavailable_while_a_small_one_is_sent(
    api: RunningApi, ask: Callable[[RunningApi], Awaitable[RESULT]], monkeypatch: pytest.MonkeyPatch
) -> None:
    permits = api.services.permits
    monkeypatch.setattr(permits, "_seconds", 0.05)
    await permits.take()
    try:
        error = (await ask(api))["errors"][0]
        assert error["extensions"]["code"] == "UNAVAILABLE"
        assert "large answers are being prepared" in error["message"]
        assert await api.ask("{ events(first: 1) { nodes { id data } } }")
    finally:
        permits.leave()
    await until(lambda: not permits.are_taken)
    assert "errors" not in await ask(api)


async def test_a_client_that_does_not_read_holds_its_answers_but_no_permit(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.services.permits, "_seconds", 30.0)
    async with open_socket(api.socket_url) as socket:
        socket.raw.transport.pause_reading()
        for n in range(MOST_OPERATIONS):  # more than the system keeps for a connection
            await socket.say(subscribe(str(n), LARGE))
        assert "errors" not in await by_post(api)
        assert "errors" not in await by_post(api)
        socket.raw.transport.abort()


@pytest.mark.parametrize("query", [LARGE, RELATED])
async def test_a_client_that_leaves_while_it_waits_keeps_no_permit_and_nothing_is_logged(
    api: RunningApi, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    permits = api.services.permits
    await permits.take()
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", query))
        await until(lambda: permits._free._waiters)
    permits.leave()
    await until(lambda: not permits.are_taken)
    assert "errors" not in await by_post(api)
    gc.collect()
    assert "never retrieved" not in caplog.text
