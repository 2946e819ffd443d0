"""Interrupted event streams: each result carries a cursor, and a client that reconnects gets the rest."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from eventscope.errors import Unavailable
from eventscope.settings import Settings
from eventscope.store.events import pages as read
from eventscope.store.log import Log, open_log
from eventscope.store.stats import expiry
from eventscope.store.values.moment import DAY
from tests.http.support.feed import FEED, ids_until_caught_up, store_events
from tests.support.api_server import RunningApi
from tests.support.clients.event_stream import Stream, open_stream
from tests.support.sample_log import fill


def last_event_id(stream: Stream) -> dict[str, str]:
    """The header of a client that reconnects."""
    assert stream.last_id is not None
    return {"last-event-id": stream.last_id}


async def test_each_result_has_the_place_from_which_to_resume(api: RunningApi, log: Log) -> None:
    await store_events(log, *range(3))
    cursors = " ".join(f"... on {kind} {{ cursor }}" for kind in ("Event", "CaughtUp", "FellBehind", "Checkpoint"))
    query = f"subscription {{ events(from: BEGINNING) {{ __typename ... on Event {{ id }} {cursors} }} }}"
    async with open_stream(api.http, query) as stream:
        for _ in range(4):
            delivery = (await stream.next())["events"]
            assert stream.last_id == delivery["cursor"]
        await store_events(log, 3)
        while (delivery := (await stream.next())["events"])["__typename"] != "Event":
            assert stream.last_id == delivery["cursor"]
        assert (delivery["id"], stream.last_id) == ("m3", delivery["cursor"])


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("seen", [0, 1, 4, 9])
async def test_a_client_that_reconnects_gets_the_rest_whatever_its_address_requests(
    api: RunningApi, log: Log, method: str, seen: int
) -> None:
    await store_events(log, *range(10))
    for start in ({"from": "BEGINNING"}, {"after": "e1"}, {"from": "NOW"}):
        async with open_stream(api.http, FEED, method=method, **{"from": "BEGINNING"}) as stream:
            for _ in range(seen + 1):
                await stream.next()
        async with open_stream(api.http, FEED, method=method, headers=last_event_id(stream), **start) as stream:
            assert await ids_until_caught_up(stream) == [f"m{n}" for n in range(seen + 1, 10)]


@pytest.mark.parametrize("query", ["{ cursor }", "{ id }"])
async def test_a_result_has_its_cursor_even_if_it_is_not_selected(api: RunningApi, log: Log, query: str) -> None:
    await store_events(log, *range(3))
    async with open_stream(api.http, f"subscription {{ replay {{ ... on Event {query} }} }}") as stream:
        await stream.next()
    async with open_stream(api.http, FEED, headers=last_event_id(stream)) as stream:
        assert await ids_until_caught_up(stream) == ["m1", "m2"]


REPLAY = """subscription ($after: String, $filter: EventFilter) {
  replay(after: $after, filter: $filter) { __typename ... on Event { id } }
}"""


async def replayed_ids(stream: Stream) -> list[str]:
    """The ids of the replayed events, to the end of the replay."""
    ids = []
    while (heard := await stream.hear())[0] == "next":
        if heard[1]["data"]["replay"]["__typename"] == "Event":
            ids.append(heard[1]["data"]["replay"]["id"])
    assert heard == ("complete", None)
    return ids


async def test_an_interrupted_replay_resumes_and_ends_where_it_would_have_ended(api: RunningApi, log: Log) -> None:
    await store_events(log, *range(6))
    async with open_stream(api.http, REPLAY, after="e1") as stream:
        await stream.next()
    await store_events(log, 6, 7)
    async with open_stream(api.http, REPLAY, after="e1", headers=last_event_id(stream)) as stream:
        assert await replayed_ids(stream) == ["m2", "m3", "m4", "m5"]


@pytest.mark.parametrize("filter", [{}, {"eventTypes": ["nothing"]}])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_reconnects_after_the_end_gets_204(
    api: RunningApi, log: Log, method: str, filter: dict[str, object]
) -> None:
    await store_events(log, 1)
    async with open_stream(api.http, REPLAY, method=method, filter=filter) as stream:
        await replayed_ids(stream)
    await store_events(log, 2)
    async with open_stream(api.http, REPLAY, method=method, filter=filter, headers=last_event_id(stream)) as again:
        assert (again.response.status_code, await again.response.aread()) == (204, b"")


async def test_a_client_that_missed_only_the_end_gets_the_end_and_nothing_else(api: RunningApi, log: Log) -> None:
    await store_events(log, 1)
    async with open_stream(api.http, REPLAY) as stream:
        await stream.next()
    await store_events(log, 2)
    async with open_stream(api.http, REPLAY, headers=last_event_id(stream)) as stream:
        assert await replayed_ids(stream) == []


@pytest.mark.parametrize(
    "query",
    [
        *("{ log { head } }", "{", "subscription { nonsense }", 'subscription { events(after: "x") { __typename } }'),
        "{" + "a" + " {a" * 40 + "}" * 41,
    ],
)
async def test_after_an_error_that_would_recur_the_client_does_not_reconnect(api: RunningApi, query: str) -> None:
    async with open_stream(api.http, query) as stream:
        await stream.hear()
        assert await stream.hear() == ("complete", None)
    async with open_stream(api.http, query, headers=last_event_id(stream)) as again:
        assert again.response.status_code == 204


async def test_a_client_that_reconnects_with_an_invalid_place_gets_an_error_and_does_not_reconnect(
    api: RunningApi,
) -> None:
    async with open_stream(api.http, FEED, headers={"last-event-id": "nonsense"}) as stream:
        _, result = await stream.hear()
        assert result["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert await stream.hear() == ("complete", None)
    async with open_stream(api.http, FEED, headers=last_event_id(stream)) as again:
        assert again.response.status_code == 204


@pytest.mark.parametrize(("query", "name"), [(FEED, "events"), (REPLAY, "replay")])
async def test_after_a_temporary_error_the_client_reconnects_with_its_last_place(
    api: RunningApi, log: Log, monkeypatch: pytest.MonkeyPatch, query: str, name: str
) -> None:
    await store_events(log, 1, 2)
    start = {"from": "BEGINNING"} if query is FEED else {}
    page, pages = read.page, 0

    async def failing(*arguments: Any, **more: Any) -> Any:
        nonlocal pages
        pages += 1
        if pages > 1:
            raise Unavailable("MongoDB does not answer")
        found = await page(*arguments, **more)
        return replace(found, events=found.events[:1], stopped_at=found.events[0]["_id"])

    with monkeypatch.context() as patch:
        patch.setattr(read, "page", failing)
        async with open_stream(api.http, query, **start) as stream:
            assert (await stream.next())[name]["id"] == "m1"
            while "errors" not in (heard := await stream.hear())[1]:
                assert heard[0] == "next"
            assert heard[1]["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
            assert await stream.hear() == ("complete", None)
    async with open_stream(api.http, query, headers=last_event_id(stream), **start) as stream:
        assert (await stream.next())[name]["id"] == "m2"


@pytest.mark.parametrize("name", ["events", "replay"])
async def test_a_client_that_reconnects_after_a_gap_gets_events_within_it_that_are_kept_longer(
    api: RunningApi, log: Log, settings: Settings, name: str
) -> None:
    past = log.clock() - 3 * DAY
    async with open_log(settings.mongo_url, settings.mongo_database, clock=lambda: past) as then:
        kinds = ["long", "short", "short", "long", "short", "long"]
        messages = [orjson.dumps({"type": f"{kind}.lived", "messageId": f"m{n}"}) for n, kind in enumerate(kinds)]
        await fill(then, messages, {"*": 0.0, "short.*": 1.0})
    await expiry.tidy(log)
    start = "(from: BEGINNING)" if name == "events" else ""
    query = f"subscription {{ {name}{start} {{ __typename ... on Event {{ id }} }} }}"
    seen: list[str] = []
    headers: dict[str, str] = {}
    for taken in (1, 2, 1, 2, 1, 2):  # the gap, and a disconnection; then the gap once more, and what follows it
        async with open_stream(api.http, query, headers=headers) as stream:
            for _ in range(taken):
                delivery = (await stream.next())[name]
                seen += [delivery["id"]] if delivery["__typename"] == "Event" else []
                headers = last_event_id(stream)
    assert seen == ["m0", "m3", "m5"]


async def test_a_result_without_a_place_is_sent_again_in_its_present_state(api: RunningApi, log: Log) -> None:
    await store_events(log, 1)
    query = "subscription { stats { totalEvents } }"
    async with open_stream(api.http, query) as stream:
        assert (await stream.next())["stats"]["totalEvents"] == 1
        assert stream.last_id is None
    async with open_stream(api.http, query, headers={"last-event-id": "e1"}) as stream:
        assert (await stream.next())["stats"]["totalEvents"] == 1
