"""Several events that come as one message: all are stored in their order, or none is."""

from eventscope.store import aggregates
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.values.message import NO_STREAM
from tests.store.support.appender import Appender, event, message_group, rejected_message

ADA, BOB = ("user", "ada"), ("user", "bob")


async def test_the_events_of_a_group_have_consecutive_positions_and_versions(log: Log, appender: Appender) -> None:
    stored = await appender.store(
        event(of=ADA), message_group(event(of=ADA), event(of=BOB), event(of=ADA)), event(of=BOB)
    )
    assert [(e["_id"], e["aggregateId"], e["version"]) for e in stored.events] == [
        (1, "ada", 1),
        (2, "ada", 2),
        (3, "bob", 1),
        (4, "ada", 3),
        (5, "bob", 2),
    ]
    assert {e["source"]["sequence"] for e in stored.events[1:4]} == {2}


async def test_expectations_count_earlier_events_of_the_same_message(log: Log, appender: Appender) -> None:
    stored = await appender.store(message_group(event(of=ADA, expected=NO_STREAM), event(of=ADA, expected=1)))
    assert len(stored.events) == 2


async def test_if_one_event_is_rejected_nothing_of_the_others_is_left(log: Log, appender: Appender) -> None:
    whole = message_group(
        event("a.b", of=ADA, id="1"), event("a.b", of=BOB, id="2"), event("a.b", of=ADA, id="3", expected=7)
    )
    stored = await appender.store(event(of=BOB), whole, event(of=ADA))
    assert [(e["_id"], e["aggregateId"], e["version"]) for e in stored.events] == [(1, "bob", 1), (2, "ada", 1)]
    [refusal] = [outcome.rejection for outcome in stored.outcomes if outcome.rejection]
    assert (refusal.code, refusal.index, refusal.actual_version) == ("VERSION_CONFLICT", 2, 1)
    [kept] = await log.rejected.find({}).to_list(None)
    assert kept["reason"].startswith("event 3 of 3: ")
    assert [a.version for a in await aggregates.by_name(log, [ADA, BOB])] == [1, 1]
    # what was dropped with the group can be sent again by itself
    assert len((await appender.store(event("a.b", of=BOB, id="2"))).events) == 1


async def test_a_repeated_group_is_recognized_as_a_whole(log: Log, appender: Appender) -> None:
    whole = message_group(event("a.b", of=ADA, id="1"), event("a.b", of=ADA, id="2"))
    first = await appender.store(whole)
    again = await appender.store(whole)
    assert (again.events, again.duplicates) == ((), 2)
    assert [e["_id"] for e in again.outcomes[0].events] == [e["_id"] for e in first.outcomes[0].events]
    assert (await checkpoint.read(log)).head == 2


async def test_a_group_of_which_only_a_part_is_stored_is_rejected(log: Log, appender: Appender) -> None:
    await appender.store(event("a.b", id="1"))
    stored = await appender.store(message_group(event("a.b", id="1"), event("a.b", id="2")))
    assert (stored.events, stored.codes, stored.duplicates) == ((), {"ID_REUSED": 1}, 0)
    assert len(await pages.events(log, EVERYTHING, limit=10)) == 1


async def test_outcomes_are_in_order_of_arrival(log: Log, appender: Appender) -> None:
    stored = await appender.store(event(), rejected_message(b"{"), message_group(event(), event()))
    assert [(len(o.events), o.rejection is not None, o.together) for o in stored.outcomes] == [
        (1, False, False),
        (0, True, False),
        (2, False, True),
    ]


async def test_an_event_that_occurs_twice_in_one_message_is_stored_once(appender: Appender) -> None:
    twice = message_group(event(id="a", at=1), event(id="a", at=1), event(id="b", at=1))
    stored = await appender.store(twice)
    assert ([one["messageId"] for one in stored.events], stored.rejected, stored.duplicates) == (["a", "b"], 0, 1)
    assert (await appender.store(twice)).rejected == 0
