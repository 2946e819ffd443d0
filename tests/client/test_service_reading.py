"""EventsService reads: history, replays, aggregates and their state, through the API alone."""

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, date, datetime

import orjson
import pytest
from nats.aio.client import Client

from eventscope import EventsService
from eventscope.client.api import ApiClient
from eventscope.client.event import Event, NewEvent
from eventscope.client.filters import FilterArgs
from eventscope.errors import BadInput, NotAnswered, Unavailable
from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.search_limits import SearchLimits
from tests.support.api_server import running_api
from tests.support.event_services import connected_service
from tests.support.processes import eventscope_process
from tests.support.sample_log import fill
from tests.support.until import until

FOR_EVER = {"*": 0.0}


@pytest.fixture
async def reader(api: str) -> AsyncIterator[EventsService]:
    """A service that only reads."""
    async with EventsService.connect(api_url=api) as service:
        yield service


async def test_the_history_is_newest_first_filtered_and_limited(reader: EventsService, log: Log) -> None:
    stored = await fill(log, [_message(n) for n in range(450)], FOR_EVER)
    newest = [event["messageId"] for event in reversed(stored)]
    assert [event.id for event in await reader.get_event_history(limit=430)] == newest[:430]
    assert [event.id for event in await reader.get_event_history(limit=1000)] == newest
    assert [event.id for event in await reader.get_event_history()] == newest[:50]
    assert await reader.get_event_history(limit=0) == []
    some = await reader.get_event_history(
        event_types=["user.*"], user_id="alice", to_timestamp=datetime(2026, 1, 1, 0, 0, 20), limit=3
    )
    assert [event.id for event in some] == ["m20", "m18", "m16"]
    # a single text means the same as a list of one
    assert len(await reader.get_event_history(event_types="user.*", limit=1000)) == 450


async def test_a_range_may_end_with_a_day_or_before_a_time(reader: EventsService, log: Log) -> None:
    times = ["2026-03-10T23:59:59.999999Z", "2026-03-11T00:00:00Z", "2026-03-11T23:59:59.5Z", "2026-03-12T00:00:00Z"]
    await fill(log, [_message(n, timestamp=time) for n, time in enumerate(times)], FOR_EVER)
    day, following = date(2026, 3, 11), date(2026, 3, 12)
    ranges: list[FilterArgs] = [
        {"from_timestamp": day, "to_timestamp": day},
        {"from_timestamp": day, "before_timestamp": following},
        {"from_timestamp": datetime(2026, 3, 11), "before_timestamp": datetime(2026, 3, 12, tzinfo=UTC)},
        {"from_timestamp": day, "to_timestamp": following, "before_timestamp": following},
    ]
    for range in ranges:
        assert [event.id async for event in reader.replay_events(**range)] == ["m1", "m2"]
        assert [event.id for event in await reader.get_event_history(**range)] == ["m2", "m1"]


async def test_a_filter_by_a_value_that_is_not_json_is_refused_before_it_is_sent(reader: EventsService) -> None:
    with pytest.raises(BadInput, match=r"^data is not JSON: NaN at \[1\]\.eq$"):
        await reader.get_event_history(data=[{"path": "a", "eq": None}, {"path": "p", "eq": math.nan}])
    with pytest.raises(
        BadInput, match=r"^metadata is not JSON: the integer 9223372036854775808 at \[0\]\.in\[1\] does"
    ):
        reader.subscribe_to_events(not_={"metadata": [{"path": "p", "in": [1, 2**63]}]})


async def test_conditions_on_content_and_nested_filters_are_written_as_in_graphql(
    reader: EventsService, log: Log
) -> None:
    await fill(log, [_message(n, metadata={"shop": n % 3}) for n in range(30)], FOR_EVER)
    found = await reader.get_event_history(
        data=[{"path": "n", "gte": 3, "lt": 20}],
        metadata=[{"path": "shop", "in": [0, 1]}],
        or_=[
            {"data": [{"path": "n", "lte": 7}]},
            {"user_id": "alice", "from_timestamp": datetime(2026, 1, 1, 0, 0, 15)},
        ],
        not_={"ids": ["m6"], "and_": [{"event_types": ["user.*"]}]},
    )
    assert [event.id for event in found] == ["m18", "m16", "m7", "m4", "m3"]


