"""The sample business: believable, consistent, and the same for the same seed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import orjson
import pytest
from nats.js import JetStreamContext

from eventscope.sample.play import PAST, business, play
from eventscope.store.heads import is_deleted_after
from eventscope.store.values.message import AcceptedMessage, Arrival
from eventscope.subscriptions.messages.parse import parse_message
from eventscope.subscriptions.nats.stream import connect
from eventscope.subscriptions.publish.publisher import Publisher

START = datetime(2026, 11, 23, 7, tzinfo=UTC)
DOMAIN = {
    "user.created",
    "user.updated",
    "user.deleted",
    "user.integration.created",
    "user.integration.deleted",
    "user.location.updated",
    "vendor.created",
    "vendor.updated",
    "vendor.deleted",
    "vendor.location.updated",
    "websocket.user.connected",
    "websocket.user.disconnected",
    "websocket.vendor.connected",
    "websocket.vendor.disconnected",
}


def told(count: int, seed: int = 7) -> list[dict[str, Any]]:
    return list(islice(business(seed, START), count))


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return told(20_000)


def histories(events: list[dict[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """The types of the events of each aggregate."""
    found: dict[tuple[str, str], list[str]] = {}
    for event in events:
        found.setdefault((event["aggregateType"], event["aggregateId"]), []).append(event["type"])
    return found


def test_all_fourteen_kinds_of_events_happen(events: list[dict[str, Any]]) -> None:
    assert {event["type"] for event in events} == DOMAIN


def test_the_same_seed_and_start_give_the_same_events_and_others_do_not() -> None:
    assert told(500) == told(500)
    assert told(500) != told(500, seed=8)
    ids = {event["messageId"] for event in told(500)}
    assert not ids & {event["messageId"] for event in islice(business(7, START + timedelta(microseconds=1)), 500)}
    assert list(islice(business(None, START), 5)) != list(islice(business(None, START), 5))


def test_the_ingester_accepts_every_event(events: list[dict[str, Any]]) -> None:
    for event in events:
        assert isinstance(parse_message(Arrival("", {}, orjson.dumps(event), 1, 0), "EVENTS", None), AcceptedMessage)


def test_ids_are_unique_and_time_moves_forward(events: list[dict[str, Any]]) -> None:
    assert len({event["messageId"] for event in events}) == len(events)
    times = [datetime.fromisoformat(event["timestamp"]) for event in events]
    assert times[0] == START
    assert times == sorted(times)


def test_everything_is_created_once_and_nothing_happens_after_its_end(events: list[dict[str, Any]]) -> None:
    for types in histories(events).values():
        assert types[0].endswith(".created")
        assert not any(type.endswith((".created", ".deleted")) for type in types[1:-1])


def test_every_deletion_deletes_its_aggregate(events: list[dict[str, Any]]) -> None:
    deletions = [event for event in events if event["type"].endswith(".deleted")]
    assert {event["aggregateType"] for event in deletions} == {"user", "user.integration", "vendor"}
    assert all(is_deleted_after(False, event["aggregateType"], event["type"]) for event in deletions)


def test_customers_act_only_while_connected_and_disconnect_only_then(events: list[dict[str, Any]]) -> None:
    online: dict[str, str] = {}
    for event in events:
        id, type = event["aggregateId"], event["type"]
        if type.endswith(".connected"):
            assert id not in online
            online[id] = event["data"]["connectionId"]
        elif type.endswith(".disconnected"):
            assert online.pop(id) == event["data"]["connectionId"]
            assert event["data"]["seconds"] >= 0
        elif type.endswith("location.updated") or type in ("user.updated", "vendor.updated"):
            assert id in online


def test_only_what_is_linked_is_unlinked_and_all_of_it_before_its_user_is_deleted(
    events: list[dict[str, Any]],
) -> None:
    linked: dict[str, set[str]] = {}
    for event in events:
        if event["type"] == "user.integration.created":
            linked.setdefault(event["data"]["userId"], set()).add(event["aggregateId"])
        elif event["type"] == "user.integration.deleted":
            linked[event["data"]["userId"]].remove(event["aggregateId"])
        elif event["type"] == "user.deleted":
            assert not linked.get(event["aggregateId"])


def test_each_event_names_an_earlier_one_of_its_story_as_its_cause(events: list[dict[str, Any]]) -> None:
    story: dict[str, str] = {}
    begun: set[str] = set()
    for event in events:
        if "causationId" in event:
            assert story[event["causationId"]] == event["correlationId"]
        else:
            assert event["correlationId"] not in begun
        begun.add(event["correlationId"])
        story[event["messageId"]] = event["correlationId"]
    assert max(Counter(story.values()).values()) >= 5


def test_every_event_records_who_acted_and_why(events: list[dict[str, Any]]) -> None:
    for event in events:
        assert event["userId"]
        assert set(event["metadata"]) == {"reason", "source", "agent", "ip"}
        assert all(event["metadata"].values())
    emails = {event["data"]["email"] for event in events if "email" in event["data"]}
    assert all(email.isascii() and email.endswith("@example.com") for email in emails)


def test_customers_move_at_walking_speed(events: list[dict[str, Any]]) -> None:
    at: dict[str, tuple[float, float]] = {}
    for event in events:
        if event["type"] == "user.location.updated":
            place = (event["data"]["location"]["latitude"], event["data"]["location"]["longitude"])
            before = at.setdefault(event["aggregateId"], place)
            assert abs(place[0] - before[0]) < 0.01
            assert abs(place[1] - before[1]) < 0.01
            at[event["aggregateId"]] = place


def test_the_number_of_customers_and_vendors_stays_within_limits() -> None:
    users = vendors = 0
    for number, event in enumerate(islice(business(7, START), 50_000)):
        users += (event["type"] == "user.created") - (event["type"] == "user.deleted")
        vendors += (event["type"] == "vendor.created") - (event["type"] == "vendor.deleted")
        if number > 1000:
            assert 8 <= users <= 70
            assert 3 <= vendors <= 20


@pytest.fixture
async def js(nats_url: str) -> AsyncIterator[JetStreamContext]:
    async with await connect(nats_url, "test") as client:
        yield client.jetstream()


async def played(publisher: Publisher, count: int, history: int) -> None:
    """Play until this many events are acknowledged."""
    before = publisher.acknowledgements
    task = asyncio.create_task(play(publisher, rate=500, seed=7, history=history))
    async with asyncio.timeout(60):
        while publisher.acknowledgements < before + count and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_run_begins_with_past_events_and_continues_live_with_other_ids_each_time(
    nats_url: str, stream_name: str, subject_prefix: str, js: JetStreamContext
) -> None:
    begun = datetime.now(UTC)
    async with Publisher.connect(nats_url, stream_name, [f"{subject_prefix}.>"]) as publisher:
        await played(publisher, 350, history=300)
        await played(publisher, 10, history=0)

    last = (await js.stream_info(stream_name)).state.last_seq
    kept = [orjson.loads((await js.get_msg(stream_name, n)).data or b"") for n in range(1, last + 1)]
    # JetStream would have dropped the second run if it had repeated the first
    assert last == publisher.acknowledgements >= 360
    assert len({message["messageId"] for message in kept}) == last
    times = [datetime.fromisoformat(message["timestamp"]) for message in kept]
    assert times == sorted(times)
    assert begun - PAST - timedelta(seconds=1) < times[0] < begun - PAST / 2
    assert times[299] <= begun + timedelta(seconds=1)
    assert times[300] >= begun
