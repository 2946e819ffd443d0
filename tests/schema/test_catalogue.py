"""The catalogue: which types there are, how many events each has, how often they occur, and with which fields."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient

from eventscope.errors import BadInput
from eventscope.resolvers import catalogue as resolver
from eventscope.settings import Settings
from eventscope.store.catalogue import counting
from eventscope.store.log import open_log, prepare
from eventscope.store.values import moment
from eventscope.store.values.moment import HOUR
from tests.schema.test_batching import counted
from tests.support.api_server import RunningApi, running_api
from tests.support.sample_log import SampleApi, fill

pytestmark = pytest.mark.asyncio(loop_scope="session")

TYPES = """query ($prefix: String) { eventTypes(prefix: $prefix) {
  type count firstSeenAt lastSeenAt firstPosition lastPosition aggregateTypes { type count }
} }"""
FIELDS = """query ($prefix: String) { eventTypes(prefix: $prefix) {
  type fieldsCounted fieldsCountedTo fieldsTruncated driftCount
  fields { path count jsonTypes { jsonType count } firstPosition lastPosition }
  drifts { position at path kind jsonType }
} }"""


def recounted(sample: SampleApi, prefix: str) -> list[dict[str, Any]]:
    found = []
    for type in sorted({event["type"] for event in sample.events if event["type"].startswith(prefix)}):
        events = [event for event in sample.events if event["type"] == type]
        times, of = (
            [e["timestamp"] for e in events],
            Counter(e["aggregateType"] for e in events if "aggregateType" in e),
        )
        found.append(
            {
                "type": type,
                "count": len(events),
                "firstSeenAt": moment.to_text(min(times)),
                "lastSeenAt": moment.to_text(max(times)),
                "firstPosition": events[0]["_id"],
                "lastPosition": events[-1]["_id"],
                "aggregateTypes": [{"type": kind, "count": n} for kind, n in of.most_common()],
            }
        )
    return found


@asynccontextmanager
async def api_of(sample: SampleApi, events: list[dict[str, Any]]) -> AsyncIterator[RunningApi]:
    """An API over a log of these events, whose fields are counted."""
    own: Settings = sample.settings.model_copy(update={"mongo_database": f"catalogue_{uuid.uuid4().hex[:12]}"})
    async with open_log(own.mongo_url, own.mongo_database) as log:
        await prepare(log)
        await fill(log, [orjson.dumps(event) for event in events], {"*": 0})
        while await counting.count(log):
            pass
    async with running_api(own) as api:
        yield api
    async with AsyncMongoClient[dict[str, Any]](own.mongo_url) as client:
        await client.drop_database(own.mongo_database)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(sample: SampleApi) -> AsyncIterator[RunningApi]:
    """A log of orders, and of a thousand and one types with a common prefix."""
    now = moment.now()
    datas: list[Any] = [
        {"total": 5, "lines": [{"sku": "a"}]},
        {"total": 7.5, "lines": []},
        {"total": "9", "note": None},
    ]
    orders = [
        {"type": "order.placed", "data": data, "timestamp": moment.to_text(now - n * HOUR)}
        for n, data in enumerate(datas)
    ]
    old = [{"type": "order.lost", "timestamp": moment.to_text(now - 30 * HOUR)}] * 5
    async with api_of(sample, [*orders, *old, *({"type": f"many.{n}"} for n in range(1001))]) as api:
        yield api


async def test_each_type_is_listed_with_its_counts_and_its_first_and_last_event(sample: SampleApi) -> None:
    answer = await sample.api.ask(TYPES)
    assert answer["eventTypes"] == recounted(sample, "")
    assert len(answer["eventTypes"]) > 10


pieces = st.sampled_from(
    ["user", "user.", "user.c", "v", "vendor.location.updated", "websocket", "", ".", "*", "z", "u*"]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)


@given(prefix=pieces | texts | st.sampled_from(["\ud7ff", "\U0010ffff", "user\U0010ffff", "\0"]))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_a_prefix_is_taken_literally(sample: SampleApi, prefix: str) -> None:
    assert (await sample.api.ask(TYPES, prefix=prefix))["eventTypes"] == recounted(sample, prefix)


async def test_a_prefix_of_the_last_characters_before_a_gap_is_a_range_too(sample: SampleApi) -> None:
    types = ["x\ud7ff", "x\ud7ffy", "x\ue000", "x\U0010ffff", "x\U0010ffffy", "y"]
    async with api_of(sample, [{"type": type} for type in types]) as api:
        for prefix in (*types, "x", "\U0010ffff"):
            answer = await api.ask("query ($p: String) { eventTypes(prefix: $p) { type } }", p=prefix)
            assert answer["eventTypes"] == [{"type": type} for type in types if type.startswith(prefix)]


async def test_the_fields_of_a_type_are_listed_with_the_types_of_their_values(shop: RunningApi) -> None:
    def field(path: str, count: int, types: dict[str, int], first: int, last: int) -> dict[str, Any]:
        told = [{"jsonType": kind, "count": n} for kind, n in types.items()]
        return {"path": path, "count": count, "jsonTypes": told, "firstPosition": first, "lastPosition": last}

    [lost, placed] = (await shop.ask(FIELDS, prefix="order."))["eventTypes"]
    assert (lost["type"], lost["fieldsCounted"], lost["fields"], lost["drifts"]) == ("order.lost", 5, [], [])
    assert placed["fields"] == [
        field("total", 3, {"NUMBER": 2, "STRING": 1}, 1, 3),
        field("lines", 2, {"ARRAY": 2}, 1, 2),
        field("lines[]", 1, {"OBJECT": 1}, 1, 1),
        field("lines[].sku", 1, {"STRING": 1}, 1, 1),
        field("note", 1, {"NULL": 1}, 3, 3),
    ]
    assert [(d["position"], d["path"], d["kind"], d["jsonType"]) for d in placed["drifts"]] == [
        (3, "total", "NEW_TYPE", "STRING"),
        (3, "note", "NEW_FIELD", "NULL"),
    ]
    assert placed["fieldsCounted"] == 3
    assert (placed["fieldsTruncated"], placed["driftCount"]) == (False, 2)
    assert placed["fieldsCountedTo"] == 1009


async def test_the_rate_of_events_is_that_of_the_last_day(shop: RunningApi) -> None:
    before = moment.now()
    answer = await shop.ask('{ eventTypes(prefix: "order.") { type perHour } }')
    lost, placed = answer["eventTypes"]
    hours = [24 + time % HOUR / HOUR for time in (before, moment.now())]
    assert lost["perHour"] == 0
    assert min(3 / h for h in hours) <= placed["perHour"] <= max(3 / h for h in hours) or hours[0] > hours[1]


async def test_over_1000_types_are_refused_and_not_truncated(shop: RunningApi) -> None:
    error = await shop.refusal('{ eventTypes(prefix: "many") { type } }')
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "prefix"}
    answer = await shop.ask('{ eventTypes(prefix: "many.1") { type } }')
    assert len(answer["eventTypes"]) == 112


async def test_a_thousand_types_are_returned(shop: RunningApi) -> None:
    log = shop.services.log
    assert len(await resolver.event_types(log, "many.1", None, None, most=112)) == 112
    with pytest.raises(BadInput, match="over 111 types"):
        await resolver.event_types(log, "many.1", None, None, most=111)


async def test_the_prefix_has_the_same_maximum_length_as_any_text(sample: SampleApi) -> None:
    await sample.api.ask(TYPES, prefix="x" * 1024)
    error = await sample.api.refusal(TYPES, prefix="x" * 1025)
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "prefix"}


async def test_the_fields_of_all_types_are_one_read(sample: SampleApi) -> None:
    async with counted(sample) as reads:
        await sample.api.ask("{ eventTypes { fields { path } drifts { path } driftCount fieldsCountedTo } }")
    assert reads == {"rollups": 1, "catalogue": 1, "meta": 1}
    async with counted(sample) as reads:
        await sample.api.ask("{ eventTypes { type count } }")
    assert reads == {"rollups": 1}
