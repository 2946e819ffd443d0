"""Reading events: pages by position, one by id, counts. Every read is bounded in time and leaves expired events out."""

from typing import Final, cast

from eventscope.store import checkpoint, span
from eventscope.store.documents import Event
from eventscope.store.driver import Document, translated
from eventscope.store.filter import All, Among, Between, Filter, Ids, Types, conditions, is_pattern, matcher
from eventscope.store.log import Log
from eventscope.store.query import kept, query

OPEN: Final = (None, None)


async def events(
    log: Log,
    filter: Filter,
    *,
    limit: int,
    above: int | None = None,
    below: int | None = None,
    newest_first: bool = False,
) -> list[Event]:
    """At most `limit` events with positions strictly between the two, in or against the order of the log.

    Raises QuestionTimedOut or Unavailable.
    """
    with translated(log.question_seconds):
        if below is None and any(map(_branches, conditions(filter))):
            # MongoDB reads the parts of such a question one after the other, each a little later than the one before.
            # Nothing is added to any part of what lies up to a head that was read first, so no page has a hole (I1).
            below = await checkpoint.head(log) + 1
        positions = {op: end for op, end in (("$gt", above), ("$lt", below)) if end is not None}
        asked = await _asked(log, filter, *([{"_id": positions}] if positions else []))
        found = await log.events.find(asked).sort("_id", -1 if newest_first else 1).limit(limit).to_list(None)
    return cast("list[Event]", found)


async def event(log: Log, id: str) -> Event | None:
    """The event with that message id."""
    with translated(log.question_seconds):
        found = await log.events.find_one({"messageId": id, **kept(log.clock())})
    return cast("Event | None", found)


async def count(log: Log, filter: Filter, most: int | None = None) -> int:
    """How many events there are, counting no further than `most`."""
    with translated(log.question_seconds):
        asked = await _asked(log, filter)
        if most is None:
            return await log.events.count_documents(asked)
        return await log.events.count_documents(asked, limit=most)


async def first_position(log: Log) -> int | None:
    """The position of the oldest event that is kept."""
    found = await events(log, All(()), limit=1)
    return found[0]["_id"] if found else None


async def types(log: Log) -> list[str]:
    """Every event type in the log, in order of the alphabet."""
    with translated(log.question_seconds):
        return sorted(await log.rollups.distinct("_id.type"))


def _branches(leaf: Filter) -> bool:
    match leaf:
        case Ids(values) | Among(_, values):
            return len(values) > 1
        case Types(patterns):
            return len(patterns) > 1 or any(map(is_pattern, patterns))
        case _:
            return False


async def _asked(log: Log, filter: Filter, *more: Document) -> Document:
    times = [leaf for leaf in conditions(filter) if isinstance(leaf, Between) and leaf.measure == "timestamp"]
    # no index is in the order of timestamps, so what lies before and behind the range would be gone through
    spans = [{"_id": await span.positions(log, leaf.low, leaf.high)} for leaf in times if (leaf.low, leaf.high) != OPEN]
    return query(await _spelled_out(log, filter), *spans, *more, kept(log.clock()))


async def _spelled_out(log: Log, filter: Filter) -> Filter:
    # With types by name the index gives events in order of position; a pattern would have to sort all it finds.
    # Rollups are written in the transaction that writes events, so no type can be missing.
    leaves = conditions(filter)
    if not any(isinstance(leaf, Types) and any(map(is_pattern, leaf.patterns)) for leaf in leaves):
        return filter
    known = await log.rollups.distinct("_id.type")
    return All(tuple(_named(leaf, known) if isinstance(leaf, Types) else leaf for leaf in leaves))


def _named(filter: Types, known: list[str]) -> Types:
    fits = matcher(filter)
    return Types(tuple(sorted(type for type in known if fits(cast("Event", {"type": type})))))
