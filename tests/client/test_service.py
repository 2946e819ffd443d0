"""EventsService publishes: each event is returned with its place in the log, stored once, whatever dies in between."""

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import pytest
from nats.aio.client import Client

from eventscope import (
    BadInput,
    Event,
    EventsService,
    NewEvent,
    OutcomeUnknown,
    PublishedEvent,
    Rejected,
    VersionConflict,
)
from eventscope.background import end
from eventscope.processes.ports import free
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.support.event_services import connected_service
from tests.support.killable_servers import killable_nats
from tests.support.processes import eventscope_process
from tests.support.until import until


class About(TypedDict):
    aggregate_type: str
    aggregate_id: str


USER: About = {"aggregate_type": "user", "aggregate_id": "42"}


@pytest.fixture
async def service(settings: Settings, api: str, ingesting: None) -> AsyncIterator[EventsService]:
    """A service over an empty log, with an ingester at work."""
    async with connected_service(settings, api) as service:
        yield service


async def whole(log: Log) -> dict[str, tuple[int, int | None]]:
    """Every event of the log, once, with its position and version."""
    events = await pages.events(log, EVERYTHING, limit=100_000)
    found = {event["messageId"]: (event["_id"], event.get("version")) for event in events}
    assert len(found) == len(events)
    return found


def places(published: Sequence[PublishedEvent]) -> dict[str, tuple[int, int | None]]:
    return {one.id: (one.position, one.version) for one in published}


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

    async def test_when_no_outcome_comes_in_time_the_error_has_the_ids_and_publishing_again_stores_once(
        self, settings: Settings, log: Log
    ) -> None:
        async with connected_service(settings) as service:
            with pytest.raises(OutcomeUnknown, match=r"no outcome within 0\.3 seconds") as unknown:
                await service.publish_event("user.created", {"n": 1}, **USER, deadline=0.3)
            [id] = unknown.value.message_ids
            assert id in str(unknown.value)
            ingester = asyncio.create_task(ingest(settings))
            published = await service.publish_event("user.created", {"n": 1}, **USER, message_id=id)
            assert await whole(log) == places([published]) == {id: (1, 1)}
            await end(ingester)

    async def test_while_the_ingester_is_killed_repeatedly_each_publisher_gets_the_one_outcome(
        self, settings: Settings, log: Log, client: Client
    ) -> None:
        """Some kills come between a commit and its replies: events without a reply were sent again."""
        dice = random.Random(11)
        settings = settings.model_copy(update={"batch": 5, "lease_seconds": 0.5})
        published: dict[int, PublishedEvent] = {}
        enough = asyncio.Event()

        async def sent_again() -> int:
            state = (await client.jetstream().stream_info(settings.stream)).state
            return state.messages - len(published) - 20

        async with connected_service(settings) as service:

            async def publish(n: int) -> PublishedEvent:
                about: About = {"aggregate_type": "user", "aggregate_id": str(n % 20)}
                return await service.publish_event("user.updated", {"n": n}, **about, message_id=f"m{n}")

            async def work(worker: int) -> None:
                for n in itertools.count(worker, 20):
                    if enough.is_set():
                        return
                    published[n] = await publish(n)

            working = [asyncio.create_task(work(worker)) for worker in range(20)]
            kills = 0
            while kills < 8 or await sent_again() < 5:
                kills += 1
                async with eventscope_process(settings, "ingest"):
                    target = (await checkpoint.read(log)).head + dice.randint(1, 60)
                    await until(partial(_reached, log, target))
            async with eventscope_process(settings, "ingest"):
                enough.set()
                await asyncio.gather(*working)
                stored = await whole(log)
                assert places(list(published.values())) == stored
                numbers = sorted(published)
                assert await asyncio.gather(*(publish(n) for n in numbers)) == [published[n] for n in numbers]
                assert await whole(log) == stored

    async def test_publishing_waits_for_a_nats_server_that_restarts(
        self, settings: Settings, log: Log, tmp_path: Path
    ) -> None:
        port = free()
        own = settings.model_copy(update={"nats_url": f"nats://127.0.0.1:{port}"})
        async with AsyncExitStack() as stack:
            async with killable_nats(tmp_path, port):
                service = await stack.enter_async_context(connected_service(own))
                ingester = asyncio.create_task(ingest(own))
                first = await service.publish_event("a.b", message_id="m1")
            later = [asyncio.create_task(service.publish_event("a.b", {"n": n}, deadline=60.0)) for n in range(5)]
            async with killable_nats(tmp_path, port):
                published = [first, *await asyncio.gather(*later)]
                assert places(published) == await whole(log)
                await end(ingester)

    async def test_a_frozen_nats_server_does_not_hold_a_publisher_beyond_its_deadline(
        self, settings: Settings, log: Log, tmp_path: Path
    ) -> None:
        async with killable_nats(tmp_path) as server:
            own = settings.model_copy(update={"nats_url": server.url})
            async with connected_service(own) as service:
                server.freeze()
                try:
                    with pytest.raises(OutcomeUnknown):
                        await service.publish_event("a.b", message_id="m1", deadline=0.2)
                finally:
                    server.thaw()
                ingester = asyncio.create_task(ingest(own))
                published = await service.publish_event("a.b", message_id="m1")
                assert places([published]) == await whole(log)
                await end(ingester)


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


async def _reached(log: Log, head: int) -> bool:
    return (await checkpoint.read(log)).head >= head
