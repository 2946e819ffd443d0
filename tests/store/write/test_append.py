"""Appending: positions and versions without gaps, each message once, and rejected messages are kept (I1 to I3)."""

from dataclasses import replace
from typing import Any

import pytest

from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from eventscope.store.state import checkpoint
from eventscope.store.stats import counts
from eventscope.store.stats.counts import Scope
from eventscope.store.values.message import EXPECTED_VERSION, NO_STREAM, RETRY, Arrival, ParsedMessage, RejectedMessage
from eventscope.store.values.moment import DAY, HOUR
from eventscope.store.write.cache import LOOK_UPS, WriterCache
from eventscope.store.write.retention import Retention
from tests.store.support.appender import (
    CREATED,
    STREAM,
    Appender,
    Clock,
    event,
    everything,
    message_group,
    rejected_message,
)


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
        assert at.place is not None
        assert (at.head, at.place.sequence) == (1, 9)

    async def test_another_writer_continues_where_the_last_one_stopped(self, log: Log, appender: Appender) -> None:
        await appender.store(event(id="a", of=("user", "1")), rejected_message(b"1"))
        await checkpoint.release(log, "first")
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


class TestOnce:
    async def test_a_message_is_stored_once_within_a_batch(self, log: Log, appender: Appender) -> None:
        twice = event(id="a", of=("user", "1"), at=5, data={"n": 1})
        stored = await appender.store(twice, twice, event(id="b", of=("user", "1")))
        assert [(e["messageId"], e["_id"], e["version"]) for e in stored.events] == [("a", 1, 1), ("b", 2, 2)]
        assert (stored.duplicates, stored.rejected) == (1, 0)

    async def test_a_message_is_stored_once_across_all_batches(
        self, log: Log, appender: Appender, clock: Clock
    ) -> None:
        once = event(id="a", of=("user", "1"), at=5, data={"n": 1, "m": [1.5, None, {"$ref": "x", "$id": 1}]})
        await appender.store(once)
        before = await everything(log)
        clock.now += HOUR
        stored = await appender.store(once)
        assert (stored.events, stored.duplicates, stored.rejected) == ((), 1, 0)
        after = await everything(log)
        assert {**after, "meta": None} == {**before, "meta": None}

    async def test_a_repeated_message_is_recognized_whatever_version_it_expects(
        self, log: Log, appender: Appender
    ) -> None:
        first = event(id="a", of=("user", "1"), at=5, expected=NO_STREAM)
        await appender.store(first)
        assert (await appender.store(first)).duplicates == 1

    async def test_a_message_without_a_timestamp_is_recognized_although_jetstream_gives_it_another(
        self, log: Log, appender: Appender, clock: Clock
    ) -> None:
        await appender.store(event(id="a", data=1))
        clock.now += 1
        assert (await appender.store(event(id="a", data=1))).duplicates == 1

    @pytest.mark.parametrize("same_batch", [True, False], ids=["in one batch", "in the next batch"])
    async def test_an_id_with_other_content_is_refused_and_its_bytes_are_kept(
        self, log: Log, appender: Appender, same_batch: bool
    ) -> None:
        first = event(id="a", at=5, data={"n": 1})
        others = [
            event(id="a", at=5, data={"n": 2}),
            event(id="a", at=5, data={"n": 1, "m": None}),
            event(id="a", at=6, data={"n": 1}),
            event(id="a", at=5, data={"n": 1}, userId="u"),
            event(id="a", at=5, data={"n": 1}, of=("user", "2")),
            event("other.type", id="a", at=5, data={"n": 1}),
            event(id="a", at=5, data={"n": 1}, extensions={"x": 1}),
            event(id="a", at=5),
        ]
        for batch in [[first, *others]] if same_batch else [[first], others]:
            await appender.store(*batch)
        assert [e["_id"] for e in await pages.events(log, EVERYTHING, limit=10)] == [1]
        refusals = await rejected.rejections(log, limit=10)
        assert [refusal.raw for refusal in reversed(refusals)] == [other.arrival.raw for other in others]
        assert {(refusal.code, refusal.reason) for refusal in refusals} == {
            ("ID_REUSED", "position 1 has this messageId with other content")
        }

    async def test_a_member_that_was_stored_as_an_extension_still_counts_as_the_same_content(
        self, log: Log, appender: Appender
    ) -> None:
        message = event(id="a", at=5, data={"n": 1}, userId="u", extensions={"x": 1})
        await appender.store(message)
        await log.events.update_one({"messageId": "a"}, {"$rename": {"userId": "extensions.userId"}})

        repeated = await appender.store(message, event(id="a", at=5, data={"n": 1}, userId="v", extensions={"x": 1}))

        assert (repeated.duplicates, repeated.codes) == (1, {"ID_REUSED": 1})

    async def test_an_id_that_was_refused_can_still_be_used(self, log: Log, appender: Appender) -> None:
        await appender.store(event(id="a", of=("user", "1"), expected=4))
        assert len((await appender.store(event(id="a", of=("user", "1"), expected=0))).events) == 1

    async def test_after_batches_of_new_messages_a_repeated_one_is_still_recognized(
        self, log: Log, appender: Appender
    ) -> None:
        cache = WriterCache()
        known = event(id="a", of=("user", "1"), at=5)
        await appender.store(known, cache=cache)
        for _ in range(LOOK_UPS):
            await appender.store(event(), cache=cache)
        assert not cache.expects_duplicates
        stored = await appender.store(
            event(id="b", of=("user", "1")), known, event(id="a", at=6), rejected_message(b"{"), cache=cache
        )
        assert [(e["_id"], e["messageId"], e.get("version")) for e in stored.events] == [(LOOK_UPS + 2, "b", 2)]
        assert (stored.duplicates, stored.codes) == (1, {"ID_REUSED": 1, "INVALID_JSON": 1})
        assert cache.expects_duplicates

    async def test_no_two_events_can_share_a_message_id(self, log: Log, appender: Appender) -> None:
        [stored] = (await appender.store(event())).events
        with pytest.raises(Exception, match="E11000"):
            await log.events.insert_one({**stored, "_id": 2})


