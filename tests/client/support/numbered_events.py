"""Events that are published in numbered order, and those that a subscription delivers."""

import asyncio
from collections.abc import AsyncGenerator

import orjson

from eventscope import EventsService
from eventscope.client.event import Event, NewEvent


async def take(events: AsyncGenerator[Event, None], count: int) -> list[Event]:
    """The next events, once they are delivered."""
    async with asyncio.timeout(60):
        return [await anext(events) for _ in range(count)]


async def publish(service: EventsService, count: int, type: str = "user.updated", start: int = 0) -> None:
    """Publish this many events, with numbers from `start` on."""
    await service.publish_events([NewEvent(type, {"n": n}) for n in range(start, start + count)])


def numbers(events: list[Event]) -> list[int]:
    """The numbers of the events."""
    return [event.data["n"] for event in events]


def message(n: int, type: str = "user.updated") -> bytes:
    """A message with that number, as its publisher sends it."""
    return orjson.dumps({"type": type, "data": {"n": n}})
