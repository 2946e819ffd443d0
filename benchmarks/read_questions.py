"""Questions about a long log, one after the other by HTTP: milliseconds, and documents examined for those returned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any, Final

import orjson

from benchmarks import asking
from benchmarks.examined import Documents, examined
from benchmarks.read_pages import FIELDS
from benchmarks.read_samples import head, samples
from benchmarks.served import Server, answers, started
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
    """Something to be asked. `like` is another question that it should take as long as."""

    name: str
    query: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    like: str | None = None
    spare: int = 0  # documents that may be examined besides

    @property
    def body(self) -> bytes:
        """What is sent."""
        return orjson.dumps({"query": self.query, "variables": self.variables})


@dataclass(frozen=True, slots=True)
class Answered:
    """Milliseconds (median, p99), entries returned, documents examined, commands that it took."""

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
        """How many events were looked at for each that was returned."""
        return self.examined / max(self.returned, 1)


def questions(known: Samples, newest: int) -> list[Question]:
    """Pages at any depth, an hour, an aggregate, a conversation."""
    deep, shallow = newest // 2, newest // 100
    one_hour = _times(known.middle, known.middle + HOUR - 1)
    cut = _times(known.within, known.within + HOUR)
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
        _page("an hour that cuts two", filter=cut, spare=spare),
        _page("one aggregate", filter=aggregate),
        _page("one aggregate in that hour", filter=aggregate | one_hour),
        Question("one aggregate with its first events", AGGREGATE, {"id": known.aggregate_ids[0]}),
        _page("one correlation", filter={"correlationId": known.correlations[0]}),
        Question("one correlation as a tree of causes", TRACE, {"id": known.correlations[0]}),
        _page("one user", filter={"userId": known.users[0]}),
        _page("types by a pattern, in that hour", filter={"eventTypes": ["*.created"]} | one_hour),
        _page("types by a pattern, in an hour that cuts two", filter={"eventTypes": ["*.created"]} | cut, spare=spare),
    ]


def _page(name: str, like: str | None = None, spare: int = 0, **variables: Any) -> Question:
    return Question(name, EVENTS, {"order": "NEWEST_FIRST", "first": PAGE} | variables, like, spare)


def _times(low: int, high: int) -> dict[str, str]:
    return {"fromTimestamp": to_text(low), "toTimestamp": to_text(high)}


def cursor(position: int) -> str:
    """The place of an event."""
    return f"e{position:x}"


async def asked(server: Server, mongo: str, database: Documents, rounds: int, times: int) -> list[Answered]:
    """Every question so many times in each round, in turn, and once more for what is examined."""
    known, newest = samples(database), head(database["events"])
    given = questions(known, newest)
    taken: dict[str, list[float]] = {question.name: [] for question in given}
    with started(server, mongo, database.name) as (port, process):
        if not await answers(port, asking.request(port, given[0].body), process):
            raise SystemExit("Eventscope does not start")
        for turn in range(rounds + 1):
            for question in given:
                delays = await asking.delays(port, asking.request(port, question.body), times)
                if turn:  # the first one is for warming up
                    taken[question.name] += delays
        return [await _answered(port, question, taken[question.name], database) for question in given]


async def _answered(port: int, question: Question, delays: Sequence[float], database: Documents) -> Answered:
    ask = partial(asking.answer, port, asking.request(port, question.body))
    answer = orjson.loads(await ask())
    if "errors" in answer:
        raise SystemExit(f"{question.name}: {answer['errors']}")
    looked = await examined(database, ask)
    ordered = sorted(delays)
    return Answered(
        question.name,
        median(ordered) * 1000,
        ordered[int(len(ordered) * 0.99)] * 1000,
        _entries(answer["data"]),
        looked.events,
        looked.others,
        looked.commands,
        question.like,
        question.spare,
    )


def _entries(answer: Any) -> int:
    """How many events the answer has."""
    if isinstance(answer, list):
        return sum(map(_entries, answer))
    if not isinstance(answer, dict):
        return 0
    return len(answer["nodes"]) if "nodes" in answer else sum(map(_entries, answer.values()))


def show(answered: Sequence[Answered], sheet: Sheet) -> None:
    """A row for each question, and one for each that should take as long as another."""
    by_name = {one.name: one for one in answered}
    for one in answered:
        events = f"examined {one.examined:,}" if one.examined or not one.returned else "from memory, examined none"
        others = f" and {one.others:,} others" if one.others else ""
        looked = f"{events} for {one.returned:,}{others}"
        bar = f"≤ {MOST} and the minutes" if one.spare else f"≤ {MOST}"
        sheet.add(one.name, f"{one.middle:.2f} ms, p99 {one.late:.2f} ms; {looked}", f"{one.ratio:.2f}", bar)
    for one in answered:
        if one.like is not None:
            ratio = one.middle / by_name[one.like].middle
            sheet.add(f"{one.name}: time to that of “{one.like}”", "", f"{ratio:.2f}", "1, but for noise")
    sheet.notes += [
        f"Questions: pages of {PAGE} with 12 fields where nothing else is said, one request at a time over one"
        " connection; examined is what MongoDB's profiler says of all commands of one request, events for those"
        " returned (one more is read to know whether there is a next page), and others: hours of the rollups,"
        " heads of aggregates, the head of the log. The newest events are answered from memory.",
        "A time range that begins or ends within a minute has all events of that minute examined besides.",
        *(f"MISSED: {one.name}: {one.ratio:.2f} events examined for each returned" for one in missed(answered)),
    ]


def missed(answered: Sequence[Answered]) -> list[Answered]:
    """Those for which MongoDB looked at too many events."""
    return [one for one in answered if one.examined > MOST * max(one.returned, 1) + one.spare]