async def test_reading_continues_after_a_page_that_ended_because_time_was_up(
    settings: Settings, log: Log, client: Client
) -> None:
    rare: FilterArgs = {"data": [{"path": "n", "in": [5, 23, 24, 59]}]}
    async with (
        running_api(settings, SearchLimits(window=7, patience=0.0)) as api,
        EventsService.connect(api_url=str(api.http.base_url)) as reader,
    ):
        await fill(log, [_message(n) for n in range(60)], FOR_EVER)
        assert [event.id for event in await reader.get_event_history(**rare)] == ["m59", "m24", "m23", "m5"]
        assert [event.id for event in await reader.get_event_history(limit=2, **rare)] == ["m59", "m24"]
        assert [event.id async for event in reader.replay_events(**rare)] == ["m5", "m23", "m24", "m59"]


async def test_a_replay_ends_where_the_log_ended_when_the_replay_began(service: EventsService, log: Log) -> None:
    await service.publish_events([NewEvent("user.updated", {"n": n}) for n in range(450)])
    seen = []
    async with aclosing(service.replay_events()) as events:
        async for event in events:
            if event.position == 100:
                await service.publish_event("user.updated", {"n": 450})
            seen.append(event)
    assert [event.data["n"] for event in seen] == list(range(450))
    part = [event async for event in service.replay_events(after=seen[9].cursor, up_to=seen[19].cursor)]
    assert part == seen[10:20]
    assert [event.position async for event in service.replay_events(from_position=450)] == [450, 451]


async def test_the_events_of_an_aggregate_are_complete_and_oldest_first(reader: EventsService, log: Log) -> None:
    await fill(log, [_message(n, aggregateType="user", aggregateId=str(n % 2)) for n in range(450)], FOR_EVER)
    events = await reader.get_events_for_aggregate("user", "1")
    assert [event.version for event in events] == list(range(1, 226))
    assert await reader.get_events_for_aggregate("user", "1", from_version=10, to_version=12) == events[9:12]
    assert await reader.get_events_for_aggregate("user", "2") == []


async def test_unknown_members_of_a_message_are_not_lost(reader: EventsService, log: Log) -> None:
    await fill(log, [b'{"type": "user.created", "name": "Ada"}'], FOR_EVER)
    [event] = await reader.get_event_history()
    assert (event.data, event.extensions) == (None, {"name": "Ada"})


async def test_the_state_is_the_result_of_folding_the_events_with_the_callers_reducer(
    reader: EventsService, log: Log
) -> None:
    await fill(log, [_message(n, aggregateType="counter", aggregateId="c") for n in range(250)], FOR_EVER)

    def add(total: int, event: Event) -> int:
        return total + int(event.data["n"])

    assert await reader.reconstruct_state("c", "counter", 0, add) == sum(range(250))
    assert await reader.reconstruct_state("c", "counter", 5, add, to_version=4) == 5 + 0 + 1 + 2 + 3
    assert await reader.reconstruct_state("no", "counter", 7, add) == 7


async def test_a_state_with_expired_events_is_reported_as_such(
    reader: EventsService, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    about = {"aggregateType": "user", "aggregateId": "1"}
    await fill(log, [_message(n, **about) for n in range(5)], FOR_EVER)
    await log.events.delete_many({"_id": {"$in": [1, 2, 4]}})
    seen: list[int] = await reader.reconstruct_state("1", "user", [], lambda state, event: [*state, event.position])
    assert seen == [3, 5]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "the state of user 1 lacks its versions 1 to 2, which have expired",
        "the state of user 1 lacks its versions 4 to 4, which have expired",
    ]


