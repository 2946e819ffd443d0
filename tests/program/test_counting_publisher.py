"""Services that count versions in their own memory are accepted as they are, and operators are informed."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections import defaultdict
from contextlib import aclosing
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from eventscope import EventsService
from eventscope.client.event import Event
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from tests.support.event_services import connected_service
from tests.support.ingesters import has_lease
from tests.support.until import until

PUBLISHER = Path(__file__).parent / "counting_publisher.py"
COUNT = 60


async def publish(settings: Settings, prefix: str, name: str) -> list[dict[str, Any]]:
    """What the service has published, in a process of its own that has ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, PUBLISHER, settings.nats_url, prefix, name, str(COUNT)), stdout=PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in said.splitlines()]


async def test_two_processes_that_count_versions_themselves_lose_nothing_even_if_one_restarts(
    settings: Settings, log: Log, client: Client, subject_prefix: str, ingesting: None, api: str
) -> None:
    async def restarted() -> list[dict[str, Any]]:
        return await publish(settings, subject_prefix, "one") + await publish(settings, subject_prefix, "one")

    await until(lambda: has_lease(log))  # from then on the log has a name, which is a part of its cursors
    async with connected_service(settings, api) as service:
        live = asyncio.create_task(follow(service, 3 * COUNT))
        both = await asyncio.gather(restarted(), publish(settings, subject_prefix, "two"))
        sent = {message["messageId"]: message for messages in both for message in messages}
        assert len(sent) == 3 * COUNT
        async with asyncio.timeout(60):
            events = await live
        assert events == [event async for event in service.replay_events()]
    assert await rejected.numbers(log) == []
    assert {event.id for event in events} == sent.keys()
    versions = defaultdict(list)
    for event in events:
        message = sent[event.id]
        versions[event.aggregate_type, event.aggregate_id].append(event.version)
        claim = None if message["version"] == event.version else message["version"]
        assert event.claimed_version == claim
        assert (event.data, event.user_id) == (message["data"], message["userId"])
    of_nothing = versions.pop((None, None))
    assert of_nothing == [None] * 30
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    assert sum(event.claimed_version is not None for event in events) >= 2 * COUNT  # otherwise no counter restarted


async def follow(service: EventsService, count: int) -> list[Event]:
    """The first events of the log, `count` of them, as they are delivered live."""
    events: list[Event] = []
    async with aclosing(service.subscribe_to_events(start="BEGINNING")) as delivered:
        async for event in delivered:
            events.append(event)
            if len(events) == count:
                break
    return events
