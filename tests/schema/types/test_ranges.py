"""Ranges of time: what their ends mean, in the log, in its counts and in live delivery."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventscope.schema.types.filter import EventFilter, event_filter
from eventscope.store.filters.filter import matcher
from eventscope.store.filters.inspection import Inspection
from eventscope.store.values import moment
from tests.schema.support.event_model import means, times
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUERY = """query ($filter: EventFilter) {
  events(filter: $filter, order: OLDEST_FIRST, first: 1000) { nodes { id } }
}"""


async def found(sample: SampleApi, filter: dict[str, Any]) -> list[str]:
    answer = await sample.api.ask(QUERY, filter=filter)
    return [node["id"] for node in answer["events"]["nodes"]]


async def test_a_day_alone_lasts_from_its_start_to_its_last_microsecond(sample: SampleApi) -> None:
    one = next(event for event in sample.events if event["timestamp"] % 1_000_000)
    day = moment.to_text(one["timestamp"])[:10]
    following = moment.to_text(moment.from_text(day) + moment.DAY)[:10]
    that_day = sample.those(lambda event: moment.to_text(event["timestamp"]).startswith(day))
    assert one["messageId"] in that_day
    assert await found(sample, {"fromTimestamp": day, "toTimestamp": day}) == that_day
    assert await found(sample, {"fromTimestamp": day, "beforeTimestamp": following}) == that_day
    assert (
        await found(sample, {"fromTimestamp": day, "toTimestamp": following, "beforeTimestamp": following}) == that_day
    )
    assert await found(sample, {"fromTimestamp": day, "toTimestamp": f"{day}T23:59:59.999999Z"}) == that_day
    assert await found(sample, {"fromTimestamp": day, "beforeTimestamp": day}) == []
    nobody = {"fromTimestamp": day, "toTimestamp": f"{day}T00:00"}
    assert await found(sample, nobody) == sample.those(lambda event: event["timestamp"] == moment.from_text(day))


async def test_a_range_before_a_time_excludes_that_time(sample: SampleApi) -> None:
    one = next(event for event in sample.events if event["timestamp"] % 1_000_000)
    time, later = moment.to_text(one["timestamp"]), moment.to_text(one["timestamp"] + 1)
    assert one["messageId"] not in await found(sample, {"beforeTimestamp": time})
    assert one["messageId"] not in await found(sample, {"toTimestamp": "2026-12-31", "beforeTimestamp": time})
    assert one["messageId"] in await found(sample, {"beforeTimestamp": later})
    assert one["messageId"] in await found(sample, {"toTimestamp": time, "beforeTimestamp": later})


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("fromTimestamp", "toTimestamp", "beforeTimestamp"), times)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_any_range_means_the_same_in_the_log_in_its_counts_and_live(
    sample: SampleApi, range: dict[str, str]
) -> None:
    wanted = sample.those(lambda event: means(range, event))
    assert await found(sample, range) == wanted
    assert await found(sample, {"not": {"or": [range]}}) == sample.those(lambda event: not means(range, event))
    answer = await sample.api.ask("query ($f: StatsFilter) { stats(filter: $f) { totalEvents } }", f=range)
    assert answer["stats"]["totalEvents"] == len(wanted)
    arguments = {name: moment.from_argument(at) for name, at in range.items()}
    given = {re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", name): at for name, at in arguments.items()}
    lively = matcher(event_filter(EventFilter(**given)))  # type: ignore[arg-type]  # a moment is an integer
    assert sample.those(lambda event: lively(Inspection(event))) == wanted


@pytest.mark.parametrize(
    "time", ["2026", "2026-03", "202603", "2026-W11", "2026-03-11+02:00", "2026-03-11/12", "March"]
)
@pytest.mark.parametrize("name", ["fromTimestamp", "toTimestamp", "beforeTimestamp"])
async def test_what_is_neither_a_time_nor_a_day_is_refused(sample: SampleApi, name: str, time: str) -> None:
    error = await sample.api.refusal(QUERY, filter={name: time})
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "is not a time like 2026-11-23T07:00:00Z or a day like 2026-11-23" in error["message"]
