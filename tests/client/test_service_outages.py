"""EventsService publishes: each event is stored once and has one outcome, whatever dies in between."""

import asyncio
import itertools
import random
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from nats.aio.client import Client

from eventscope import OutcomeUnknown, PublishedEvent
from eventscope.background import end
from eventscope.processes.ports import free
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.client.support.log_contents import USER, About, places, whole
from tests.support.event_services import connected_service
from tests.support.killable_servers import killable_nats
from tests.support.processes import eventscope_process
from tests.support.until import until


async def test_when_no_outcome_comes_in_time_the_error_has_the_ids_and_publishing_again_stores_once(
    settings: Settings, log: Log
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
    settings: Settings, log: Log, client: Client
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


async def test_publishing_waits_for_a_nats_server_that_restarts(settings: Settings, log: Log, tmp_path: Path) -> None:
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
    settings: Settings, log: Log, tmp_path: Path
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


async def _reached(log: Log, head: int) -> bool:
    return (await checkpoint.read(log)).head >= head
