"""EventsService publishes: each event is returned with its place in the log, or refused with the reason."""

import asyncio
import math
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from eventscope import BadInput, Event, EventsService, NewEvent, PublishedEvent, Rejected, VersionConflict
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from tests.client.support.log_contents import USER
from tests.support.event_services import connected_service


async def conflict(publishing: Any) -> VersionConflict:
    with pytest.raises(VersionConflict) as refused:
        await publishing
    return refused.value


class TestPublishing:
    async def test_an_event_is_in_the_log_when_publishing_returns(self, service: EventsService) -> None:
        when = datetime(2026, 11, 23, 7, 0, 0, 123456, UTC)
        published = await service.publish_event(
            "user.created",
            {"name": "Ada"},
            **USER,
            user_id="admin-7",
            correlation_id="c1",
            causation_id="command-1",
            metadata={"reason": "signed up"},
            message_id="signup-42",
            expected_version=0,
            timestamp=when,
        )
        assert published == PublishedEvent("signup-42", 1, 1)
        [event] = await service.get_events_for_aggregate("user", "42")
        assert event == Event(
            id="signup-42",
            position=1,
            cursor=event.cursor,
            type="user.created",
            timestamp=when,
            recorded_at=event.recorded_at,
            aggregate_type="user",
            aggregate_id="42",
            version=1,
            user_id="admin-7",
            correlation_id="c1",
            causation_id="command-1",
            data={"name": "Ada"},
            metadata={"reason": "signed up"},
        )
        assert event.recorded_at.tzinfo is UTC
        assert len({event, event}) == 1

    async def test_an_event_may_consist_of_a_type_alone(self, service: EventsService) -> None:
        published = await service.publish_event("system.started")
        assert (published.position, published.version) == (1, None)
        [event] = await service.get_event_history()
        assert (event.id, event.type, event.data, event.aggregate_id) == (published.id, "system.started", None, None)
        assert event.timestamp == event.recorded_at

    async def test_publishing_again_with_the_same_id_returns_the_first_outcome(self, service: EventsService) -> None:
        first = await service.publish_event("user.created", {"name": "Ada"}, **USER, message_id="m1")
        await service.publish_event("user.updated", **USER)
        again = await service.publish_event(
            "user.created", {"name": "Ada"}, **USER, message_id="m1", expected_version=0
        )
        assert again == first == PublishedEvent("m1", 1, 1)
        with pytest.raises(Rejected, match="other content") as refused:
            await service.publish_event("user.created", {"name": "Grace"}, **USER, message_id="m1")
        assert refused.value.rejection == "ID_REUSED"
        assert len(await service.get_event_history()) == 2

    async def test_a_wrong_expectation_is_a_conflict_that_names_the_actual_version(
        self, service: EventsService
    ) -> None:
        assert (await conflict(service.publish_event("user.updated", **USER, expected_version=3))).actual_version == 0
        await service.publish_event("user.created", **USER, expected_version=0)
        assert (await conflict(service.publish_event("user.created", **USER, expected_version=0))).actual_version == 1
        assert (await service.publish_event("user.updated", **USER, expected_version=1)).version == 2

    async def test_of_two_hundred_writers_exactly_one_wins_each_version(
        self, settings: Settings, log: Log, ingesting: None
    ) -> None:
        async with AsyncExitStack() as stack:
            services = [await stack.enter_async_context(connected_service(settings)) for _ in range(4)]

            async def write(writer: int, version: int) -> int | None:
                try:
                    published = await services[writer % 4].publish_event(
                        "user.updated", {"writer": writer}, **USER, expected_version=version
                    )
                except VersionConflict as conflict:
                    assert conflict.actual_version == version + 1
                    return None
                assert published.version == version + 1
                return writer

            winners = []
            for version in range(8):
                outcomes = await asyncio.gather(*(write(writer, version) for writer in range(200)))
                [winner] = [writer for writer in outcomes if writer is not None]
                winners.append(winner)
        events = await pages.events(log, EVERYTHING, limit=10_000)
        assert [event["data"]["writer"] for event in events] == winners
        assert [event["version"] for event in events] == list(range(1, 9))


class TestPublishingTogether:
    async def test_several_events_are_stored_consecutively(self, service: EventsService) -> None:
        await service.publish_event("user.created", **USER)
        events = [NewEvent("user.updated", {"n": n}, **USER, expected_version=n + 1) for n in range(3)]
        published = await service.publish_events([*events, NewEvent("mail.sent")])
        assert [(one.position, one.version) for one in published] == [(2, 2), (3, 3), (4, 4), (5, None)]

    async def test_if_one_event_is_refused_none_is_stored(self, service: EventsService) -> None:
        events = [NewEvent("user.created", **USER), NewEvent("user.updated", **USER, expected_version=7)]
        refused = await conflict(service.publish_events(events))
        assert (refused.index, refused.actual_version) == (1, 1)
        assert await service.get_event_history() == []

    async def test_publishing_several_events_again_returns_the_first_outcome(self, service: EventsService) -> None:
        events = [NewEvent("user.updated", {"n": n}, **USER, message_id=f"m{n}") for n in range(3)]
        first = await service.publish_events(events)
        assert await service.publish_events(events) == first
        assert len(await service.get_event_history()) == 3

    async def test_none_counts_as_absent(self, service: EventsService) -> None:
        assert await service.publish_events([]) == []


class TestWhatCannotBePublished:
    @pytest.mark.parametrize(
        ("event", "reason"),
        [
            (NewEvent("no type"), "not words joined by dots"),
            (NewEvent("a.b", {"set": {1}}), "data is not JSON"),
            (NewEvent("a.b", metadata={1: 2**70}), "metadata is not JSON: the key 1 is not a string"),
            (NewEvent("a.b", {"p": float("nan"), "i": float("inf")}), r"^data is not JSON: NaN at p$"),
            (
                NewEvent("a.b", {"items": [1, None, {"price": -math.inf}]}),
                r"data is not JSON: -Infinity at items\[2\]\.price",
            ),
            (NewEvent("a.b", metadata=math.inf), r"^metadata is not JSON: Infinity$"),
            (
                NewEvent("a.b", {"n": 2**63}),
                "data is not JSON: the integer 9223372036854775808 at n does not fit into 64 bits",
            ),
            (NewEvent("a.b", expected_version=1), "needs aggregate_type and aggregate_id"),
            (NewEvent("a.b", **USER, expected_version=-1), "expected_version is -1"),
            (NewEvent("a.b", "x" * 2**20), "bytes with its headers; at most 1048576 are allowed"),
        ],
    )
    async def test_what_cannot_be_an_event_is_refused_before_it_is_sent(
        self, event: NewEvent, reason: str, settings: Settings
    ) -> None:
        async with connected_service(settings) as service:
            with pytest.raises(BadInput, match=reason):
                await service.publish_events([event])
