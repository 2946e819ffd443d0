"""EventsService follows: exactly the events of the log after a place in it, in order, whatever breaks."""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from websockets.asyncio.server import ServerConnection, serve

from eventscope import EventsService
from eventscope.background import end
from eventscope.client.event import Event, NewEvent
from eventscope.client.subscription import PROTOCOL, RetentionGap
from eventscope.dev.servers import Mongod
from eventscope.errors import BadInput, NotAnswered, Unavailable
from eventscope.processes.ports import free
from eventscope.resolvers import cursor, same_log
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.stats import expiry
from eventscope.store.values.moment import DAY
from tests.support.api_server import RunningApi, running_api
from tests.support.event_services import connected_service
from tests.support.killable_servers import freeze
from tests.support.processes import eventscope_process, mongod_process
from tests.support.sample_log import fill
from tests.support.until import until

INTERRUPTED = "the subscription was interrupted"


@pytest.fixture
async def served_api(settings: Settings, log: Log, client: Client, ingesting: None) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


@pytest.fixture
async def service(settings: Settings, served_api: RunningApi) -> AsyncIterator[EventsService]:
    """A service over an empty log, with an ingester at work."""
    async with connected_service(settings, str(served_api.http.base_url)) as service:
        yield service


async def take(events: AsyncGenerator[Event, None], count: int) -> list[Event]:
    async with asyncio.timeout(60):
        return [await anext(events) for _ in range(count)]


async def publish(service: EventsService, count: int, type: str = "user.updated", start: int = 0) -> None:
    await service.publish_events([NewEvent(type, {"n": n}) for n in range(start, start + count)])


def numbers(events: list[Event]) -> list[int]:
    return [event.data["n"] for event in events]


async def test_from_the_beginning_past_events_come_first_and_then_new_ones(service: EventsService) -> None:
    await publish(service, 300)
    async with aclosing(service.subscribe_to_events(start="BEGINNING")) as events:
        assert numbers(await take(events, 300)) == list(range(300))
        await publish(service, 10, start=300)
        assert numbers(await take(events, 10)) == list(range(300, 310))


async def test_from_now_only_new_events_come(service: EventsService, served_api: RunningApi) -> None:
    await publish(service, 5)
    async with aclosing(service.subscribe_to_events()) as events:
        taking = asyncio.create_task(take(events, 5))
        await until(lambda: served_api.services.feed.subscribers == 1)
        await publish(service, 5, start=5)
        assert numbers(await taking) == list(range(5, 10))


async def test_after_a_cursor_comes_the_next_event(service: EventsService) -> None:
    await publish(service, 10)
    fourth = (await service.get_event_history(limit=7))[-1]
    async with aclosing(service.subscribe_to_events(after=fourth.cursor)) as events:
        assert numbers(await take(events, 6)) == list(range(4, 10))


async def test_only_matching_events_come_and_they_equal_those_that_are_read(service: EventsService) -> None:
    await publish(service, 3, "other.happened")
    await service.publish_event("user.created", {"n": 1}, aggregate_type="user", aggregate_id="1")
    await publish(service, 3, "user.updated")
    events = service.subscribe_to_events(
        start="BEGINNING", event_types=["user.*"], aggregate_type="user", aggregate_id="1"
    )
    async with aclosing(events):
        assert await take(events, 1) == await service.get_events_for_aggregate("user", "1")


async def test_a_callback_gets_each_event_until_it_is_cancelled(service: EventsService) -> None:
    plain: list[int] = []
    waited: list[int] = []

    async def later(event: Event) -> None:
        await asyncio.sleep(0)
        waited.append(event.data["n"])

    tasks = [
        asyncio.create_task(service.subscribe_to_events(callback, start="BEGINNING"))
        for callback in (lambda event: plain.append(event.data["n"]), later)
    ]
    await publish(service, 20)
    await until(lambda: len(plain) == len(waited) == 20)
    assert plain == waited == list(range(20))
    for task in tasks:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_callback_that_fails_ends_the_subscription_with_its_own_error(
    service: EventsService, served_api: RunningApi
) -> None:
    def fail(event: Event) -> None:
        raise ConnectionError(event.data["n"])  # which must not be mistaken for a broken connection

    await publish(service, 1)
    with pytest.raises(ConnectionError, match="0"):
        await service.subscribe_to_events(fail, start="BEGINNING")
    await until(lambda: served_api.services.feed.subscribers == 0)


