"""Statistics at the ends of time, beyond which there are no hours and weeks."""

import orjson

from eventscope.resolvers import stats
from eventscope.store.log import Log
from eventscope.store.stats.counts import Scope
from eventscope.store.values import moment
from tests.support.sample_log import fill


async def test_events_at_the_ends_of_time_are_in_a_histogram_like_any_other(log: Log) -> None:
    times = ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"]
    await fill(log, [orjson.dumps({"type": "a.b", "timestamp": time}) for time in times], {"*": 0})
    found = await stats.stats(log, Scope())
    intervals: tuple[stats.Interval, ...] = ("HOUR", "DAY", "WEEK")
    for interval in intervals:
        buckets = await stats.histogram(found, interval, "NONE")
        assert [bucket.count for bucket in buckets] == [1, 1, 1]
        for bucket, time in zip(buckets, times, strict=True):
            assert moment.to_text(bucket.start) <= time <= moment.to_text(bucket.end)
    range = found.time_range
    assert range is not None
    assert (moment.to_text(range.earliest), moment.to_text(range.latest)) == (times[0], times[2])


async def test_in_a_log_without_events_all_counts_are_zero(log: Log) -> None:
    found = await stats.stats(log, Scope())
    assert (found.total_events, found.event_types, found.time_range) == (0, 0, None)
    assert (found.event_type_breakdown, found.aggregate_type_breakdown) == ([], [])
    assert await stats.unique_aggregates(found) == 0
    assert await stats.histogram(found, "DAY", "TYPE") == []
