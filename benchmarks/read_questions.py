"""Queries on a long log, one at a time over HTTP: milliseconds, and documents examined per document returned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any, Final

import orjson

from benchmarks import http_client
from benchmarks.profiler import Documents, examined
from benchmarks.read_pages import FIELDS
from benchmarks.read_samples import head, samples
from benchmarks.server_process import ReadServer, is_ready, started
from benchmarks.sheet import Sheet
from eventscope.store.values.moment import HOUR, to_text
from tests.store.support.filter_shapes import MOST, Samples

PAGE: Final = 20
EVENTS: Final = (
    "query Page($filter: EventFilter, $order: Order, $first: Int, $after: String, $last: Int, $before: String) {"
    " events(filter: $filter, order: $order, first: $first, after: $after, last: $last, before: $before)"
    f" {{ nodes {{ {FIELDS} }} coverage {{ complete }} pageInfo {{ hasNextPage endCursor }} }} }}"
)
AGGREGATE: Final = (
    f'query One($id: ID!) {{ aggregate(type: "user", id: $id) {{ version events(first: {PAGE})'
    f" {{ nodes {{ {FIELDS} }} }} }} }}"
)
TRACE: Final = (
    "query Trace($id: ID!) { trace(correlationId: $id)"
    f" {{ complete nodes {{ depth causeMillis event {{ {FIELDS} }} }} }} }}"
)


@dataclass(frozen=True, slots=True)
class Question:
    """A query to measure. It should take as long as the one that is named `like`."""

    name: str
    query: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    like: str | None = None
    spare: int = 0  # further documents that MongoDB may examine

    @property
    def body(self) -> bytes:
        """The body of the request."""
        return orjson.dumps({"query": self.query, "variables": self.variables})


@dataclass(frozen=True, slots=True)
class QuestionFigures:
    """Figures of a query: milliseconds (median, p99), events returned, documents examined, commands to MongoDB."""

    name: str
    middle: float
    late: float
    returned: int
    examined: int
    others: int
    commands: int
    like: str | None
    spare: int

    @property
    def ratio(self) -> float:
        """The number of events examined per event returned."""
        return self.examined / max(self.returned, 1)


def questions(known: Samples, newest: int) -> list[Question]:
    """Pages at any depth, an hour, an aggregate, a correlation."""
    deep, shallow = newest // 2, newest // 100
    one_hour = _times(known.middle, known.middle + HOUR - 1)
    across = _times(known.within, known.within + HOUR)
    spare = 2 * known.busiest  # for both ends
    aggregate = {"aggregateType": "user", "aggregateId": known.aggregate_ids[0]}
    first, last = "newest first, at the start", "oldest first, at the start"
    middle = f"newest first, {shallow:,} events deep"
    return [
        _page(first),
        _page(middle, after=cursor(newest - shallow + 1)),
        _page(f"newest first, {deep:,} events deep", middle, after=cursor(newest - deep + 1)),
        _page(f"back from there, {deep:,} deep", middle, first=None, last=PAGE, before=cursor(newest - deep + 1)),
        _page(last, order="OLDEST_FIRST"),
        _page(f"oldest first, {deep:,} events deep", last, order="OLDEST_FIRST", after=cursor(deep)),
        _page("one hour in the middle", filter=one_hour),
        _page("one hour in the middle, a page of 1000", filter=one_hour, first=1000),
        _page("an hour across two clock hours", filter=across, spare=spare),
        _page("one aggregate", filter=aggregate),
        _page("one aggregate in that hour", filter=aggregate | one_hour),
        Question("one aggregate with its first events", AGGREGATE, {"id": known.aggregate_ids[0]}),
        _page("one correlation", filter={"correlationId": known.correlations[0]}),
        Question("one correlation as a tree of causes", TRACE, {"id": known.correlations[0]}),
        _page("one user", filter={"userId": known.users[0]}),
        _page("types by a pattern, in that hour", filter={"eventTypes": ["*.created"]} | one_hour),
        _page("types by a pattern, across two clock hours", filter={"eventTypes": ["*.created"]} | across, spare=spare),
    ]


def _page(name: str, like: str | None = None, spare: int = 0, **variables: Any) -> Question:
    return Question(name, EVENTS, {"order": "NEWEST_FIRST", "first": PAGE} | variables, like, spare)


def _times(low: int, high: int) -> dict[str, str]:
    return {"fromTimestamp": to_text(low), "toTimestamp": to_text(high)}


def cursor(position: int) -> str:
    """The cursor of an event."""
    return f"e{position:x}"


async def measure(
    server: ReadServer, mongo: str, database: Documents, rounds: int, times: int
) -> list[QuestionFigures]:
    """Send every query `times` times in each round, in turn, and once more to count documents."""
    known, newest = samples(database), head(database["events"])
    queries = questions(known, newest)
    seconds: dict[str, list[float]] = {question.name: [] for question in queries}
    with started(server, mongo, database.name) as (port, process):
        if not await is_ready(port, http_client.post_request(port, queries[0].body), process):
            raise SystemExit("Eventscope does not start")
        for turn in range(rounds + 1):
            for question in queries:
                delays = await http_client.delays(port, http_client.post_request(port, question.body), times)
                if turn:  # the first round only warms up
                    seconds[question.name] += delays
        return [await _figures(port, question, seconds[question.name], database) for question in queries]


async def _figures(port: int, question: Question, delays: Sequence[float], database: Documents) -> QuestionFigures:
    ask = partial(http_client.answer, port, http_client.post_request(port, question.body))
    answer = orjson.loads(await ask())
    if "errors" in answer:
        raise SystemExit(f"{question.name}: {answer['errors']}")
    counts = await examined(database, ask)
    ordered = sorted(delays)
    return QuestionFigures(
        question.name,
        median(ordered) * 1000,
        ordered[int(len(ordered) * 0.99)] * 1000,
        _entries(answer["data"]),
        counts.events,
        counts.others,
        counts.commands,
        question.like,
        question.spare,
    )


def _entries(answer: Any) -> int:
    """The number of events in the answer."""
    if isinstance(answer, list):
        return sum(map(_entries, answer))
    if not isinstance(answer, dict):
        return 0
    return len(answer["nodes"]) if "nodes" in answer else sum(map(_entries, answer.values()))


def show(figures: Sequence[QuestionFigures], sheet: Sheet) -> None:
    """Add a row for each query, and one for each that should take as long as another."""
    by_name = {one.name: one for one in figures}
    for one in figures:
        events = f"examined {one.examined:,}" if one.examined or not one.returned else "from memory, examined none"
        others = f" and {one.others:,} others" if one.others else ""
        examined = f"{events} for {one.returned:,}{others}"
        bar = f"≤ {MOST}, plus the minutes" if one.spare else f"≤ {MOST}"
        sheet.add(one.name, f"{one.middle:.2f} ms, p99 {one.late:.2f} ms; {examined}", f"{one.ratio:.2f}", bar)
    for one in figures:
        if one.like is not None:
            ratio = one.middle / by_name[one.like].middle
            sheet.add(f"{one.name}: time to that of “{one.like}”", "", f"{ratio:.2f}", "1, except for noise")
    sheet.notes += [
        f"Queries: pages of {PAGE} with 12 fields unless named otherwise, one request at a time over one connection;"
        " examined is what MongoDB's profiler reports for all commands of one request: events, for the number returned"
        " (one more shows whether there is a next page), and others, which are hours of the rollups, heads of"
        " aggregates and the head of the log. The newest events are answered from memory.",
        "If a time range begins or ends within a minute, all events of that minute are examined as well.",
        *(f"MISSED: {one.name}: {one.ratio:.2f} events examined for each returned" for one in missed(figures)),
    ]


def missed(figures: Sequence[QuestionFigures]) -> list[QuestionFigures]:
    """The queries for which MongoDB examined too many events."""
    return [one for one in figures if one.examined > MOST * max(one.returned, 1) + one.spare]
