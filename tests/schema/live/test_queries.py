"""Aggregates and counts kept up to date for a subscriber, and replays, as clients request them over WebSocket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.resolvers import cursor, same_log
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.schema.support.event_model import means
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.websocket import Socket, open_socket, subscribe
from tests.support.sample_log import SampleApi
from tests.support.until import until

AGGREGATE = """subscription ($type: String!, $id: ID!) {
  aggregate(type: $type, id: $id) { id type version eventCount lastEventType deleted events(first: 1) { nodes { id } } }
}"""
STATS = """subscription ($filter: StatsFilter, $every: Float) {
  stats(filter: $filter, everySeconds: $every) {
    totalEvents uniqueAggregates eventTypeBreakdown { type count } histogram(interval: DAY) { count }
  }
}"""
REPLAY = """subscription ($filter: EventFilter, $after: String, $upTo: String, $speed: Float, $pause: Float) {
  replay(filter: $filter, after: $after, upTo: $upTo, speed: $speed, maxPauseSeconds: $pause) {
    __typename
    ... on Event { id cursor aggregate { id } }
    ... on Checkpoint { cursor }
    ... on RetentionGap { after through }
  }
}"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A running subscription."""

    socket: Socket
    field: str

    async def hear(self) -> Any:
        """The next value of its field."""
        message = await self.socket.hear()
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"][self.field]

    async def rest(self) -> list[Any]:
        """All values up to its end."""
        values = []
        while (message := await self.socket.hear())["type"] == "next":
            assert "errors" not in message["payload"], message
            values.append(message["payload"]["data"][self.field])
        assert message["type"] == "complete"
        return values

    async def until(self, wanted: Mapping[str, Any]) -> Any:
        """The first value that meets the condition."""
        while not wanted.items() <= (value := await self.hear()).items():
            pass
        return value


@asynccontextmanager
async def following(api: RunningApi, query: str, **variables: object) -> AsyncIterator[Subscription]:
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", query, variables=variables))
        yield Subscription(socket, query.partition("{")[2].split("(")[0].strip())


async def refusal(api: RunningApi, query: str, **variables: object) -> Any:
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", query, variables=variables))
        message = await socket.hear()
        assert message["type"] == "error", message
        return message["payload"][0]["extensions"]


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client, ingesting: None) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


async def publish(client: Client, prefix: str, type: str, id: str) -> None:
    message = {"aggregateType": "user", "aggregateId": id}
    await client.jetstream().publish(f"{prefix}.{type}", orjson.dumps(message))


# aggregate


async def test_an_aggregate_is_delivered_in_its_present_state_and_after_each_change(
    api: RunningApi, client: Client, subject_prefix: str
) -> None:
    async with following(api, AGGREGATE, type="user", id="ada") as ada:
        for version in range(1, 5):
            await publish(client, subject_prefix, "user.updated", "ada")
            await ada.until({"version": version, "eventCount": version, "deleted": False})
        await publish(client, subject_prefix, "user.deleted", "ada")
        head = await ada.until({"version": 5})
        assert (head["lastEventType"], head["deleted"], len(head["events"]["nodes"])) == ("user.deleted", True, 1)
        assert api.services.feed.subscribers == 1
    await until(lambda: api.services.feed.subscribers == api.services.aggregate_updates.count == 0)
    async with following(api, AGGREGATE, type="user", id="ada") as again:
        assert (await again.hear())["version"] == 5


async def test_the_budget_of_one_change_is_not_counted_against_the_next(
    api: RunningApi, client: Client, subject_prefix: str
) -> None:
    lists = " ".join(f"l{n}: events(first: 1000) {{ pageInfo {{ hasNextPage }} }}" for n in range(9))
    query = f'subscription {{ aggregate(type: "user", id: "ada") {{ version {lists} }} }}'
    async with following(api, query) as ada:
        for version in range(1, 4):
            await publish(client, subject_prefix, "user.updated", "ada")
            await ada.until({"version": version})


async def test_a_name_too_long_for_any_aggregate_is_refused(api: RunningApi) -> None:
    extensions = await refusal(api, AGGREGATE, type="user", id="x" * 1025)
    assert extensions == {"code": "BAD_USER_INPUT", "field": "id"}


# stats


async def test_counts_are_delivered_in_their_present_state_and_after_changes(
    api: RunningApi, client: Client, subject_prefix: str
) -> None:
    async with following(api, STATS, filter={"eventTypes": ["user.*"]}, every=0.2) as stats:
        assert await stats.hear() == {
            "totalEvents": 0,
            "uniqueAggregates": 0,
            "eventTypeBreakdown": [],
            "histogram": [],
        }
        for id in ("ada", "grace", "ada"):
            await publish(client, subject_prefix, "user.updated", id)
        await publish(client, subject_prefix, "pet.fed", "rex")
        assert await stats.until({"totalEvents": 3, "uniqueAggregates": 2}) == {
            "totalEvents": 3,
            "uniqueAggregates": 2,
            "eventTypeBreakdown": [{"type": "user.updated", "count": 3}],
            "histogram": [{"count": 3}],
        }
    await until(lambda: api.services.feed.subscribers == api.services.shared_queries.count == 0)


