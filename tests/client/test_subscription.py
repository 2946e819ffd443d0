"""EventsService follows: exactly the events of the log after a place in it, in order, or the reason why not."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from nats.aio.client import Client

from eventscope import EventsService
from eventscope.client.event import Event
from eventscope.client.subscription import RetentionGap
from eventscope.errors import BadInput, NotAnswered, Unavailable
from eventscope.resolvers import cursor, same_log
from eventscope.settings import Settings
from eventscope.store.log import Log, open_log
from eventscope.store.stats import expiry
from eventscope.store.values.moment import DAY
from tests.client.support.numbered_events import message, numbers, publish, take
from tests.support.api_server import RunningApi, running_api
from tests.support.event_services import connected_service
from tests.support.sample_log import fill
from tests.support.until import until


@pytest.fixture
async def served_api(settings: Settings, log: Log, client: Client, ingesting: None) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


@pytest.fixture
async def service(settings: Settings, served_api: RunningApi) -> AsyncIterator[EventsService]:
    """A service over an empty log, with an ingester at work."""
    async with connected_service(settings, str(served_api.http.base_url)) as service:
        yield service


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


@pytest.fixture
async def expired(log: Log, settings: Settings) -> list[str]:
    """A log whose `short.*` events have expired, between others that have not; gives the cursors of the latter."""
    past = log.clock() - 3 * DAY
    async with open_log(settings.mongo_url, settings.mongo_database, clock=lambda: past) as then:
        messages = [message(n, type=f"{'short' if n in (1, 2, 4) else 'long'}.lived") for n in range(6)]
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
