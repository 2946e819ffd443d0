"""Statistics over all events, in a small log and in a large one, against having MongoDB count the same."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Final

import orjson
from pymongo.collection import Collection

from benchmarks import asking
from benchmarks.examined import Documents, examined
from benchmarks.served import Server, answers, started
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
    """Of one log: milliseconds (median, p99) of `stats` and what it took, milliseconds of counting with MongoDB."""

    events: int
    middle: float
    late: float
    examined: int
    grouped: float
    counted: float


async def countings(
    server: Server, mongo: str, logs: Sequence[tuple[Documents, int]], rounds: int, times: int
) -> list[Counting]:
    """Each log has a server of its own; in each round they are asked in turn."""
    found = []
    taken: list[list[float]] = [[] for _ in logs]
    for _ in range(rounds):
        for delays, (database, _) in zip(taken, logs, strict=True):
            with started(server, mongo, database.name) as (port, process):
                asked = asking.request(port, BODY)
                if not await answers(port, asked, process):
                    raise SystemExit("Eventscope does not start")
                await asking.delays(port, asked, times)
                delays += await asking.delays(port, asked, times)
    for delays, (database, events) in zip(taken, logs, strict=True):
        log = database["events"]
        with started(server, mongo, database.name) as (port, process):
            asked = asking.request(port, BODY)
            await answers(port, asked, process)
            _check(orjson.loads(await asking.answer(port, asked))["data"]["stats"], log, events)
            looked = await examined(database, partial(asking.answer, port, asked))
        delays.sort()
        late = delays[int(len(delays) * 0.99)]
        counted = _milliseconds(partial(log.count_documents, unexpired(now())))
        grouped = _milliseconds(partial(_grouped, log))
        milliseconds = (median(delays) * 1000, late * 1000)
        found.append(Counting(events, *milliseconds, looked.events + looked.others, grouped, counted))
    return found


def _check(stats: dict[str, Any], log: Collection[dict[str, Any]], events: int) -> None:
    counts: Counter[str] = Counter()
    for row in _grouped(log):
        counts[row["_id"]["type"]] += row["n"]
    told = {one["type"]: one["count"] for one in stats["eventTypeBreakdown"]}
    if told != counts or stats["totalEvents"] != events:
        raise SystemExit(f"the statistics of {events} events are {told}, and a count gives {dict(counts)}")


def _grouped(log: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    range = {"earliest": {"$min": "$timestamp"}, "latest": {"$max": "$timestamp"}}
    by = {"type": "$type", "aggregateType": "$aggregateType"}
    return list(log.aggregate([{"$match": unexpired(now())}, {"$group": {"_id": by, "n": {"$sum": 1}, **range}}]))


def _milliseconds(count: Callable[[], object]) -> float:
    taken = []
    for _ in range(COUNTS):
        began = time.perf_counter()
        count()
        taken.append(time.perf_counter() - began)
    return median(taken) * 1000


def show(countings: Sequence[Counting], sheet: Sheet) -> None:
    """Each log against the smallest, and against counting."""
    least = countings[0]
    for one in countings:
        figure = f"{one.middle:.1f} ms, p99 {one.late:.1f} ms; examined {one.examined:,}"
        sheet.add(f"stats of {one.events:,} events", figure, f"{one.middle / least.middle:.2f}", "1, but for noise")
    for one in countings:
        sheet.add(f"$group over {one.events:,} events", f"{one.grouped:,.0f} ms", _times(one.grouped, one))
        sheet.add(f"countDocuments of {one.events:,} events", f"{one.counted:,.0f} ms", _times(one.counted, one))
    sheet.notes.append(
        "Statistics: everything that `stats` has but the histogram, without a filter, by HTTP; the ratio is to the"
        " smallest log. `$group` makes the same breakdowns and the time range but not `uniqueAggregates`, by pymongo;"
        " the ratio is to `stats` of that log. Both gave the same numbers."
    )


def _times(milliseconds: float, counting: Counting) -> str:
    return f"{milliseconds / counting.middle:.1f}"