async def test_subscribers_to_the_same_counts_share_the_reads(api: RunningApi) -> None:
    async with following(api, STATS) as one, following(api, STATS, every=1) as same, following(api, STATS, every=2):
        assert await one.hear() == await same.hear()
        await until(lambda: api.services.feed.subscribers == 3)
        assert api.services.shared_queries.count == 2


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("every", [0.199, 0, -1, 3600.1, 1e308])
async def test_a_pace_outside_the_limits_is_refused(sample: SampleApi, every: float) -> None:
    assert await refusal(sample.api, STATS, every=every) == {"code": "BAD_USER_INPUT", "field": "everySeconds"}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("every", [0.2, None, 3600])
async def test_a_pace_within_the_limits_is_accepted(sample: SampleApi, every: float | None) -> None:
    async with following(sample.api, STATS, every=every) as stats:
        assert (await stats.hear())["totalEvents"] == len(sample.events)


# replay


@pytest.mark.asyncio(loop_scope="session")
async def test_a_replay_delivers_every_event_that_matches_and_ends_at_the_head(sample: SampleApi) -> None:
    filter = {"eventTypes": ["user.*"], "userId": "bob"}
    async with following(sample.api, REPLAY, filter=filter) as replay:
        values = await replay.rest()
    events = [value for value in values if value["__typename"] == "Event"]
    assert [event["id"] for event in events] == sample.those(lambda event: means(filter, event))
    end = cursor.encode("e", 300, tag=await same_log.tag(sample.log))
    assert values[-1] in (events[-1], {"__typename": "Checkpoint", "cursor": end})


@pytest.mark.asyncio(loop_scope="session")
async def test_a_replay_can_be_paused_by_unsubscribing_and_resumed_by_cursor(sample: SampleApi) -> None:
    users = {"eventTypes": ["user.*"]}
    async with following(sample.api, REPLAY, filter=users, speed=1_000_000.0, pause=0.001) as replay:
        seen = [value for value in [await replay.hear() for _ in range(12)] if value["__typename"] == "Event"]
    async with following(sample.api, REPLAY, filter=users, after=seen[-1]["cursor"]) as replay:
        seen += [value for value in await replay.rest() if value["__typename"] == "Event"]
    assert [event["id"] for event in seen] == sample.those(lambda event: means(users, event))


@pytest.mark.asyncio(loop_scope="session")
async def test_a_replay_reports_what_has_expired_within_it(sample: SampleApi) -> None:
    sessions = {"eventTypes": ["session.opened"]}
    async with following(sample.api, REPLAY, filter=sessions) as replay:
        gap, end = await replay.rest()
    start = cursor.encode("e", 0, tag=await same_log.tag(sample.log))
    assert (gap["__typename"], gap["after"], end["__typename"]) == ("RetentionGap", start, "Checkpoint")


@pytest.mark.asyncio(loop_scope="session")
async def test_a_replay_ends_with_the_cursor_given_as_its_end_or_the_one_it_is_pinned_to(sample: SampleApi) -> None:
    for variables in ({"upTo": "e64"}, {"after": "e0-64"}, {"after": "e0-64", "upTo": "efff"}):
        async with following(sample.api, REPLAY, **variables) as replay:
            events = [value["id"] for value in await replay.rest() if value["__typename"] == "Event"]
        assert events == [event["messageId"] for event in sample.events if event["_id"] <= 0x64]
    async with following(sample.api, REPLAY, after="e64", upTo="e5") as replay:
        assert await replay.rest() == []


async def test_a_replay_ends_where_the_log_ended_when_it_began(
    api: RunningApi, log: Log, client: Client, subject_prefix: str
) -> None:
    async def head_is(head: int) -> bool:
        return (await checkpoint.read(log)).head == head

    for _ in range(5):
        await publish(client, subject_prefix, "user.updated", "ada")
    await until(lambda: head_is(5))
    async with following(api, REPLAY, speed=0.001, pause=0.1) as replay:
        first = await replay.hear()
        await publish(client, subject_prefix, "user.updated", "ada")
        await until(lambda: head_is(6))
        cursors = [value["cursor"] for value in [first, *await replay.rest()]]
    assert cursors == [cursor.encode("e", n, tag=await same_log.tag(log)) for n in range(1, 6)]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"speed": 0}, "speed"),
        ({"speed": -1}, "speed"),
        ({"speed": 1e7}, "speed"),
        ({"pause": -0.1}, "maxPauseSeconds"),
        ({"pause": 3601}, "maxPauseSeconds"),
        ({"after": "x"}, "after"),
        ({"after": "e12d"}, "after"),
        ({"upTo": "a5"}, "upTo"),
    ],
)
async def test_impossible_arguments_of_a_replay_are_refused(
    sample: SampleApi, wrong: dict[str, Any], field: str
) -> None:
    assert await refusal(sample.api, REPLAY, **wrong) == {"code": "BAD_USER_INPUT", "field": field}
