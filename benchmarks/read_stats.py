"""Statistics over all events of a small and of a large log, compared with MongoDB counting the same."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Final

import orjson
from pymongo.collection import Collection

from benchmarks import http_client
from benchmarks.profiler import Documents, examined
from benchmarks.server_process import ReadServer, is_ready, started
from benchmarks.sheet import Sheet
from eventscope.store.filters.mongo import unexpired
from eventscope.store.values.moment import now

QUERY: Final = (
    "{ stats { totalEvents eventTypes uniqueAggregates timeRange { earliest latest }"
    " eventTypeBreakdown { type count } aggregateTypeBreakdown { type count } } }"
)
COUNTS: Final = 3
BODY: Final = orjson.dumps({"query": QUERY})


@dataclass(frozen=True, slots=True)
class Counting:
    """Figures of one log: milliseconds (median, p99) and documents of `stats`, milliseconds of MongoDB's counts."""

    events: int
    middle: float
    late: float
    examined: int
    grouped: float
    counted: float


async def countings(
    server: ReadServer, mongo: str, logs: Sequence[tuple[Documents, int]], rounds: int, times: int
) -> list[Counting]:
    """The figures of each log, which has a server of its own; the logs take turns in each round."""
    figures = []
    seconds: list[list[float]] = [[] for _ in logs]
    for _ in range(rounds):
        for delays, (database, _) in zip(seconds, logs, strict=True):
            with started(server, mongo, database.name) as (port, process):
                request = http_client.post_request(port, BODY)
                if not await is_ready(port, request, process):
                    raise SystemExit("Eventscope does not start")
                await http_client.delays(port, request, times)
                delays += await http_client.delays(port, request, times)
    for delays, (database, events) in zip(seconds, logs, strict=True):
        log = database["events"]
        with started(server, mongo, database.name) as (port, process):
            request = http_client.post_request(port, BODY)
            await is_ready(port, request, process)
            _check(orjson.loads(await http_client.answer(port, request))["data"]["stats"], log, events)
            counts = await examined(database, partial(http_client.answer, port, request))
        delays.sort()
        late = delays[int(len(delays) * 0.99)]
        counted = _milliseconds(partial(log.count_documents, unexpired(now())))
        grouped = _milliseconds(partial(_grouped, log))
        milliseconds = (median(delays) * 1000, late * 1000)
        figures.append(Counting(events, *milliseconds, counts.events + counts.others, grouped, counted))
    return figures


def _check(stats: dict[str, Any], log: Collection[dict[str, Any]], events: int) -> None:
    counts: Counter[str] = Counter()
    for row in _grouped(log):
        counts[row["_id"]["type"]] += row["n"]
    reported = {one["type"]: one["count"] for one in stats["eventTypeBreakdown"]}
    if reported != counts or stats["totalEvents"] != events:
        raise SystemExit(f"the statistics of {events} events are {reported}, and a count gives {dict(counts)}")


def _grouped(log: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    range = {"earliest": {"$min": "$timestamp"}, "latest": {"$max": "$timestamp"}}
    by = {"type": "$type", "aggregateType": "$aggregateType"}
    return list(log.aggregate([{"$match": unexpired(now())}, {"$group": {"_id": by, "n": {"$sum": 1}, **range}}]))


def _milliseconds(count: Callable[[], object]) -> float:
    seconds = []
    for _ in range(COUNTS):
        began = time.perf_counter()
        count()
        seconds.append(time.perf_counter() - began)
    return median(seconds) * 1000


def show(countings: Sequence[Counting], sheet: Sheet) -> None:
    """Add rows that compare each log with the smallest, and with counting."""
    least = countings[0]
    for one in countings:
        figure = f"{one.middle:.1f} ms, p99 {one.late:.1f} ms; examined {one.examined:,}"
        sheet.add(f"stats of {one.events:,} events", figure, f"{one.middle / least.middle:.2f}", "1, except for noise")
    for one in countings:
        sheet.add(f"$group over {one.events:,} events", f"{one.grouped:,.0f} ms", _times(one.grouped, one))
        sheet.add(f"countDocuments of {one.events:,} events", f"{one.counted:,.0f} ms", _times(one.counted, one))
    sheet.notes.append(
        "Statistics: all of `stats` except the histogram, without a filter, over HTTP; the ratio is to the smallest"
        " log. `$group` computes the same breakdowns and the time range, but not `uniqueAggregates`, with pymongo; the"
        " ratio is to `stats` of that log. Both gave the same numbers."
    )


def _times(milliseconds: float, counting: Counting) -> str:
    return f"{milliseconds / counting.middle:.1f}"
