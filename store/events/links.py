"""What belongs together: conversations, what caused an event, and what it caused. One command for many events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from eventscope.errors import TooComplex
from eventscope.store.events.fetch import batch
from eventscope.store.events.pages import TOO_LARGE
from eventscope.store.filters.mongo import kept
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument

MOST_BYTES: Final = 64 * 1024**2  # of the events of one answer, more or less

Link = Literal["causationId", "correlationId", "aggregateId"]


@dataclass(frozen=True, slots=True)
class Cause:
    """What the time between a cause and its effect needs to know of the cause."""

    correlation_id: str | None
    timestamp: int


async def conversation(log: Log, correlation_id: str, *, limit: int, above: int | None = None) -> list[EventDocument]:
    """At most `limit` events of the conversation, in the order of the log, behind the position `above`.

    TooComplex when they are too large together.
    """
    found: list[Document] = []
    held = 0
    with translate_errors(log.question_seconds):
        while True:
            asked = {"correlationId": correlation_id, **_behind(above), **kept(log.clock())}
            got = await batch(log.events, asked, None, direction=1, limit=limit - len(found), budget=log.budget)
            found += got.documents
            held += got.size
            if not got.cut:
                return cast("list[EventDocument]", found)
            if held > MOST_BYTES:
                raise TooComplex(TOO_LARGE)
            above = found[-1]["_id"]


async def known(log: Log, ids: Sequence[str]) -> dict[str, Cause]:
    """Those of the events with these ids that are in the log."""
    wanted = {"_id": 0, "messageId": 1, "correlationId": 1, "timestamp": 1}
    with translate_errors(log.question_seconds):
        asked = {"messageId": {"$in": list(ids)}, **kept(log.clock())}
        found = await log.events.find(asked, wanted).to_list(None) if ids else []
    return {event["messageId"]: Cause(event.get("correlationId"), event["timestamp"]) for event in found}


async def linked(
    log: Log,
    link: Link,
    values: Sequence[str],
    *,
    limit: int,
    above: int | None = None,
    below: int | None = None,
    newest_first: bool = False,
    aggregate_type: str | None = None,
) -> dict[str, list[EventDocument]]:
    """For each value at most `limit` events that have it there, in or against the order of the log, within bounds.

    TooComplex when they are too large together.
    """
    asked = kept(log.clock()) | _behind(above, below)
    if aggregate_type is not None:
        asked["aggregateType"] = aggregate_type
    page: list[Document] = [{"$match": asked}, {"$sort": {"_id": -1 if newest_first else 1}}, {"$limit": limit}]
    found: dict[str, list[EventDocument]] = {value: [] for value in values}
    rows = _each(log, link, values, page, [{"$unwind": "$found"}, {"$replaceWith": "$found"}])
    with translate_errors(log.question_seconds):
        got = await log.mongo.aggregate_large(log.meta, rows, MOST_BYTES, log.budget)
    if got is None:
        raise TooComplex(TOO_LARGE)
    for row in got:
        found[row[link]].append(cast("EventDocument", row))
    return found


async def counts(log: Log, link: Link, values: Sequence[str], most: int) -> dict[str, int]:
    """For each value how many events have it there, counting no further than `most`."""
    counted: list[Document] = [{"$match": kept(log.clock())}, {"$limit": most}, {"$count": "n"}]
    with translate_errors(log.question_seconds):
        rows = await log.mongo.aggregate(log.meta, _each(log, link, values, counted, [{"$unwind": "$found"}]))
    return dict.fromkeys(values, 0) | {row["value"]: row["found"]["n"] for row in rows}


def _each(
    log: Log, link: Link, values: Sequence[str], pipeline: list[Document], then: list[Document]
) -> list[Document]:
    """What is found for each value, as a pipeline on `meta`."""
    # MongoDB looks each value up by the index and stops at its limit, where one $in would read all that any of them has
    lookup: Any = {"from": log.events.name, "localField": "value", "foreignField": link, "as": "found"}
    return [
        {"$match": {"_id": checkpoint.ID}},  # some one document, to hang the values on
        {"$project": {"_id": 0, "value": {"$literal": list(values)}}},
        {"$unwind": "$value"},
        {"$lookup": lookup | {"pipeline": pipeline}},
        *then,
    ]


def _behind(above: int | None, below: int | None = None) -> Document:
    ends = {"$gt": above, "$lt": below}
    bounds = {operator: end for operator, end in ends.items() if end is not None}
    return {"_id": bounds} if bounds else {}
