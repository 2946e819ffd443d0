"""A subscription that is interrupted resumes after the last event: none is lost, and none is delivered twice."""

import asyncio
import signal
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path

import orjson
import pytest
from nats.aio.client import Client
from websockets.asyncio.server import ServerConnection, serve

from eventscope import EventsService
from eventscope.background import end
from eventscope.client.event import Event
from eventscope.client.subscription import PROTOCOL, RetentionGap
from eventscope.dev.servers import Mongod
from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log, open_log, prepare
from tests.client.support.numbered_events import message, numbers, publish, take
from tests.support.api_server import running_api
from tests.support.event_services import connected_service
from tests.support.killable_servers import freeze
from tests.support.processes import eventscope_process, mongod_process
from tests.support.sample_log import fill
from tests.support.until import until

INTERRUPTED = "the subscription was interrupted"


async def test_an_api_that_is_killed_or_restarted_repeatedly_loses_no_event_and_repeats_none(
    settings: Settings, log: Log, ingesting: None, caplog: pytest.LogCaptureFixture
) -> None:
    """The second follower starts again each time from the cursor that it kept, as after a restart of its service."""
    settings = settings.model_copy(update={"port": free()})
    url = f"http://127.0.0.1:{settings.port}"
    steady: list[Event] = []
    fickle: list[Event] = []
    async with connected_service(settings, url) as service, AsyncExitStack() as stack:
        enough = asyncio.Event()

        async def write() -> None:
            count = 0
            while not enough.is_set():
                if _more(fickle, count - 100):  # otherwise it would never catch up
                    await publish(service, 5, start=count)
                    count += 5
                else:
                    await asyncio.sleep(0.01)

        async def follow() -> None:
            while True:
                after = fickle[-1].cursor if fickle else None
                async with aclosing(service.subscribe_to_events(after=after, start="BEGINNING")) as events:
                    fickle.extend(await take(events, 7))

        following = [
            asyncio.create_task(service.subscribe_to_events(steady.append, start="BEGINNING")),
            asyncio.create_task(follow()),
        ]
        writing = asyncio.create_task(write())
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            async with eventscope_process(settings, "serve", "--no-ingest") as api:
                seen = len(steady), len(fickle)
                await until(partial(_more, steady, seen[0] + 20))
                await until(partial(_more, fickle, seen[1] + 20))
                api.send_signal(number)
                await api.wait()
        enough.set()
        await writing
        whole = await pages.events(log, EVERYTHING, limit=100_000)
        await stack.enter_async_context(eventscope_process(settings, "serve", "--no-ingest"))
        await until(lambda: len(steady) >= len(whole) and len(fickle) >= len(whole) - 7)
        await end(*following)
    expected = [(event["_id"], event["data"]) for event in whole]
    assert [(event.position, event.data) for event in steady] == expected
    assert [(event.position, event.data) for event in fickle] == expected[: len(fickle)]
    assert INTERRUPTED in caplog.text


async def test_while_the_api_cannot_read_the_log_the_subscription_is_retried(
    settings: Settings, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Mongod(tmp_path, free())
    own = settings.model_copy(update={"mongo_url": server.url, "question_seconds": 0.5})
    async with AsyncExitStack() as stack:
        mongod = await stack.enter_async_context(mongod_process(server))
        async with open_log(own.mongo_url, own.mongo_database) as log:
            await prepare(log)
            await fill(log, [message(n) for n in range(3)], {"*": 0.0})
        api = await stack.enter_async_context(running_api(own))
        service = await stack.enter_async_context(EventsService.connect(api_url=str(api.http.base_url)))
        freeze(mongod.pid)
        async with aclosing(service.subscribe_to_events(start="BEGINNING")) as events:
            taking = asyncio.create_task(take(events, 3))
            await until(lambda: f"{INTERRUPTED} (the answer took longer than 0.5 seconds" in caplog.text)
            mongod.send_signal(signal.SIGCONT)
            assert numbers(await taking) == [0, 1, 2]


async def test_a_checkpoint_moves_the_cursor_a_gap_does_not_and_unknown_items_are_skipped() -> None:
    """The server of this test disconnects where the real one cannot be made to.

    Events that are kept longer lie within a gap, so a follower that resumed at its end would miss them.
    """
    asked: list[str | None] = []
    gaps: list[RetentionGap] = []
    deliveries = (
        {"__typename": "Checkpoint", "cursor": "e5"},
        {"__typename": "RetentionGap", "after": "e5", "through": "e9"},
        {"__typename": "SomethingNew"},
    )

    async def answer(socket: ServerConnection) -> None:
        assert orjson.loads(await socket.recv()) == {"type": "connection_init"}
        await socket.send('{"type": "ping"}')
        assert orjson.loads(await socket.recv()) == {"type": "pong"}
        await socket.send('{"type": "connection_ack"}')
        asked.append(orjson.loads(await socket.recv())["payload"]["variables"]["after"])
        for delivery in deliveries:
            message = {"type": "next", "id": "1", "payload": {"data": {"events": delivery}}}
            await socket.send(orjson.dumps(message).decode())
        await socket.send('{"type": "complete", "id": "1"}')

    async with serve(answer, "127.0.0.1", 0, subprotocols=[PROTOCOL]) as server:
        [listener] = server.sockets
        async with EventsService.connect(api_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as service:
            following = asyncio.create_task(service.subscribe_to_events(print, on_gap=gaps.append))
            await until(lambda: len(asked) == 3)
            await end(following)
    assert asked == [None, "e5", "e5"]
    assert gaps == [RetentionGap("e5", "e9")]


def _more(events: list[Event], count: int) -> bool:
    return len(events) >= count
