"""Appending: positions and versions without gaps, and rejected messages are kept (I1 to I3)."""

from typing import Any

import pytest

from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from eventscope.store.state import checkpoint, lease
from eventscope.store.stats import counts
from eventscope.store.stats.counts import Scope
from eventscope.store.values.message import NO_STREAM
from eventscope.store.values.moment import DAY
from eventscope.store.write.retention import Retention
from tests.store.support.appender import CREATED, STREAM, Appender, Clock, event, rejected_message


class TestOrder:
    async def test_positions_are_dense_across_many_batches(self, log: Log, appender: Appender) -> None:
        for size in (1, 7, 1, 100, 2):
            stored = await appender.store(*(event() for _ in range(size)))
            assert [e["_id"] for e in stored.events] == list(range(stored.previous + 1, stored.head + 1))
        assert [e["_id"] for e in await pages.events(log, EVERYTHING, limit=1000)] == list(range(1, 112))
        assert (await checkpoint.read(log)).head == 111

    async def test_a_batch_keeps_the_order_of_the_stream(self, log: Log, appender: Appender) -> None:
        await appender.store(event(id="b", at=2), event(id="a", at=3), event(id="c", at=1))
        assert [e["messageId"] for e in await pages.events(log, EVERYTHING, limit=10)] == ["b", "a", "c"]

    async def test_a_message_that_is_not_stored_takes_no_position(self, log: Log, appender: Appender) -> None:
        conflict = event(id="conflict", of=("user", "1"), expected=7)
        await appender.store(event(id="a"), rejected_message(b"{"), event(id="a"), conflict, event(id="b"))
        await appender.store(rejected_message(b"{"), event(id="c"))
        found = await pages.events(log, EVERYTHING, limit=10)
        assert [(e["_id"], e["messageId"]) for e in found] == [(1, "a"), (2, "b"), (3, "c")]

    async def test_an_empty_batch_changes_only_the_place(self, log: Log, appender: Appender) -> None:
        await appender.store(event())
        appender.sequence = 9
        await appender.store()
        at = await checkpoint.read(log)
        assert at.stream_position is not None
        assert (at.head, at.stream_position.sequence) == (1, 9)

    async def test_another_writer_continues_where_the_last_one_stopped(self, log: Log, appender: Appender) -> None:
        await appender.store(event(id="a", of=("user", "1")), rejected_message(b"1"))
        await lease.release(log, "first")
        successor = await Appender.of(log, "successor")
        await successor.store(event(id="b", of=("user", "1")), rejected_message(b"2"))
        assert [(e["_id"], e["version"]) for e in await pages.events(log, EVERYTHING, limit=10)] == [(1, 1), (2, 2)]
        assert [(r.number, r.raw) for r in await rejected.rejections(log, limit=10)] == [(2, b"2"), (1, b"1")]

    async def test_an_event_has_its_place_in_the_stream(self, log: Log, appender: Appender) -> None:
        [stored] = (await appender.store(event(id="a"))).events
        found = await pages.event(log, "a")
        assert found is not None
        assert found == stored
        assert found["source"] == {"stream": STREAM, "created": CREATED, "sequence": 1}


