"""Events that belong together: conversations, causes and effects. One command serves many events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from eventscope.errors import TooComplex
from eventscope.store.events.fetch import fetch
from eventscope.store.events.pages import TOO_LARGE
from eventscope.store.filters.mongo import unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument

MOST_BYTES: Final = 64 * 1024**2  # of the events in one answer, approximately

Link = Literal["causationId", "correlationId", "aggregateId"]


@dataclass(frozen=True, slots=True)
class Cause:
    """What an effect needs to know about the event that caused it."""

    correlation_id: str | None
    timestamp: int


async def conversation(
    log: Log, correlation_id: str, *, limit: int, above: int | None = None, most_bytes: int = MOST_BYTES
) -> list[EventDocument]:
    """At most `limit` events of the conversation after the position `above`, in the order of the log.

    TooComplex when they are too large together.
    """
    events: list[Document] = []
    size = 0
    with translate_errors(log.question_seconds):
        while True:
            query = {"correlationId": correlation_id, **_between(above), **unexpired(log.clock())}
            part = await fetch(log.events, query, None, direction=1, limit=limit - len(events), budget=log.budget)
            events += part.documents
            size += part.size
            if not part.is_full:
                return cast("list[EventDocument]", events)
            if size > most_bytes:
                raise TooComplex(TOO_LARGE)
            above = events[-1]["_id"]


async def causes(log: Log, ids: Sequence[str]) -> dict[str, Cause]:
    """Those of the events with these ids that are in the log, by id."""
    fields = {"_id": 0, "messageId": 1, "correlationId": 1, "timestamp": 1}
    with translate_errors(log.question_seconds):
        query = {"messageId": {"$in": list(ids)}, **unexpired(log.clock())}
        events = await fetch_all(log.events.find(query, fields)) if ids else []
    return {event["messageId"]: Cause(event.get("correlationId"), event["timestamp"]) for event in events}


async def by_link(
    log: Log,
    link: Link,
    values: Sequence[str],
    *,
    limit: int,
    above: int | None = None,
    below: int | None = None,
    newest_first: bool = False,
    aggregate_type: str | None = None,
    most_bytes: int = MOST_BYTES,
) -> dict[str, list[EventDocument]]:
    """For each value, at most `limit` events with that value in the field `link`, strictly between the positions.

    TooComplex when they are too large together.
    """
    query = unexpired(log.clock()) | _between(above, below)
    if aggregate_type is not None:
        query["aggregateType"] = aggregate_type
    page: list[Document] = [{"$match": query}, {"$sort": {"_id": -1 if newest_first else 1}}, {"$limit": limit}]
    events: dict[str, list[EventDocument]] = {value: [] for value in values}
    rows = _each(log, link, values, page, [{"$unwind": "$found"}, {"$replaceWith": "$found"}])
    with translate_errors(log.question_seconds):
        documents = await log.mongo.aggregate_large(log.meta, rows, most_bytes, log.budget)
    if documents is None:
        raise TooComplex(TOO_LARGE)
    for row in documents:
        events[row[link]].append(cast("EventDocument", row))
    return events


async def counts(log: Log, link: Link, values: Sequence[str], most: int) -> dict[str, int]:
    """For each value, how many events have it in the field `link`, counted up to `most`."""
    pipeline: list[Document] = [{"$match": unexpired(log.clock())}, {"$limit": most}, {"$count": "n"}]
    with translate_errors(log.question_seconds):
        rows = await log.mongo.aggregate(log.meta, _each(log, link, values, pipeline, [{"$unwind": "$found"}]))
    return dict.fromkeys(values, 0) | {row["value"]: row["found"]["n"] for row in rows}


def _each(
    log: Log, link: Link, values: Sequence[str], pipeline: list[Document], then: list[Document]
) -> list[Document]:
    """A pipeline on `meta` that runs the lookup `pipeline` for each value, and then `then`."""
    # A lookup per value uses the index and stops at its limit; one $in would read all events of all values.
    lookup: Any = {"from": log.events.name, "localField": "value", "foreignField": link, "as": "found"}
    return [
        {"$match": {"_id": checkpoint.ID}},  # any single document to attach the values to
        {"$project": {"_id": 0, "value": {"$literal": list(dict.fromkeys(values))}}},
        {"$unwind": "$value"},
        {"$lookup": lookup | {"pipeline": pipeline}},
        *then,
    ]


def _between(above: int | None, below: int | None = None) -> Document:
    ends = {"$gt": above, "$lt": below}
    bounds = {operator: end for operator, end in ends.items() if end is not None}
    return {"_id": bounds} if bounds else {}
