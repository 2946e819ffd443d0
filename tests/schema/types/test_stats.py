"""Statistics: always equal to a recount of the events (I6), for any scope, interval and breakdown."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventscope.errors import BadInput, TooComplex, to_client
from eventscope.resolvers import stats
from eventscope.store.filters.filter import Among
from eventscope.store.search_limits import SearchLimits
from eventscope.store.stats import counts
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from tests.schema.support import event_model as model
from tests.support.api_server import running_api
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUERY = """query ($filter: StatsFilter, $interval: Interval, $by: HistogramBy) {
  stats(filter: $filter) {
    totalEvents uniqueAggregates eventTypes
    eventTypeBreakdown { type count }
    aggregateTypeBreakdown { type count }
    timeRange { earliest latest }
    histogram(interval: $interval, by: $by) { start end key count }
  }
}"""
LENGTH = {"HOUR": timedelta(hours=1), "DAY": timedelta(days=1), "WEEK": timedelta(weeks=1)}

scopes = st.fixed_dictionaries(
    {},
    optional={
        "eventTypes": st.lists(model.types, max_size=3),
        "aggregateType": model.aggregate_types,
        "aggregateTypes": st.lists(model.aggregate_types, max_size=3),
        "fromTimestamp": model.times,
        "toTimestamp": model.times,
        "beforeTimestamp": model.times,
    },
)


def recounted(events: list[EventDocument], interval: str = "HOUR", by: str = "NONE") -> dict[str, Any]:
    times = [event["timestamp"] for event in events]
    types = Counter(event["type"] for event in events)
    return {
        "totalEvents": len(events),
        "uniqueAggregates": len({(e["aggregateType"], e["aggregateId"]) for e in events if "aggregateType" in e}),
        "eventTypes": len(types),
        "eventTypeBreakdown": ranked(types),
        "aggregateTypeBreakdown": ranked(Counter(e["aggregateType"] for e in events if "aggregateType" in e)),
        "timeRange": {"earliest": moment.to_text(min(times)), "latest": moment.to_text(max(times))} if times else None,
        "histogram": histogram(events, interval, by),
    }


def ranked(tally: Counter[str]) -> list[dict[str, Any]]:
    return [{"type": type, "count": n} for type, n in sorted(tally.items(), key=lambda item: (-item[1], item[0]))]


def histogram(events: list[EventDocument], interval: str, by: str) -> list[dict[str, Any]]:
    tally: Counter[tuple[str, str, str | None]] = Counter()
    for event in events:
        key = {"NONE": None, "TYPE": event["type"], "AGGREGATE_TYPE": event.get("aggregateType")}[by]
        if by != "AGGREGATE_TYPE" or key is not None:
            start = floor(moment.to_datetime(event["timestamp"]), interval)
            tally[text(start), text(start + LENGTH[interval]), key] += 1
    rows = sorted(tally.items(), key=lambda item: (item[0][0], item[0][2] or ""))
    return [{"start": start, "end": end, "key": key, "count": n} for (start, end, key), n in rows]


def floor(time: datetime, interval: str) -> datetime:
    hour = time.replace(minute=0, second=0, microsecond=0)
    if interval == "HOUR":
        return hour
    day = hour.replace(hour=0)
    return day if interval == "DAY" else day - timedelta(days=day.weekday())


def text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


async def test_without_a_filter_all_events_are_counted(sample: SampleApi) -> None:
    assert (await sample.api.ask(QUERY))["stats"] == recounted(sample.events)


@pytest.mark.parametrize("interval", ["HOUR", "DAY", "WEEK"])
@pytest.mark.parametrize("by", ["NONE", "TYPE", "AGGREGATE_TYPE"])
async def test_every_histogram_equals_a_recount(sample: SampleApi, interval: str, by: str) -> None:
    answer = await sample.api.ask(QUERY, interval=interval, by=by)
    assert answer["stats"]["histogram"] == histogram(sample.events, interval, by)


async def test_weeks_begin_on_mondays(sample: SampleApi) -> None:
    answer = await sample.api.ask("{ stats { histogram(interval: WEEK) { start end } } }")
    weeks = answer["stats"]["histogram"]
    assert {"start": "2026-03-09T00:00:00Z", "end": "2026-03-16T00:00:00Z"} in weeks
    assert all(datetime.fromisoformat(week["start"]).weekday() == 0 for week in weeks)


async def test_a_histogram_is_by_hour_and_ungrouped_by_default(sample: SampleApi) -> None:
    answer = await sample.api.ask(
        "{ stats { a: histogram { start key } b: histogram(interval: null, by: null) { start key } } }"
    )
    hours = [{"start": row["start"], "key": None} for row in histogram(sample.events, "HOUR", "NONE")]
    assert answer["stats"] == {"a": hours, "b": hours}


@given(scope=scopes, interval=st.sampled_from(sorted(LENGTH)), by=st.sampled_from(["NONE", "TYPE", "AGGREGATE_TYPE"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_the_statistics_of_any_scope_equal_a_recount(
    sample: SampleApi, scope: dict[str, Any], interval: str, by: str
) -> None:
    events = [event for event in sample.events if model.means(scope, event)]
    answer = await sample.api.ask(QUERY, filter=scope, interval=interval, by=by)
    assert answer["stats"] == recounted(events, interval, by)


async def test_both_ends_of_the_time_are_included(sample: SampleApi) -> None:
    time = moment.to_text(next(event["timestamp"] for event in sample.events if event["timestamp"] % 1_000_000))
    answer = await sample.api.ask(QUERY, filter={"fromTimestamp": time, "toTimestamp": time})
    at_that_time = [event for event in sample.events if moment.to_text(event["timestamp"]) == time]
    assert answer["stats"] == recounted(at_that_time)


async def test_without_matches_the_counts_are_zero_and_there_is_no_time_range(sample: SampleApi) -> None:
    answer = await sample.api.ask(QUERY, filter={"eventTypes": ["never.happened"]})
    assert answer["stats"] == recounted([])


async def test_a_histogram_of_too_many_buckets_is_refused_and_not_truncated(sample: SampleApi) -> None:
    strict = replace(await stats.stats(sample.log, counts.Scope()), most_buckets=20)
    assert await stats.histogram(strict, "WEEK", "NONE")
    with pytest.raises(BadInput) as refusal:
        await stats.histogram(strict, "HOUR", "NONE")
    error = to_client(refusal.value)
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "interval"}
    assert "over 20" in error["message"]


# fields that rollups do not know
ids = st.fixed_dictionaries(
    {},
    optional={
        "aggregateId": model.aggregate_ids,
        "userId": st.sampled_from(["alice", "bob", "ali", ".*"]),
        "correlationId": st.integers(0, 21).map("c{}".format),
        "causationId": st.sampled_from(["command-1", "m001", "m010"]),
    },
)


@given(
    scope=scopes,
    more=ids,
    interval=st.sampled_from(sorted(LENGTH)),
    by=st.sampled_from(["NONE", "TYPE", "AGGREGATE_TYPE"]),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_the_statistics_of_one_user_aggregate_or_conversation_equal_a_recount(
    sample: SampleApi, scope: dict[str, Any], more: dict[str, Any], interval: str, by: str
) -> None:
    events = [event for event in sample.events if model.means(scope | more, event)]
    answer = await sample.api.ask(QUERY, filter=scope | more, interval=interval, by=by)
    assert answer["stats"] == recounted(events, interval, by)


async def test_a_query_that_would_have_to_count_too_many_events_one_by_one_is_refused(sample: SampleApi) -> None:
    n = len([event for event in sample.events if event.get("userId") == "alice"])
    async with running_api(sample.settings, SearchLimits(most_in_stats=n)) as api:
        answer = await api.ask(QUERY, filter={"userId": "alice"})
    assert answer["stats"]["totalEvents"] == n
    async with running_api(sample.settings, SearchLimits(most_in_stats=n - 1)) as api:
        error = await api.refusal(QUERY, filter={"userId": "alice"})
    assert error["extensions"] == {"code": "QUERY_TOO_COMPLEX"}
    assert str(n - 1) in error["message"]
    own = len([event for event in sample.events if event.get("userId") == "alice" and "version" in event])
    scope = counts.Scope(among=(Among("userId", ("alice",)),))
    with pytest.raises(TooComplex):
        await counts.aggregates(replace(sample.log, search=SearchLimits(most_in_stats=own - 1)), scope)


async def test_ids_in_statistics_have_the_same_maximum_length_as_any_text(sample: SampleApi) -> None:
    for field in ("aggregateId", "userId", "correlationId", "causationId"):
        await sample.api.ask(QUERY, filter={field: "x" * 1024})
        error = await sample.api.refusal(QUERY, filter={field: "x" * 1025})
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": field}
