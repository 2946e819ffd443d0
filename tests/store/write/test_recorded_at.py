"""`recordedAt` never falls along positions, whatever the clocks of NATS do, and the original is kept."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.log import Log
from eventscope.store.recount import checkpoint_repair
from eventscope.store.state import checkpoint, lease
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.message import Arrival, MessageBatch, MessageGroup, ParsedMessage, StreamPosition
from eventscope.store.values.moment import DAY, HOUR, MINUTE
from eventscope.store.write.draft import AHEAD, Draft
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import writing
from tests.store.support.appender import CREATED, FOREVER, NOON, STREAM, Appender, Clock, event

PLACE = StreamPosition(STREAM, CREATED, 0, 0)
EMPTY = LogCheckpoint(0, 0, PLACE, 0, None, 1, lease_held=True)


def received(message: Any, at: int, sequence: int = 1) -> Any:
    """The message as NATS received it at that time."""
    return replace(message, arrival=replace(message.arrival, recorded_at=at, sequence=sequence))


def draft(*messages: ParsedMessage, now: int = NOON, at: LogCheckpoint = EMPTY) -> Draft:
    batch = MessageBatch(messages, PLACE)
    result = Draft(now, FOREVER, at, batch, {}, {})
    for message in messages:
        result.add(message)
    return result


@given(st.lists(st.integers(NOON - 2 * DAY, NOON + 2 * DAY), min_size=1), st.integers(0, NOON))
def test_it_is_the_time_of_nats_unless_that_is_before_the_last_one_or_far_ahead_of_mongodb(
    times: list[int], last: int
) -> None:
    messages = [received(event(str(n), at=1), time, n) for n, time in enumerate(times)]
    done = draft(*messages, at=replace(EMPTY, recorded_at=last))
    expected = last
    for time, stored in zip(times, done.events, strict=True):
        expected = max(expected, min(time, NOON + AHEAD))
        assert stored["recordedAt"] == expected
        assert stored["source"].get("recordedAt", stored["recordedAt"]) == time
        assert ("recordedAt" in stored["source"]) == (time != expected)
    assert done.checkpoint_after().recorded_at == expected


def test_a_rejected_group_of_events_does_not_move_it() -> None:
    late = event("a", of=("user", "1"), at=NOON)
    refused = event("b", of=("user", "1"), at=NOON, expected=7)
    arrival: Arrival = replace(late.arrival, recorded_at=NOON)
    group = MessageGroup(arrival, (received(late, NOON), received(refused, NOON)))
    done = draft(group, received(event("c"), NOON - HOUR))
    assert [one["recordedAt"] for one in done.events] == [NOON - HOUR]


async def test_it_goes_on_after_a_restart_and_expiry_counts_from_it(log: Log, appender: Appender, clock: Clock) -> None:
    appender.retention = Retention({"*": 1})
    await appender.store(received(event("a"), NOON))
    await lease.release(log, "first")
    async with writing(log, appender.retention, "second", 600) as writer:
        assert writer is not None
        stored = await writer.append(
            MessageBatch((received(event("b", at=1), NOON - 3 * HOUR, 2),), replace(PLACE, sequence=2))
        )
    first, second = await log.events.find({}).sort("_id", 1).to_list(None)
    assert second["recordedAt"] == first["recordedAt"] == NOON
    assert second["source"]["recordedAt"] == NOON - 3 * HOUR
    assert second["expireAt"] == first["expireAt"]
    assert stored.events[0]["recordedAt"] == NOON


async def test_the_log_of_an_older_version_continues_after_its_last_event(log: Log, appender: Appender) -> None:
    await appender.store(received(event("a"), NOON))
    await lease.release(log, "first")
    await log.meta.update_one({"_id": checkpoint.ID}, {"$unset": {"recordedAt": ""}})
    async with writing(log, FOREVER, "second", 600) as writer:
        assert writer is not None
        assert writer.at.recorded_at == NOON


async def test_a_checkpoint_that_is_rebuilt_continues_after_the_last_event_and_reads_on_at_its_message(
    log: Log, appender: Appender
) -> None:
    await appender.store(received(event("a"), NOON), received(event("b"), NOON - MINUTE))
    await log.meta.delete_one({"_id": checkpoint.ID})
    await checkpoint_repair.accept_loss(log)
    rebuilt = await checkpoint.read(log)
    assert rebuilt.recorded_at == NOON
    assert rebuilt.stream_position is not None
    assert (rebuilt.stream_position.sequence, rebuilt.stream_position.recorded_at) in {(1, NOON), (2, NOON - MINUTE)}
