"""The catalogue: which fields the events of each type have, counted in portions after events are stored.

It is a projection of its own, so that ingest does not wait for it. Each document has the position up to which its type
is counted, and the write that replaces it filters on that position; the catalogue's checkpoint moves after all of its
documents. So a process that dies in between, or that counts at the same time as another one, counts nothing twice and
leaves nothing out. This needs no transaction, which a killed process would leave open while others wait for it.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final, cast

from pymongo import ReplaceOne
from pymongo.errors import DuplicateKeyError

from eventscope.errors import Blocked, EventscopeError, LeaseLost
from eventscope.store.catalogue.fields import EventShape, FieldCounts, FieldDrift, Occurrence, shape
from eventscope.store.filters.mongo import unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.shapes import is_event
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import INTEGERS

ID: Final = "catalogue"  # in `meta`; in `catalogue` every name may be the name of a type
PORTION: Final = 500
PAUSE: Final = 25  # events, after which other tasks get their turn
IDLE_SECONDS: Final = 1.0
FAILED_SECONDS: Final = 5.0
# the length of a pause, as a multiple of the time that counting took: ingest, in the same process, gets most of the CPU
# time, and nearly all of it while it is behind
REST: Final = 4
LONG_REST: Final = 40
MOST_REST_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 15.0

logger = logging.getLogger(__name__)


async def keep_up(log: Log, holder: str, busy: Callable[[], bool] = lambda: False) -> None:
    """Count new events until cancelled, while `holder` has the lease of the log; less often while `busy()` is true."""
    loop = asyncio.get_running_loop()
    while True:
        start, n = loop.time(), 0
        try:
            if (await checkpoint.read(log)).holder == holder:
                n = await count(log)
            rest = LONG_REST if busy() else REST
            # counting a few events at a time would cost ingest more than it gains
            behind = n >= PORTION
            wait = min(rest * (loop.time() - start), MOST_REST_SECONDS) if behind else IDLE_SECONDS
        except EventscopeError as error:
            logger.warning("the catalogue cannot be counted now; next try in %g s: %s", FAILED_SECONDS, error)
            wait = FAILED_SECONDS
        except Exception:  # ingest must go on, whatever fails here
            logger.exception("the catalogue cannot be counted")
            wait = 12 * FAILED_SECONDS
        await asyncio.sleep(wait)


async def count(log: Log, most: int = PORTION) -> int:
    """Count the next events. Returns how many positions that covers: 0 at the end of the log.

    Raises LeaseLost when another process has counted them meanwhile, Unavailable or QuestionTimedOut when MongoDB is
    away.
    """
    with translate_errors(WRITE_SECONDS):
        at = await counted_to(log)
        head = await checkpoint.head(log)
        if at >= head:
            return 0
        shapes, to = await _shapes(log, at, head, most)
        documents = await _documents(log, list(shapes))
        changes = [_change(type, documents.get(type), shapes[type], to) for type in shapes]
        if changes:
            await log.catalogue.bulk_write(changes, ordered=False)
        try:
            # At 0 there may be no document yet. If another process has moved the position, the upsert fails as a
            # duplicate.
            await log.meta.update_one({"_id": ID, "position": at}, {"$set": {"position": to}}, upsert=at == 0)
        except DuplicateKeyError:
            raise LeaseLost("another process counts the catalogue") from None
    return to - at


async def counted_to(log: Log) -> int:
    """The position up to which all events are counted. Blocked when its record is damaged."""
    with translate_errors(log.question_seconds):
        document = await log.meta.find_one({"_id": ID})
    position = 0 if document is None else document.get("position")
    if type(position) not in INTEGERS:
        raise Blocked('the position of the catalogue in meta is damaged: db.meta.deleteOne({_id: "catalogue"})')
    return int(cast("int", position))


async def fields(log: Log, types: Sequence[str]) -> list[FieldCounts]:
    """The fields of each type, in the order of `types`; `to` is the position up to which they are counted.

    Blocked when one of them is damaged.
    """
    to = await counted_to(log)
    with translate_errors(log.question_seconds):
        documents = await _documents(log, types)
    # Read after the checkpoint, so each is counted at least that far, and records how far if it is counted further.
    fields_of_types = [_fields(documents.get(type)) for type in types]
    for one in fields_of_types:
        one.to = max(one.to, to)
    return fields_of_types


async def _shapes(log: Log, above: int, head: int, most: int) -> tuple[dict[str, list[EventShape]], int]:
    """The shapes of the next events by type, and the position up to which no event was left out."""
    query = {"_id": {"$gt": above, "$lte": head}, **unexpired(log.clock())}
    fields = {"type": 1, "timestamp": 1, "data": 1}
    shapes: dict[str, list[EventShape]] = {}
    n, last = 0, above
    async for event in log.events.find(query, fields, batch_size=most).sort("_id", 1).limit(most):
        n, last = n + 1, event["_id"]
        if not is_event(event):
            logger.warning("the document %.100r of the collection events is not Eventscope's: not counted", last)
            continue
        shapes.setdefault(event["type"], []).append(EventShape(last, event["timestamp"], shape(event)))
        if n % PAUSE == 0:
            await asyncio.sleep(0)
    return shapes, last if n == most else head


async def _documents(log: Log, types: Sequence[str]) -> dict[str, Document]:
    rows = await fetch_all(log.catalogue.find({"_id": {"$in": list(types)}}))
    return {row["_id"]: row for row in rows}


def _change(type: str, document: Document | None, shapes: Sequence[EventShape], to: int) -> ReplaceOne[Document]:
    fields = _fields(document)
    before = fields.to
    fields.count(shapes, to)
    # If another process has changed the document, nothing matches, and the upsert fails because the `_id` exists.
    return ReplaceOne({"_id": type, "to": before}, _document(fields), upsert=True)


def _document(fields: FieldCounts) -> Document:
    return {
        "events": fields.events,
        "to": fields.to,
        # paths are values here, never keys: the names of people's fields may mean something to MongoDB
        "seen": [{"path": path, **asdict(occurrence)} for path, occurrence in fields.occurrences.items()],
        "truncated": fields.truncated,
        "drifts": [asdict(drift) for drift in fields.drifts],
        "drift_count": fields.drift_count,
    }


def _fields(document: Document | None) -> FieldCounts:
    if document is None:
        return FieldCounts()
    try:
        fields = FieldCounts(
            events=document["events"],
            to=document["to"],
            occurrences={
                one["path"]: Occurrence(one["count"], one["first"], one["last"], one["types"])
                for one in document["seen"]
            },
            truncated=document["truncated"],
            drifts=[FieldDrift(**drift) for drift in document["drifts"]],
            drift_count=document["drift_count"],
        )
    except (KeyError, TypeError):
        raise _damaged(document) from None
    if not {type(fields.events), type(fields.to), type(fields.drift_count)} <= INTEGERS:
        raise _damaged(document)
    return fields


def _damaged(document: Document) -> Blocked:
    name = json.dumps(document["_id"], ensure_ascii=False)
    return Blocked(
        f'the catalogue is damaged: db.catalogue.deleteOne({{_id: {name}}}); db.meta.deleteOne({{_id: "{ID}"}})'
    )
