"""A message that comes again: it is stored once, and has the outcome that it had at first (I2)."""

from dataclasses import replace

import pytest

from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from eventscope.store.values.message import EXPECTED_VERSION, NO_STREAM, RETRY, Arrival, ParsedMessage, RejectedMessage
from eventscope.store.values.moment import HOUR
from eventscope.store.write.cache import LOOK_UPS, WriterCache
from tests.store.support.appender import Appender, Clock, event, everything, message_group, rejected_message


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