class TestFirstOutcome:
    """A publisher that repeats a message gets its first outcome, even a rejection that would no longer happen."""

    CONFLICT = event(id="a", of=("user", "1"), at=5, expected=1)

    @pytest.mark.parametrize("same_batch", [True, False], ids=["in one batch", "in later batches"])
    async def test_a_conflict_remains_one_even_when_the_version_is_reached(
        self, log: Log, appender: Appender, same_batch: bool
    ) -> None:
        messages = [self.CONFLICT, event(id="b", of=("user", "1")), self.CONFLICT]
        batches = [messages] if same_batch else [[message] for message in messages]
        outcomes = [outcome for batch in batches for outcome in (await appender.store(*batch)).outcomes]
        first, again = outcomes[0].rejection, outcomes[2].rejection
        assert first is not None
        assert again is not None
        assert replace(again, arrival=first.arrival) == first
        assert (first.code, first.actual_version) == ("VERSION_CONFLICT", 0)
        assert len(await rejected.rejections(log, limit=10)) == 1

    async def test_the_event_at_fault_in_a_group_is_still_named_when_the_group_is_repeated(
        self, log: Log, appender: Appender
    ) -> None:
        both = message_group(event(id="x"), self.CONFLICT)
        [first] = (await appender.store(both)).outcomes
        await appender.store(event(of=("user", "1")))
        [again] = (await appender.store(both)).outcomes
        assert again.rejection is not None
        assert again.rejection.index == 1
        assert first.rejection == replace(again.rejection, arrival=first.arrival)
        assert await rejected.count(log) == 1

    async def test_a_message_with_another_expectation_is_another_message(self, log: Log, appender: Appender) -> None:
        header = replace(self.CONFLICT, arrival=replace(self.CONFLICT.arrival, headers={EXPECTED_VERSION: "1"}))
        await appender.store(header, event(of=("user", "1")))
        now = replace(header, arrival=replace(header.arrival, headers={EXPECTED_VERSION: "none"}), expected_version=0)
        assert (await appender.store(now)).codes == {"VERSION_CONFLICT": 1}
        assert (await appender.store(header, now)).duplicates == 2

    async def test_so_is_one_with_other_attributes_of_a_cloud_event_in_its_headers(
        self, log: Log, appender: Appender
    ) -> None:
        conflict = replace(self.CONFLICT, arrival=replace(self.CONFLICT.arrival, headers={"Ce-Expectedversion": "1"}))
        await appender.store(conflict, event(of=("user", "1")))
        now = replace(conflict, arrival=replace(conflict.arrival, headers={"Ce-Expectedversion": "2"}))
        traced = replace(
            conflict, arrival=replace(conflict.arrival, headers={**conflict.arrival.headers, "trace": "1"})
        )
        assert (await appender.store(traced)).duplicates == 1
        assert len((await appender.store(now)).events) == 1

    @pytest.mark.parametrize("name", ["X-Account", "Eventscope-Envelope"])
    async def test_so_is_one_with_other_headers_that_are_content(self, log: Log, appender: Appender, name: str) -> None:
        def sent(value: str) -> Arrival:
            return replace(
                self.CONFLICT.arrival,
                headers={EXPECTED_VERSION: "1", name: value, "trace": value},
                decisive=frozenset({"x-account"}),
            )

        await appender.store(replace(self.CONFLICT, arrival=sent("A")))
        other = replace(self.CONFLICT, arrival=sent("B"), fields={**self.CONFLICT.fields, "aggregateId": "2"})
        assert (await appender.store(other)).codes == {"VERSION_CONFLICT": 1}
        assert (await appender.store(replace(self.CONFLICT, arrival=sent("A")), other)).duplicates == 2

    @pytest.mark.parametrize("expects_duplicates", [True, False])
    @pytest.mark.parametrize("same_batch", [True, False], ids=["in one batch", "in later batches"])
    async def test_a_stored_message_gets_its_position_whatever_outcome_others_with_its_id_had(
        self, log: Log, appender: Appender, same_batch: bool, expects_duplicates: bool
    ) -> None:
        kept, other = event(id="k", at=5, data=1), event(id="k", at=5, data=2)
        # the same bytes, which were parsed into other content under other settings
        other = replace(other, arrival=kept.arrival)
        messages: list[ParsedMessage] = [kept, other, kept, message_group(kept), other]
        batches = [messages] if same_batch else [[message] for message in messages]
        found: list[list[int]] = []
        for batch in batches:
            cache = WriterCache()
            for _ in range(0 if expects_duplicates else LOOK_UPS):
                cache.note(duplicates=0)
            stored = await appender.store(*batch, cache=cache)
            found += [[e["_id"] for e in outcome.events] for outcome in stored.outcomes]
        assert found == [[1], [], [1], [1], []]
        assert await rejected.count(log) == 1

    async def test_a_retry_is_decided_afresh_but_only_once(self, log: Log, appender: Appender) -> None:
        retry = replace(self.CONFLICT, arrival=replace(self.CONFLICT.arrival, headers={RETRY: "1"}))
        await appender.store(self.CONFLICT)
        assert (await appender.store(retry)).codes == {"VERSION_CONFLICT": 1}
        appender.sequence -= 1  # the stream is read again
        assert (await appender.store(retry)).duplicates == 1
        assert len((await appender.store(event(of=("user", "1")), retry)).events) == 2

    async def test_a_message_that_could_not_be_parsed_is_accepted_once_it_can_be(
        self, log: Log, appender: Appender
    ) -> None:
        readable = event(id="a")
        unreadable = RejectedMessage(readable.arrival, "WRONG_ENVELOPE", "it is no CloudEvent", "a")
        await appender.store(unreadable)
        assert (await appender.store(unreadable)).duplicates == 1
        assert [e["messageId"] for e in (await appender.store(readable)).events] == ["a"]


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
