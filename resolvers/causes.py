"""Answers made of what belongs together: the effects of an event and its conversation, for many events by one read."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from eventscope.resolvers import cursor, own
from eventscope.resolvers.page import Count, Page, Request, page
from eventscope.store.events import links
from eventscope.store.events.links import Link
from eventscope.store.log import Log
from eventscope.store.values.documents import EventDocument

COUNTED: Final = 10_000  # how far events are counted one by one


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A part of the events that have the value there: `limit` of them, behind the position `above`."""

    link: Link
    value: str
    limit: int
    above: int | None


Load = Callable[[LinkRequest], Awaitable[list[EventDocument]]]
Counting = Callable[[tuple[Link, str]], Awaitable[int]]


async def parts(log: Log, asked: Sequence[LinkRequest]) -> list[list[EventDocument]]:
    """The events of each part, each in its place: one read for all parts that differ in nothing but the value."""
    groups: dict[tuple[Link, int, int | None], list[str]] = {}
    for part in asked:
        groups.setdefault((part.link, part.limit, part.above), []).append(part.value)
    found: dict[LinkRequest, list[EventDocument]] = {}
    for (link, limit, above), values in groups.items():
        rows = await links.by_link(log, link, values, limit=limit, above=above)
        found |= {LinkRequest(link, value, limit, above): events for value, events in rows.items()}
    return [found[part] for part in asked]


async def counts(log: Log, asked: Sequence[tuple[Link, str]]) -> list[int]:
    """How many events have each of the values there, each in its place, counted up to a bound."""
    found: dict[tuple[Link, str], int] = {}
    for link in dict.fromkeys(link for link, _ in asked):
        rows = await links.counts(log, link, [value for one, value in asked if one == link], COUNTED + 2)
        found |= {(link, value): n for value, n in rows.items()}
    return [found[one] for one in asked]


async def effects(log: Log, event: EventDocument, asked: Request, load: Load, count: Counting) -> Page[EventDocument]:
    """A page of the events that this one caused, in the order of the log."""
    id = event["messageId"]
    above = await own.place(log, "e", asked.after, "after")
    found = await load(LinkRequest("causationId", id, asked.size + 1, above))
    return page(
        asked, found, cursor.of_events(await own.tag(log)), lambda: _total(count, ("causationId", id), others=0)
    )


async def related(log: Log, event: EventDocument, asked: Request, load: Load, count: Counting) -> Page[EventDocument]:
    """A page of the other events of its conversation, in the order of the log."""
    id = event.get("correlationId")
    if id is None:
        return page(asked, [], cursor.of_events(None), _none)
    # one more, for the event is among them: all events of a conversation then share one read
    above = await own.place(log, "e", asked.after, "after")
    found = await load(LinkRequest("correlationId", id, asked.size + 2, above))
    rest = without(event, found)
    return page(
        asked, rest, cursor.of_events(await own.tag(log)), lambda: _total(count, ("correlationId", id), others=1)
    )


def without(event: EventDocument, events: Iterable[EventDocument]) -> list[EventDocument]:
    """The events but for this one."""
    return [one for one in events if one["_id"] != event["_id"]]


async def _total(count: Counting, key: tuple[Link, str], *, others: int) -> Count:
    n = max(await count(key) - others, 0)
    return Count(min(n, COUNTED), n if n <= COUNTED else None)


async def _none() -> Count:
    return Count(0, 0)
