"""Reading aggregates from their heads, by name or in pages, without expired events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eventscope.store.filters.mongo import bson_date, unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.shapes import WHOLE_HEADS
from eventscope.store.state import replaced

Order = Literal["last.position", "first.position"]


@dataclass(frozen=True, slots=True)
class AggregateSummary:
    """An aggregate as its unexpired events show it; only `version` counts expired ones too.

    `position` is that of its last event, or of its first one if the order is by creation.
    """

    type: str
    id: str
    version: int
    event_count: int
    first_event_at: int
    last_event_at: int
    last_event_type: str
    deleted: bool
    position: int = 0


@dataclass(frozen=True, slots=True)
class AggregateCriteria:
    """Which aggregates match; None leaves a part open."""

    types: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    deleted: bool | None = None


async def by_name(log: Log, names: Sequence[tuple[str, str]]) -> list[AggregateSummary]:
    """The aggregates with these names that have unexpired events, in any order.

    Blocked when some are missing and the collection is not the one that the log was written to.
    """
    keys = [{"type": type, "id": id} for type, id in names]
    with translate_errors(log.question_seconds):
        heads = await fetch_all(log.aggregates.find({"_id": {"$in": keys}, **unexpired(log.clock())}))
        if len(heads) < len(set(names)):
            await replaced.require_original(log, "aggregates")
        return await _summaries(log, heads, "last.position")


async def version(log: Log, type: str, id: str) -> int | None:
    """The present version, even if all events have expired; None if it never existed. Blocked as in `by_name`."""
    with translate_errors(log.question_seconds):
        head = await log.aggregates.find_one({"_id": {"type": type, "id": id}}, {"version": 1})
        if head is None:
            await replaced.require_original(log, "aggregates")
        return None if head is None else int(head["version"])


async def aggregates(
    log: Log, filter: AggregateCriteria, *, limit: int, order: Order = "last.position", below: int | None = None
) -> list[AggregateSummary]:
    """At most `limit` aggregates with a position under `below`, the most recently changed (or created) first.

    An aggregate whose last event is just expiring may be missing, and a document that is no head is omitted. Blocked as
    in `by_name`, if the page is not full.
    """
    query = _query(log, filter) | WHOLE_HEADS
    if below is not None:
        query[order] = {"$lt": below}
    with translate_errors(log.question_seconds):
        heads = await fetch_all(log.aggregates.find(query).sort(order, -1).limit(limit))
        if len(heads) < limit:
            await replaced.require_original(log, "aggregates")
        return await _summaries(log, heads, order)


async def count(log: Log, filter: AggregateCriteria, most: int) -> int:
    """How many aggregates match, counted up to `most`."""
    with translate_errors(log.question_seconds):
        return await log.aggregates.count_documents(_query(log, filter), limit=most)


def _query(log: Log, filter: AggregateCriteria) -> Document:
    query: Document = unexpired(log.clock())
    if filter.types is not None:
        query["_id.type"] = {"$in": list(filter.types)}
    if filter.ids is not None:
        query["_id.id"] = {"$in": list(filter.ids)}
    if filter.deleted is not None:
        query["deleted"] = filter.deleted
    return query


async def _summaries(log: Log, heads: list[Document], order: Order) -> list[AggregateSummary]:
    now = bson_date(log.clock())
    partly_expired = [head for head in heads if "firstExpireAt" in head and head["firstExpireAt"] <= now]
    counts = await _count_unexpired(log, partly_expired) if partly_expired else {}
    summaries = [
        _aggregate(head, counts.get(_name(head)) if head in partly_expired else _whole(head), order) for head in heads
    ]
    return [aggregate for aggregate in summaries if aggregate is not None]


async def _count_unexpired(log: Log, heads: list[Document]) -> dict[tuple[str, str], Document]:
    names = [{"aggregateType": head["_id"]["type"], "aggregateId": head["_id"]["id"]} for head in heads]
    mark = {"position": "$_id", "timestamp": "$timestamp", "type": "$type"}
    rows = await log.mongo.aggregate(
        log.events,
        [
            {"$match": {"$and": [{"$or": names}, {"version": {"$exists": True}}, unexpired(log.clock())]}},
            {"$sort": {"_id": 1}},
            {
                "$group": {
                    "_id": {"type": "$aggregateType", "id": "$aggregateId"},
                    "count": {"$sum": 1},
                    "first": {"$first": mark},
                    "last": {"$last": mark},
                }
            },
        ],
    )
    return {_name(row): row for row in rows}


def _name(head: Document) -> tuple[str, str]:
    return head["_id"]["type"], head["_id"]["id"]


def _whole(head: Document) -> Document:
    # no event has expired yet, so there are as many events as versions
    return {"count": head["version"], "first": head["first"], "last": head["last"]}


def _aggregate(head: Document, unexpired: Document | None, order: Order) -> AggregateSummary | None:
    if unexpired is None:
        return None
    end: Any = head[order.partition(".")[0]]
    return AggregateSummary(
        type=head["_id"]["type"],
        id=head["_id"]["id"],
        version=head["version"],
        event_count=unexpired["count"],
        first_event_at=unexpired["first"]["timestamp"],
        last_event_at=unexpired["last"]["timestamp"],
        last_event_type=unexpired["last"]["type"],
        deleted=head["deleted"],
        position=end["position"],
    )