async def test_reading_waits_for_an_api_that_restarts(settings: Settings, log: Log, client: Client) -> None:
    await fill(log, [_message(n) for n in range(450)], FOR_EVER)
    settings = settings.model_copy(update={"port": free()})
    seen = []
    url = f"http://127.0.0.1:{settings.port}"
    queries = ApiClient(url, retry_seconds=(0.1,) * 600)  # however long it takes to start on this machine
    service = EventsService(None, queries, url)
    async with AsyncExitStack() as on:
        on.push_async_callback(queries.close)
        api = await on.enter_async_context(eventscope_process(settings, "serve", "--no-ingest"))
        await until(lambda: _answers(service))
        async with aclosing(service.replay_events()) as events:
            async for event in events:
                seen.append(event.data["n"])
                if event.position == 100:
                    api.kill()
                    await api.wait()
                    await on.enter_async_context(eventscope_process(settings, "serve", "--no-ingest"))
    assert seen == list(range(450))


async def test_a_service_reports_what_it_was_not_connected_to(api: str, settings: Settings) -> None:
    async with EventsService.connect(api_url=api) as service:
        with pytest.raises(BadInput, match=r"give EventsService\.connect a nats_url"):
            await service.publish_event("a.b")
    async with connected_service(settings) as service:
        for read_ in (service.get_event_history(), service.get_events_for_aggregate("a", "b")):
            with pytest.raises(BadInput, match=r"give EventsService\.connect an api_url"):
                await read_
        with pytest.raises(BadInput, match="api_url"):
            service.subscribe_to_events()


@pytest.mark.parametrize("url", ["", "/graphql", "nats://127.0.0.1", "http://", "http://h:x"])
async def test_an_invalid_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(BadInput, match="not an address like"):
        async with EventsService.connect(api_url=url):
            raise AssertionError


@pytest.mark.parametrize("form", ["{host}", "{host}/", "http://{host}/graphql", "{host}/graphql/"])
async def test_an_address_needs_no_scheme_and_may_end_in_graphql(api: str, log: Log, form: str) -> None:
    async with EventsService.connect(api_url=form.format(host=api.removeprefix("http://"))) as service:
        await fill(log, [_message(1)], FOR_EVER)
        assert [event.id for event in await service.get_event_history()] == ["m1"]
        async with aclosing(service.subscribe_to_events(start="BEGINNING")) as events:
            assert (await anext(events)).id == "m1"


async def test_no_address_at_all_is_refused() -> None:
    with pytest.raises(BadInput, match="give nats_url to publish"):
        async with EventsService.connect():
            raise AssertionError


async def test_missing_servers_are_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"NATS cannot be reached at nats://127.0.0.1:\d+"):
        async with EventsService.connect(f"nats://127.0.0.1:{free()}"):
            raise AssertionError
    async with EventsService.connect(api_url=f"http://127.0.0.1:{free()}") as service:
        with pytest.raises(Unavailable, match="does not answer"):
            await service.get_event_history()


async def test_an_address_without_an_api_is_reported_as_such(api: str) -> None:
    async with EventsService.connect(api_url=f"{api}/nowhere") as service:
        with pytest.raises(NotAnswered, match="answers HTTP 404 and no GraphQL; is api_url right"):
            await service.get_event_history()


async def test_a_refusal_by_the_api_comes_with_its_reason(reader: EventsService) -> None:
    with pytest.raises(BadInput, match="is not a cursor") as refused:
        await anext(reader.replay_events(after="x"))
    assert refused.value.field == "after"
    with pytest.raises(BadInput, match="limit is -1"):
        await reader.get_event_history(limit=-1)
    with pytest.raises(TypeError, match="'event_type' is not a filter"):
        await reader.get_event_history(event_type="a")  # type: ignore[call-arg]


def _message(n: int, **more: object) -> bytes:
    return orjson.dumps(
        {
            "type": "user.updated",
            "messageId": f"m{n}",
            "timestamp": f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z",
            "userId": "bob" if n % 2 else "alice",
            "data": {"n": n},
            **more,
        }
    )


async def _answers(service: EventsService) -> bool:
    try:
        await service.get_event_history(limit=1)
    except Unavailable:
        return False
    return True
