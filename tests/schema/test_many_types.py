"""A log with thousands of long types: every query is answered correctly and in bounds, or refused with advice."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import orjson
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from eventscope.doctor.examine import Options, examine
from eventscope.doctor.finding import Level
from eventscope.errors import BadInput, to_client
from eventscope.resolvers import stats
from eventscope.settings import Settings
from eventscope.store.catalogue import counting
from eventscope.store.events import types as store_types
from eventscope.store.log import open_log, prepare
from eventscope.store.stats.counts import Scope
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.moment import HOUR
from tests.support.api_server import RunningApi, running_api
from tests.support.sample_log import SampleApi, fill

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANY = 4_500
LONG = "x" * 950
USUAL = ("user.created", "user.renamed", "order.placed")
PATTERNS = [
    ["user.*"],
    ["*"],
    ["*.created"],
    ["user.*.created", "order.placed"],
    ["user.0001*", "user.4*.created"],
    ["order.*"],
    ["nothing.*"],
    ["*x*x*x*x*x*x*x*x*x*x*x*x*9.created"],
]


@dataclass(frozen=True, slots=True)
class Flood:
    """The log, its events, and an API over it."""

    settings: Settings
    events: list[EventDocument]
    api: RunningApi

    def meant(self, patterns: list[str]) -> list[EventDocument]:
        """The events whose types match the patterns."""
        return [event for event in self.events if any(fnmatchcase(event["type"], one) for one in patterns)]


def messages() -> list[dict[str, Any]]:
    start = moment.now() - 20 * HOUR
    flood = [f"user.{n:04}.{LONG}.{'created' if n % 2 else 'closed'}" for n in range(MANY)]
    usual = [USUAL[n % 3] for n in range(300)]
    types = [*usual[:150], *flood, *usual[150:]]
    return [
        {
            "type": type,
            "timestamp": moment.to_text(start + n * 10 * HOUR // len(types)),
            "aggregateType": f"{type[:9]}.{LONG[:400]}" if type in USUAL or n % 2 else "user",
            "aggregateId": f"a{n % 7}",
            "userId": f"u{n % 5}",
        }
        for n, type in enumerate(types)
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def flood(sample: SampleApi) -> AsyncIterator[Flood]:
    own = sample.settings.model_copy(update={"mongo_database": f"flood_{uuid.uuid4().hex[:12]}"})
    async with open_log(own.mongo_url, own.mongo_database) as log:
        await prepare(log)
        events = await fill(log, [orjson.dumps(message) for message in messages()], {"*": 30})
        await counting.count(log)
    async with running_api(own) as api:
        yield Flood(own, events, api)
    async with AsyncMongoClient[dict[str, Any]](own.mongo_url) as client:
        await client.drop_database(own.mongo_database)


def ranked(types: Counter[str]) -> list[dict[str, Any]]:
    rows = [{"type": type, "count": n} for type, n in types.items()]
    return sorted(rows, key=lambda row: (-int(str(row["count"])), row["type"]))


@pytest.mark.parametrize("patterns", PATTERNS, ids=str)
@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_by_pattern_are_those_of_the_log(flood: Flood, patterns: list[str], newest_first: bool) -> None:
    query = """query ($types: [String!], $order: Order, $after: String) {
      events(filter: {eventTypes: $types}, order: $order, first: 500, after: $after) {
        nodes { position } pageInfo { hasNextPage endCursor } totalCount { exact }
      } }"""
    found: list[int] = []
    after: str | None = None
    order = "NEWEST_FIRST" if newest_first else "OLDEST_FIRST"
    meant = [event["_id"] for event in flood.meant(patterns)]
    for _ in range(3):
        page = (await flood.api.ask(query, types=patterns, order=order, after=after))["events"]
        found += [node["position"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        assert page["totalCount"]["exact"] == len(meant)
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == (meant[::-1] if newest_first else meant)[: len(found)]
    assert len(found) == min(len(meant), 1500)


@pytest.mark.parametrize(
    ("name", "filter", "means"),
    [
        ("not a pattern", {"not": {"eventTypes": ["user.*"]}}, lambda e: not e["type"].startswith("user.")),
        ("not a type", {"not": {"eventTypes": ["user.created"]}}, lambda e: e["type"] != "user.created"),
        (
            "or",
            {"or": [{"eventTypes": ["user.00*"]}, {"userId": "u1"}]},
            lambda e: e["type"].startswith("user.00") or e["userId"] == "u1",
        ),
        (
            "of a user",
            {"eventTypes": ["*.created"], "userId": "u1"},
            lambda e: e["type"].endswith(".created") and e["userId"] == "u1",
        ),
        (
            "of many parts",
            {"and": [{"eventTypes": ["user.*", f"z{n}*"]} for n in range(40)], "userId": "u2"},
            lambda e: e["type"].startswith("user.") and e["userId"] == "u2",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_patterns_within_other_conditions_have_the_same_meaning(
    flood: Flood, name: str, filter: dict[str, Any], means: Callable[[Any], bool]
) -> None:
    query = """query ($filter: EventFilter) { events(filter: $filter, order: OLDEST_FIRST, first: 1000) {
      nodes { position } } }"""
    page = (await flood.api.ask(query, filter=filter))["events"]
    assert [node["position"] for node in page["nodes"]] == [e["_id"] for e in flood.events if means(e)][:1000]


@pytest.mark.parametrize("patterns", [None, *PATTERNS], ids=str)
async def test_counts_are_those_of_the_log_and_breakdowns_are_limited(flood: Flood, patterns: list[str] | None) -> None:
    query = """query ($filter: StatsFilter) { stats(filter: $filter) {
      totalEvents uniqueAggregates eventTypes aggregateTypes timeRange { earliest latest }
      eventTypeBreakdown { type count } few: eventTypeBreakdown(first: 3) { type count }
      aggregateTypeBreakdown { type count }
      histogram { start count } byType: histogram(interval: DAY, by: TYPE, first: 2) { key count }
    } }"""
    meant = flood.events if patterns is None else flood.meant(patterns)
    answer = await flood.api.http.post(
        "/graphql", json={"query": query, "variables": {"filter": {"eventTypes": patterns} if patterns else None}}
    )
    assert len(answer.content) < 4 * 1024**2
    found = answer.json()["data"]["stats"]
    types = ranked(Counter(event["type"] for event in meant))
    of = ranked(Counter(event["aggregateType"] for event in meant))
    assert (found["totalEvents"], found["eventTypes"], found["aggregateTypes"]) == (len(meant), len(types), len(of))
    assert found["uniqueAggregates"] == len({(e["aggregateType"], e["aggregateId"]) for e in meant})
    assert found["eventTypeBreakdown"] == types[:1000]
    assert found["few"] == types[:3]
    assert found["aggregateTypeBreakdown"] == of[:1000]
    assert sum(bucket["count"] for bucket in found["histogram"]) == len(meant)
    own = {row["type"]: row["count"] for row in types[:2]}
    by_type: Counter[str | None] = Counter()
    for bucket in found["byType"]:
        by_type[bucket["key"]] += bucket["count"]
    rest = len(meant) - sum(own.values())
    assert by_type == own | ({None: rest} if rest else {})


async def test_a_part_of_an_hour_is_counted_by_pattern_too(flood: Flood) -> None:
    middle = flood.events[MANY // 2]["timestamp"]
    low, high = middle - HOUR // 3, middle + HOUR // 2
    meant = [event for event in flood.meant(["*.created"]) if low <= event["timestamp"] <= high]
    given = {"eventTypes": ["*.created"], "fromTimestamp": moment.to_text(low), "toTimestamp": moment.to_text(high)}
    query = "query ($filter: StatsFilter) { stats(filter: $filter) { totalEvents eventTypes } }"
    found = (await flood.api.ask(query, filter=given))["stats"]
    assert found == {"totalEvents": len(meant), "eventTypes": len({event["type"] for event in meant})}
    of_one = (await flood.api.ask(query, filter={"eventTypes": ["user.*"], "userId": "u3"}))["stats"]
    assert of_one["totalEvents"] == sum(event["userId"] == "u3" for event in flood.meant(["user.*"]))


async def test_rest_lists_the_most_frequent_types_and_how_many_are_left_out(flood: Flood) -> None:
    answer = await flood.api.http.get("/events/stats")
    assert answer.status_code == 200
    assert len(answer.content) < 4 * 1024**2
    found = answer.json()
    types = ranked(Counter(event["type"] for event in flood.events))
    of = ranked(Counter(event["aggregateType"] for event in flood.events))
    assert found["totalEvents"] == len(flood.events)
    assert [{"type": type, "count": n} for type, n in found["eventTypeBreakdown"].items()] == types[:1000]
    assert found["leftOut"] == {"eventTypes": len(types) - 1000, "aggregateTypes": max(0, len(of) - 1000)}
    listed = await flood.api.http.get("/events/history", params={"eventTypes": "user.*", "limit": "10"})
    assert listed.status_code == 200
    assert listed.json()["totalEvents"] == len(flood.meant(["user.*"]))
    whole = await flood.api.http.get("/events/stats", params={"eventTypes": "order.*"})
    assert "leftOut" not in whole.json()


async def test_the_catalogue_comes_in_pages(flood: Flood) -> None:
    query = """query ($prefix: String, $first: Int, $after: String) {
      eventTypes(prefix: $prefix, first: $first, after: $after) { type count aggregateTypes { type count }
        aggregateTypesTruncated } }"""
    types = Counter(event["type"] for event in flood.events)
    for prefix in ("", "user.", "user.1", "order"):
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            answer = await flood.api.ask(query, prefix=prefix, first=700, after=after)
            found += answer["eventTypes"]
            if len(answer["eventTypes"]) < 700:
                break
            after = found[-1]["type"]
        assert [(one["type"], one["count"]) for one in found] == sorted(
            (type, n) for type, n in types.items() if type.startswith(prefix)
        )
    refusal = await flood.api.refusal(query, prefix="user.")
    assert refusal["extensions"] == {"code": "BAD_USER_INPUT", "field": "prefix"}
    assert "first: 1000" in refusal["message"]
    assert "after" in refusal["message"]
    assert (await flood.api.ask(query, first=0)) == {"eventTypes": []}
    assert (await flood.api.refusal(query, first=1001))["extensions"]["code"] == "PAGE_TOO_LARGE"
    assert (await flood.api.refusal(query, first=-1))["extensions"] == {"code": "BAD_USER_INPUT", "field": "first"}
    assert (await flood.api.ask(query, prefix="user.", first=5, after="v")) == {"eventTypes": []}
    assert (await flood.api.refusal(query, after="x" * 1025))["extensions"]["field"] == "after"


@pytest.mark.parametrize(("first", "code"), [(-1, "BAD_USER_INPUT"), (1001, "PAGE_TOO_LARGE")])
@pytest.mark.parametrize("field", ["eventTypeBreakdown", "aggregateTypeBreakdown", "histogram"])
async def test_an_invalid_first_is_refused(flood: Flood, field: str, first: int, code: str) -> None:
    of = "start" if field == "histogram" else "type"
    error = await flood.api.refusal(f"query ($n: Int) {{ stats {{ {field}(first: $n) {{ {of} }} }} }}", n=first)
    assert (error["extensions"]["code"], error["extensions"]["field"]) == (code, "first")
    await flood.api.ask(f"query ($n: Int) {{ stats {{ {field}(first: $n) {{ {of} }} }} }}", n=None)


async def test_a_histogram_of_several_megabytes_is_refused(flood: Flood) -> None:
    strict = replace(await stats.stats(flood.api.services.log, Scope()), most_characters=100_000)
    with pytest.raises(BadInput) as refusal:
        await stats.histogram(strict, "HOUR", "TYPE")
    assert to_client(refusal.value)["extensions"] == {"code": "BAD_USER_INPUT", "field": "first"}
    assert await stats.histogram(strict, "HOUR", "TYPE", 50)


async def test_subscribers_by_pattern_get_their_history(flood: Flood) -> None:
    query = """query ($after: String) { replay(filter: {eventTypes: ["user.*.closed"]}, first: 1000, after: $after) {
      nodes { position } pageInfo { hasNextPage endCursor } } }"""
    found: list[int] = []
    after: str | None = None
    while True:
        page = (await flood.api.ask(query, after=after))["replay"]
        found += [node["position"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == [event["_id"] for event in flood.meant(["user.*.closed"])]


async def test_few_types_are_spelled_out_and_many_are_not_examined(flood: Flood) -> None:
    async with open_log(flood.settings.mongo_url, flood.settings.mongo_database) as log:
        assert await store_types.types(log, "order.", 10) == ["order.placed"]
        assert await store_types.types(log, "", 10) is None
        assert len(await store_types.types(log) or []) == MANY + len(USUAL)


async def test_the_doctor_warns_of_many_types_and_of_ids_in_them(flood: Flood, sample: SampleApi) -> None:
    [finding] = [one for one in await examine(flood.settings, Options()) if one.check == "event types"]
    assert finding.level == Level.WARNING
    assert "over 1000 types" in finding.found
    assert "user.0000" in finding.found
    assert "docs/publishing.md" in finding.advice
    [fine] = [one for one in await examine(sample.settings, Options()) if one.check == "event types"]
    assert fine.level == Level.OK
