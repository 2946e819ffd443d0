"""Aggregates: their heads agree with their kept events, and their versions outlive the events (I3, I6, I7)."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria, AggregateSummary, Order
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log
from eventscope.store.stats import counts, expiry
from eventscope.store.stats.counts import Scope
from eventscope.store.values.moment import DAY
from eventscope.store.write.retention import Retention
from tests.store.support import filter_model as model
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.store.support.filter_model import ExpectedHead
from tests.store.support.random_log import AGGREGATE_IDS, AGGREGATE_TYPES, RandomLog, State, moments

ANN = ("user", "ann")


def assert_same(found: AggregateSummary, expected: ExpectedHead) -> None:
    said = asdict(found)
    assert {name: said[name] for name in asdict(expected) if name in said} == {
        name: value for name, value in asdict(expected).items() if name in said
    }


def positions(heads: dict[tuple[str, str], ExpectedHead], order: Order) -> list[tuple[int, tuple[str, str]]]:
    """The aggregates in an order, each with the position that it is sorted by."""
    end = "last_position" if order == "last.position" else "first_position"
    return sorted(((getattr(head, end), name) for name, head in heads.items()), reverse=True)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_page_of_aggregates_equals_what_their_kept_events_show(corpus: RandomLog, data: st.DataObject) -> None:
    filter = AggregateCriteria(
        types=data.draw(st.none() | st.lists(st.sampled_from(AGGREGATE_TYPES), max_size=3).map(tuple), "types"),
        ids=data.draw(st.none() | st.lists(st.sampled_from(AGGREGATE_IDS), max_size=3).map(tuple), "ids"),
        deleted=data.draw(st.none() | st.booleans(), "deleted"),
    )
    order: Order = data.draw(st.sampled_from(["last.position", "first.position"]), "order")
    below = data.draw(st.none() | st.integers(1, len(corpus.events)), "below")
    limit = data.draw(st.integers(1, 30), "limit")
    state: State = data.draw(st.sampled_from(["whole", "tidied"]), "state")
    log = corpus.at(data.draw(moments(corpus), "now"), state)

    page = corpus.ask(aggregates.aggregates(log, filter, limit=limit, order=order, below=below))
    counted = corpus.ask(aggregates.count(log, filter, 7))

    heads = {
        name: head
        for name, head in model.heads(corpus.events, corpus.clock.now).items()
        if (filter.types is None or name[0] in filter.types)
        and (filter.ids is None or name[1] in filter.ids)
        and (filter.deleted is None or head.deleted == filter.deleted)
    }
    assert counted == min(len(heads), 7)
    expected = [(position, name) for position, name in positions(heads, order) if below is None or position < below]
    assert [(found.position, (found.type, found.id)) for found in page] == expected[:limit]
    for found in page:
        assert_same(found, heads[found.type, found.id])


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_aggregates_by_name_equal_what_their_kept_events_show(corpus: RandomLog, data: st.DataObject) -> None:
    one = st.tuples(st.sampled_from([*AGGREGATE_TYPES, "unknown"]), st.sampled_from(AGGREGATE_IDS))
    names = data.draw(st.lists(one, max_size=12), "names")
    state: State = data.draw(st.sampled_from(["whole", "tidied"]), "state")
    log = corpus.at(data.draw(moments(corpus), "now"), state)

    found = {(aggregate.type, aggregate.id): aggregate for aggregate in corpus.ask(aggregates.by_name(log, names))}

    heads = model.heads(corpus.events, corpus.clock.now)
    assert found.keys() == heads.keys() & set(names)
    for name, aggregate in found.items():
        assert_same(aggregate, heads[name])


async def test_an_aggregate_has_its_first_and_last_event_and_their_number(log: Log, appender: Appender) -> None:
    await appender.store(event("user.created", of=ANN, at=5), event("user.updated", of=ANN, at=3))
    await appender.store(event(), event("user.moved", of=ANN, at=4))
    assert await aggregates.by_name(log, [ANN]) == [
        AggregateSummary(
            "user",
            "ann",
            3,
            3,
            first_event_at=5,
            last_event_at=4,
            last_event_type="user.moved",
            deleted=False,
            position=4,
        )
    ]


async def test_expired_events_count_only_in_the_version(log: Log, appender: Appender, clock: Clock) -> None:
    appender.retention = Retention({"*": 1, "user.created": 3})
    await appender.store(event("user.created", of=ANN, at=1), event("user.moved", of=ANN, at=2))
    clock.now = NOON + DAY // 2
    await appender.store(event("user.moved", of=ANN, at=3))

    clock.now = NOON + DAY - 1
    [ann] = await aggregates.by_name(log, [ANN])
    assert (ann.version, ann.event_count, ann.first_event_at, ann.last_event_at) == (3, 3, 1, 3)

    clock.now = NOON + DAY
    [ann] = await aggregates.by_name(log, [ANN])
    assert (ann.version, ann.event_count, ann.first_event_at, ann.last_event_at) == (3, 2, 1, 3)

    clock.now = NOON + DAY + DAY // 2
    [ann] = await aggregates.by_name(log, [ANN])
    assert (ann.version, ann.event_count, ann.last_event_at, ann.last_event_type) == (3, 1, 1, "user.created")

    clock.now = NOON + 3 * DAY
    assert await aggregates.by_name(log, [ANN]) == []
    assert await aggregates.aggregates(log, AggregateCriteria(), limit=10) == []
    assert await aggregates.count(log, AggregateCriteria(), 10) == 0


async def test_an_aggregate_that_expires_while_it_is_read_is_left_out(log: Log, appender: Appender) -> None:
    appender.retention = Retention({"*": 1})
    await appender.store(event(of=ANN))
    ticks = iter([NOON + DAY - 1, NOON + DAY, NOON + DAY])
    assert await aggregates.by_name(replace(log, clock=lambda: next(ticks)), [ANN]) == []


@pytest.mark.parametrize("tidied", [False, True], ids=["before the housekeeping", "after the housekeeping"])
async def test_versions_never_restart_even_when_every_event_has_expired(
    log: Log, appender: Appender, clock: Clock, tidied: bool
) -> None:
    appender.retention = Retention({"*": 1})
    await appender.store(event(of=ANN), event(of=ANN))
    clock.now = NOON + 2 * DAY
    if tidied:
        await expiry.tidy(log)
        await log.events.delete_many({"expireAt": {"$lte": bson_date(clock.now)}})
    assert await aggregates.by_name(log, [ANN]) == []

    assert (await appender.store(event(of=ANN, expected=0))).codes == {"VERSION_CONFLICT": 1}
    await appender.store(event(of=ANN, expected=2))
    [again] = await pages.events(log, EVERYTHING, limit=10)
    assert again["version"] == 3
    [ann] = await aggregates.by_name(log, [ANN])
    assert (ann.version, ann.event_count) == (3, 1)
    assert await counts.aggregates(log, Scope()) == 1


async def test_an_aggregate_with_one_event_that_is_kept_for_ever_stays(
    log: Log, appender: Appender, clock: Clock
) -> None:
    appender.retention = Retention({"*": 1, "user.created": 0})
    await appender.store(event("user.created", of=ANN), event("user.moved", of=ANN))
    clock.now = NOON + 1000 * DAY
    [ann] = await aggregates.by_name(log, [ANN])
    assert (ann.version, ann.event_count) == (2, 1)
    assert await counts.aggregates(log, Scope()) == 1


async def test_an_aggregate_is_deleted_by_its_own_event_and_restored_by_another(log: Log, appender: Appender) -> None:
    async def deleted(type: str) -> bool:
        await appender.store(event(type, of=ANN))
        [ann] = await aggregates.by_name(log, [ANN])
        return ann.deleted

    assert not await deleted("user.created")
    assert not await deleted("user.integration.deleted")
    assert not await deleted("vendor.deleted")
    assert await deleted("user.deleted")
    assert await deleted("user.updated")
    assert await deleted("user.integration.created")
    assert not await deleted("user.restored")


async def test_pages_by_last_change_and_by_creation_have_different_orders(
    log: Log, appender: Appender, clock: Clock
) -> None:
    await appender.store(event(of=("a", "1")), event(of=("a", "2")), event(of=("a", "3")), event(of=("a", "1")))
    changed = await aggregates.aggregates(log, AggregateCriteria(), limit=2)
    assert [(one.id, one.position) for one in changed] == [("1", 4), ("3", 3)]
    created = await aggregates.aggregates(log, AggregateCriteria(), limit=2, order="first.position")
    assert [(one.id, one.position) for one in created] == [("3", 3), ("2", 2)]
    rest = await aggregates.aggregates(log, AggregateCriteria(), limit=2, order="first.position", below=2)
    assert [one.id for one in rest] == ["1"]
