"""Reading aggregates: their heads, one by name or in pages, with expired events left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eventscope.store.filters.mongo import bson_date, unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.state import replaced

Order = Literal["last.position", "first.position"]


@dataclass(frozen=True, slots=True)
class AggregateSummary:
    """An aggregate as far as its events are kept: expired ones count nowhere, but `version` remembers them.

    `place` is its place in the order that was asked for.
    """

    type: str
    id: str
    version: int
    event_count: int
    first_event_at: int
    last_event_at: int
    last_event_type: str
    deleted: bool
    place: int = 0


@dataclass(frozen=True, slots=True)
class AggregateCriteria:
    """Which aggregates are meant; None leaves a part open."""

    types: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    deleted: bool | None = None


async def by_name(log: Log, names: Sequence[tuple[str, str]]) -> list[AggregateSummary]:
    """Those of the aggregates of which anything is kept, in any order.

    Raises Blocked when some are not found in a collection that is not the one that the log was written to.
    """
    keys = [{"type": type, "id": id} for type, id in names]
    with translate_errors(log.question_seconds):
        heads = await log.aggregates.find({"_id": {"$in": keys}, **unexpired(log.clock())}).to_list(None)
        if len(heads) < len(set(names)):
            await replaced.require_original(log, "aggregates")
        return await _settled(log, heads, "last.position")


async def version(log: Log, type: str, id: str) -> int | None:
    """The version that the aggregate has now, whatever of it is kept; None when it never was. Blocked as `named`."""
    with translate_errors(log.question_seconds):
        head = await log.aggregates.find_one({"_id": {"type": type, "id": id}}, {"version": 1})
        if head is None:
            await replaced.require_original(log, "aggregates")
        return None if head is None else int(head["version"])


async def aggregates(
    log: Log, filter: AggregateCriteria, *, limit: int, order: Order = "last.position", below: int | None = None
) -> list[AggregateSummary]:
    """At most `limit` aggregates whose place is under `below`, the most recently changed (or created) first.

    One whose events expire at this very moment may be missing from the page. Raises Blocked as `named`, when there are
    fewer.
    """
    asked = _asked(log, filter)
    if below is not None:
        asked[order] = {"$lt": below}
    with translate_errors(log.question_seconds):
        heads = await log.aggregates.find(asked).sort(order, -1).limit(limit).to_list(None)
        if len(heads) < limit:
            await replaced.require_original(log, "aggregates")
        return await _settled(log, heads, order)


async def count(log: Log, filter: AggregateCriteria, most: int) -> int:
    """How many aggregates there are, counting no further than `most`."""
    with translate_errors(log.question_seconds):
        return await log.aggregates.count_documents(_asked(log, filter), limit=most)


def _asked(log: Log, filter: AggregateCriteria) -> Document:
    asked: Document = unexpired(log.clock())
    if filter.types is not None:
        asked["_id.type"] = {"$in": list(filter.types)}
    if filter.ids is not None:
        asked["_id.id"] = {"$in": list(filter.ids)}
    if filter.deleted is not None:
        asked["deleted"] = filter.deleted
    return asked


async def _settled(log: Log, heads: list[Document], order: Order) -> list[AggregateSummary]:
    now = bson_date(log.clock())
    touched = [head for head in heads if "firstExpireAt" in head and head["firstExpireAt"] <= now]
    recounted = await _recount(log, touched) if touched else {}
    settled = [
        _aggregate(head, recounted.get(_name(head)) if head in touched else _whole(head), order) for head in heads
    ]
    return [aggregate for aggregate in settled if aggregate is not None]


async def _recount(log: Log, heads: list[Document]) -> dict[tuple[str, str], Document]:
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
    # nothing has expired yet, so there are as many events as versions
    return {"count": head["version"], "first": head["first"], "last": head["last"]}


def _aggregate(head: Document, kept_events: Document | None, order: Order) -> AggregateSummary | None:
    if kept_events is None:
        return None
    end: Any = head[order.partition(".")[0]]
    return AggregateSummary(
        type=head["_id"]["type"],
        id=head["_id"]["id"],
        version=head["version"],
        event_count=kept_events["count"],
        first_event_at=kept_events["first"]["timestamp"],
        last_event_at=kept_events["last"]["timestamp"],
        last_event_type=kept_events["last"]["type"],
        deleted=head["deleted"],
        place=end["position"],
    )
