"""Counts from rollups always equal a recount of the events (I6)."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.store.filters.filter import Among, TypePatterns
from eventscope.store.log import Log
from eventscope.store.stats import counts, expiry
from eventscope.store.stats.counts import Cell, Scope
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.moment import DAY, HOUR
from eventscope.store.write.retention import Retention
from tests.store.support import filter_model as model
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.store.support.random_log import (
    AGGREGATE_IDS,
    AGGREGATE_TYPES,
    CAUSES,
    PEOPLE,
    RandomLog,
    State,
    moments,
    timestamps,
    types,
)

Group = tuple[str, str | None, int | None]


def scopes(corpus: RandomLog) -> st.SearchStrategy[Scope]:
    aggregate_types = st.lists(st.sampled_from([*AGGREGATE_TYPES, "none of them"]), max_size=3).map(tuple)
    ids = {"aggregateId": AGGREGATE_IDS, "userId": PEOPLE, "correlationId": CAUSES, "causationId": CAUSES}
    one = st.sampled_from([Among(field, (id,)) for field, values in ids.items() for id in values])  # type: ignore[arg-type]  # its fields
    among = st.just(()) | st.lists(one, max_size=2).map(tuple)
    return st.builds(
        Scope, st.none() | types(), st.none() | aggregate_types, timestamps(corpus), timestamps(corpus), among
    )


def summed(cells: Iterable[Cell]) -> dict[Group, tuple[int, int, int]]:
    """Count, earliest and latest of each group."""
    groups: dict[Group, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.type, cell.aggregate_type, cell.hour), []).append(cell)
    return {
        group: (sum(c.n for c in members), min(c.earliest for c in members), max(c.latest for c in members))
        for group, members in groups.items()
    }


def recounted(events: Iterable[EventDocument], *, hourly: bool) -> dict[Group, tuple[int, int, int]]:
    groups: dict[Group, list[int]] = {}
    for e in events:
        hour = e["timestamp"] // HOUR * HOUR if hourly else None
        groups.setdefault((e["type"], e.get("aggregateType"), hour), []).append(e["timestamp"])
    return {group: (len(times), min(times), max(times)) for group, times in groups.items()}


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_counts_equal_a_recount_whatever_the_scope_and_whatever_has_expired(
    corpus: RandomLog, data: st.DataObject
) -> None:
    scope = data.draw(scopes(corpus), "scope")
    hourly = data.draw(st.booleans(), "hourly")
    state: State = data.draw(st.sampled_from(["whole", "tidied"]), "state")
    log = corpus.at(data.draw(moments(corpus), "now"), state)

    cells = corpus.ask(counts.cells(log, scope, hourly=hourly))

    counted = model.counted_events(model.unexpired(corpus.events, corpus.clock.now), scope)
    assert summed(cells) == recounted(counted, hourly=hourly)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_unique_aggregates_equal_a_recount(corpus: RandomLog, data: st.DataObject) -> None:
    scope = data.draw(st.builds(Scope) | scopes(corpus), "scope")
    state: State = data.draw(st.sampled_from(["whole", "tidied"]), "state")
    log = corpus.at(data.draw(moments(corpus), "now"), state)

    unique = corpus.ask(counts.aggregates(log, scope))

    counted = model.counted_events(model.unexpired(corpus.events, corpus.clock.now), scope)
    assert unique == len({(e["aggregateType"], e["aggregateId"]) for e in counted if "version" in e})


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_unique_aggregates_by_type_alone_equal_a_recount(corpus: RandomLog, data: st.DataObject) -> None:
    asked = data.draw(st.none() | st.lists(st.sampled_from(AGGREGATE_TYPES), max_size=3).map(tuple), "types")
    state: State = data.draw(st.sampled_from(["whole", "tidied"]), "state")
    log = corpus.at(data.draw(moments(corpus), "now"), state)

    unique = corpus.ask(counts.aggregates(log, Scope(aggregate_types=asked)))

    left = [e for e in model.unexpired(corpus.events, corpus.clock.now) if "version" in e]
    names = {(e["aggregateType"], e["aggregateId"]) for e in left}
    assert unique == sum(asked is None or type in asked for type, _ in names)


async def test_an_empty_log_counts_nothing(log: Log) -> None:
    for scope in (
        Scope(),
        Scope(types=TypePatterns(("*",))),
        Scope(low=NOON + 1, high=NOON + 2),
        Scope(aggregate_types=()),
    ):
        assert await counts.cells(log, scope) == []
        assert await counts.aggregates(log, scope) == 0


async def test_before_1970_too_an_hour_begins_at_its_first_microsecond(log: Log, appender: Appender) -> None:
    times = [-HOUR - 1, -HOUR, -HOUR + 1, -1, 0, 1, HOUR - 1, HOUR]
    await appender.store(*(event(at=time) for time in times))
    for low, high in [(None, None), (-HOUR, HOUR), (-HOUR + 1, HOUR - 2), (-1, -1), (-HOUR - 1, 0), (-5, 5)]:
        cells = await counts.cells(log, Scope(low=low, high=high), hourly=True)
        inside = [t for t in times if (low is None or t >= low) and (high is None or t <= high)]
        tally: Counter[Any] = Counter()
        for cell in cells:
            tally[cell.hour] += cell.n
        assert tally == Counter(time // HOUR * HOUR for time in inside)


async def test_both_ends_of_a_time_range_are_included_in_counts(log: Log, appender: Appender) -> None:
    await appender.store(*(event(at=NOON + n) for n in range(10)))
    for low, high, n in [
        (NOON, NOON + 9, 10),
        (NOON + 3, NOON + 5, 3),
        (NOON + 5, NOON + 5, 1),
        (NOON + 6, NOON + 5, 0),
    ]:
        assert sum(cell.n for cell in await counts.cells(log, Scope(low=low, high=high))) == n


async def test_counts_stay_correct_while_events_come_in_and_expire(log: Log, appender: Appender, clock: Clock) -> None:
    appender.retention = Retention({"*": 2, "brief.*": 1, "lasting.*": 0})
    ever: list[EventDocument] = []
    for day in range(8):
        clock.now = NOON + day * DAY
        names = ("brief.one", "usual", "lasting.one")
        for n, type in enumerate(names):
            batch = (event(type, of=("thing", f"{type} {day // 2 * n}"), at=clock.now - m * HOUR) for m in range(5))
            ever += (await appender.store(*batch)).events
        left = model.unexpired(ever, clock.now)
        assert len(left) < len(ever) or day == 0
        assert summed(await counts.cells(log, Scope(), hourly=True)) == recounted(left, hourly=True)
        names_left = {e["aggregateId"] for e in left}
        assert await counts.aggregates(log, Scope()) == len(names_left)
        if day % 3 == 2:
            await expiry.tidy(log)
            assert summed(await counts.cells(log, Scope(), hourly=True)) == recounted(left, hourly=True)
            assert await counts.aggregates(log, Scope()) == len(names_left)