class TestVersions:
    async def test_versions_are_dense_in_each_aggregate_whatever_happens_in_others(
        self, log: Log, appender: Appender
    ) -> None:
        names = [("user", "1"), ("user", "2"), ("vendor", "1")]
        for n in range(5):
            await appender.store(*(event(of=names[(n + m) % 3]) for m in range(4)))
        found = await pages.events(log, EVERYTHING, limit=100)
        for name in names:
            versions = [e["version"] for e in found if (e["aggregateType"], e["aggregateId"]) == name]
            assert versions == list(range(1, len(versions) + 1))
        assert len(found) == 20

    async def test_an_event_without_an_aggregate_has_no_version(self, log: Log, appender: Appender) -> None:
        parts: list[dict[str, Any]] = [{}, {"aggregateType": "user"}, {"aggregateId": "1"}]
        await appender.store(*(event(**part) for part in parts))
        found = await pages.events(log, EVERYTHING, limit=10)
        for stored, part in zip(found, parts, strict=True):
            assert "version" not in stored
            assert part.items() <= dict(stored).items()
        assert await counts.aggregates(log, Scope()) == 0

    async def test_a_correct_expectation_is_met(self, log: Log, appender: Appender) -> None:
        ann = ("user", "ann")
        await appender.store(event(of=ann, expected=NO_STREAM), event(of=ann, expected=1))
        await appender.store(event(of=ann, expected=2), event(of=ann))
        assert [e["version"] for e in await pages.events(log, EVERYTHING, limit=10)] == [1, 2, 3, 4]

    async def test_a_wrong_expectation_is_refused_with_the_actual_version(self, log: Log, appender: Appender) -> None:
        await appender.store(event(of=("user", "ann")), event(of=("user", "ann")))
        wrong = [("ann", NO_STREAM), ("ann", 1), ("ann", 3), ("bob", 1), ("bob", 2**62)]
        stored = await appender.store(*(event(of=("user", id), expected=expected) for id, expected in wrong))
        assert (stored.events, stored.codes) == ((), {"VERSION_CONFLICT": 5})
        conflicts = await rejected.rejections(log, limit=10)
        assert {conflict.code for conflict in conflicts} == {"VERSION_CONFLICT"}
        assert [conflict.reason for conflict in reversed(conflicts)] == [
            f"user {id} was expected at version {expected} and is at {2 if id == 'ann' else 0}"
            for id, expected in wrong
        ]

    async def test_expectations_see_what_comes_before_them_in_the_same_batch(
        self, log: Log, appender: Appender
    ) -> None:
        ann = ("user", "ann")
        stored = await appender.store(event(of=ann), event(of=ann, expected=0), event(of=ann, expected=1))
        assert [e["version"] for e in stored.events] == [1, 2]
        assert stored.codes == {"VERSION_CONFLICT": 1}

    async def test_no_two_events_can_share_a_version(self, log: Log, appender: Appender) -> None:
        [stored] = (await appender.store(event(of=("user", "1")))).events
        twin = {**stored, "_id": 2, "messageId": "other"}
        with pytest.raises(Exception, match="E11000"):
            await log.events.insert_one(twin)


class TestRejected:
    async def test_a_rejected_message_is_kept_completely(self, log: Log, appender: Appender, clock: Clock) -> None:
        raw = bytes(range(256)) * 10
        stored = await appender.store(event(), rejected_message(raw, "INVALID_JSON", "it begins with NUL"))
        assert (stored.rejected, stored.codes) == (1, {"INVALID_JSON": 1})
        [kept] = await rejected.rejections(log, limit=10)
        assert kept == rejected.StoredRejection(
            1,
            "INVALID_JSON",
            "it begins with NUL",
            "events.poison",
            {"Some-Header": "kept"},
            raw,
            clock.now,
            {"stream": STREAM, "created": CREATED, "sequence": 2},
        )

    async def test_rejected_messages_are_numbered_and_read_newest_first(self, log: Log, appender: Appender) -> None:
        for n in range(0, 9, 3):
            await appender.store(*(rejected_message(str(m).encode()) for m in range(n, n + 3)))
        assert [r.number for r in await rejected.rejections(log, limit=4)] == [9, 8, 7, 6]
        page = await rejected.rejections(log, limit=4, below=6)
        assert [(r.number, r.raw) for r in page] == [(5, b"4"), (4, b"3"), (3, b"2"), (2, b"1")]
        assert await rejected.count(log) == 9

    async def test_an_event_past_its_retention_is_rejected(self, log: Log, appender: Appender, clock: Clock) -> None:
        appender.retention = Retention({"*": 1, "user.*": 0})
        late = clock.now - 2 * DAY
        stored = await appender.store(
            event("tick", id="a", recorded=late), event("user.created", id="b", recorded=late), event("tick", id="c")
        )
        assert [e["messageId"] for e in stored.events] == ["b", "c"]
        [expired] = await rejected.rejections(log, limit=10)
        assert (expired.code, expired.reason) == ("EXPIRED", "tick is kept for 1 days, and these have passed")

    async def test_an_event_is_rejected_from_the_exact_hour_of_its_expiry(
        self, log: Log, appender: Appender, clock: Clock
    ) -> None:
        appender.retention = Retention({"*": 1})
        recorded = clock.now
        clock.now = recorded + DAY - 1
        assert len((await appender.store(event(recorded=recorded))).events) == 1
        clock.now = recorded + DAY
        assert (await appender.store(event(recorded=recorded))).codes == {"EXPIRED": 1}