async def test_leaving_the_iteration_ends_the_subscription(service: EventsService, served_api: RunningApi) -> None:
    await publish(service, 3)
    async for event in service.subscribe_to_events(start="BEGINNING"):
        assert served_api.services.feed.subscribers == 1
        if event.data["n"] == 1:
            break
    await until(lambda: served_api.services.feed.subscribers == 0)


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
            await fill(log, [_message(n) for n in range(3)], {"*": 0.0})
        api = await stack.enter_async_context(running_api(own))
        service = await stack.enter_async_context(EventsService.connect(api_url=str(api.http.base_url)))
        freeze(mongod.pid)
        async with aclosing(service.subscribe_to_events(start="BEGINNING")) as events:
            taking = asyncio.create_task(take(events, 3))
            await until(lambda: f"{INTERRUPTED} (the answer took longer than 0.5 seconds" in caplog.text)
            mongod.send_signal(signal.SIGCONT)
            assert numbers(await taking) == [0, 1, 2]


@pytest.fixture
async def expired(log: Log, settings: Settings) -> list[str]:
    """A log whose `short.*` events have expired, between others that have not; gives the cursors of the latter."""
    past = log.clock() - 3 * DAY
    async with open_log(settings.mongo_url, settings.mongo_database, clock=lambda: past) as then:
        messages = [_message(n, type=f"{'short' if n in (1, 2, 4) else 'long'}.lived") for n in range(6)]
        await fill(then, messages, {"*": 0.0, "short.*": 1.0})
    await expiry.tidy(log)
    tag = await same_log.tag(log)
    return [cursor.encode("e", position, tag=tag) for position in (1, 4, 6)]


async def test_expired_events_are_reported_and_events_between_them_are_delivered(
    expired: list[str], service: EventsService, log: Log
) -> None:
    tag = await same_log.tag(log)
    gaps: list[RetentionGap] = []
    async with aclosing(service.subscribe_to_events(start="BEGINNING", on_gap=gaps.append)) as events:
        assert [event.cursor for event in await take(events, 3)] == expired
    assert gaps == [RetentionGap(cursor.encode("e", 0, tag=tag), cursor.encode("e", 5, tag=tag))]


async def test_expired_events_are_logged_without_a_callback_for_them(
    expired: list[str], service: EventsService, caplog: pytest.LogCaptureFixture
) -> None:
    async with aclosing(service.subscribe_to_events(start="BEGINNING")) as events:
        assert [event.cursor for event in await take(events, 3)] == expired
    assert "have expired and are not delivered" in caplog.text


async def test_when_the_service_is_closed_its_subscriptions_end(settings: Settings, api: str) -> None:
    async with connected_service(settings, api) as service:
        task = asyncio.create_task(service.subscribe_to_events(print))
        events = service.subscribe_to_events(after="e0")
        waiting = asyncio.create_task(anext(events))
        await asyncio.sleep(0)
    for ended in (task, waiting):
        with pytest.raises(Unavailable, match="the service is closed"):
            await ended


async def test_an_error_that_a_retry_cannot_change_is_raised(service: EventsService, served_api: RunningApi) -> None:
    with pytest.raises(BadInput, match="is not a cursor"):
        await anext(service.subscribe_to_events(after="x"))
    with pytest.raises(BadInput, match="lies beyond the end of this log"):
        await anext(service.subscribe_to_events(after="e63"))
    with pytest.raises(TypeError, match="'event_type' is not a filter"):
        service.subscribe_to_events(event_type="a")  # type: ignore[call-overload]
    async with EventsService.connect(api_url=f"{served_api.http.base_url}/nowhere") as lost:
        with pytest.raises(NotAnswered, match="is api_url right"):
            await anext(lost.subscribe_to_events())


async def test_the_reason_why_an_api_refuses_a_websocket_is_raised(
    served_api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def led_here(host: Any, *more: Any, **named: Any) -> Any:
        return look_up("127.0.0.1" if host == "unknown.invalid" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", led_here)
    async with EventsService.connect(api_url=f"http://unknown.invalid:{served_api.http.base_url.port}") as service:
        with pytest.raises(BadInput, match="add the name to EVENTSCOPE_HOSTS"):
            await anext(service.subscribe_to_events())


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


def _message(n: int, type: str = "user.updated") -> bytes:
    return orjson.dumps({"type": type, "data": {"n": n}})


def _more(events: list[Event], count: int) -> bool:
    return len(events) >= count
