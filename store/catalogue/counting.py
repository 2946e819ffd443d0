"""The catalogue: which fields events of each type have, counted behind the log, batch by batch.

It is a projection of its own, so that ingest does not wait for it. Each document says up to which position its type is
counted, and the write that replaces it filters on that; the checkpoint moves when all documents have moved. So whoever
dies in between, or counts beside another process, counts nothing twice and leaves nothing out. No transaction is
needed, which a process that is killed would leave open, for others to wait for.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final, cast

from pymongo import ReplaceOne
from pymongo.errors import DuplicateKeyError

from eventscope.errors import Blocked, EventscopeError, LeaseLost
from eventscope.store.catalogue.fields import EventShape, FieldCounts, FieldDrift, Seen, shape
from eventscope.store.filters.mongo import unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.own import is_event
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import INTEGERS

ID: Final = "catalogue"  # in `meta`; in `catalogue` every name may be the name of a type
BATCH: Final = 500
PAUSE: Final = 25  # events, after which others of the process have their turn
IDLE_SECONDS: Final = 1.0
FAILED_SECONDS: Final = 5.0
# times as long as counting takes, nothing is done: ingest in the same process has the most of the CPU, and nearly all
# of it while it is behind
REST: Final = 4
LONG_REST: Final = 40
MOST_REST_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 15.0

logger = logging.getLogger(__name__)


async def keep_up(log: Log, holder: str, busy: Callable[[], bool] = lambda: False) -> None:
    """Count what comes in, until cancelled, while that holder has the lease of the log; less while it is `busy`."""
    loop = asyncio.get_running_loop()
    while True:
        began, counted = loop.time(), 0
        try:
            if (await checkpoint.read(log)).holder == holder:
                counted = await count(log)
            rest = LONG_REST if busy() else REST
            # a few at a time would cost ingest more than they are worth
            behind = counted >= BATCH
            wait = min(rest * (loop.time() - began), MOST_REST_SECONDS) if behind else IDLE_SECONDS
        except EventscopeError as error:
            logger.warning("the catalogue is not counted now, and again in %g s: %s", FAILED_SECONDS, error)
            wait = FAILED_SECONDS
        except Exception:  # ingest goes on, whatever is wrong here
            logger.exception("the catalogue cannot be counted")
            wait = 12 * FAILED_SECONDS
        await asyncio.sleep(wait)


async def count(log: Log, most: int = BATCH) -> int:
    """Count the next events; how far that went, in positions, and 0 at the end of the log.

    Raises LeaseLost when another process counted them meanwhile, Unavailable or QuestionTimedOut when MongoDB is away.
    """
    with translate_errors(WRITE_SECONDS):
        at = await counted_to(log)
        head = await checkpoint.head(log)
        if at >= head:
            return 0
        looks, to = await _looks(log, at, head, most)
        known = await _documents(log, list(looks))
        changes = [_change(type, known.get(type), looks[type], to) for type in looks]
        if changes:
            await log.catalogue.bulk_write(changes, ordered=False)
        try:
            # at 0 there may be none yet; were it moved meanwhile, this would make a second one of the same name
            await log.meta.update_one({"_id": ID, "position": at}, {"$set": {"position": to}}, upsert=at == 0)
        except DuplicateKeyError:
            raise LeaseLost("another process counts the catalogue") from None
    return to - at


async def counted_to(log: Log) -> int:
    """The position up to which all events are counted."""
    with translate_errors(log.question_seconds):
        found = await log.meta.find_one({"_id": ID})
    position = 0 if found is None else found.get("position")
    if type(position) not in INTEGERS:
        raise Blocked('the place of the catalogue in meta is damaged: db.meta.deleteOne({_id: "catalogue"})')
    return int(cast("int", position))


async def fields(log: Log, types: Sequence[str]) -> list[FieldCounts]:
    """The fields of each of the types, each in its place, and in `to` the position up to which they are counted."""
    to = await counted_to(log)
    with translate_errors(log.question_seconds):
        known = await _documents(log, types)
    # read after the checkpoint, so they have at least what it says; one that changed since says more itself
    found = [_fields(known.get(type)) for type in types]
    for one in found:
        one.to = max(one.to, to)
    return found


async def _looks(log: Log, above: int, head: int, most: int) -> tuple[dict[str, list[EventShape]], int]:
    """The next events by type, and the position up to which these are all."""
    asked = {"_id": {"$gt": above, "$lte": head}, **unexpired(log.clock())}
    wanted = {"type": 1, "timestamp": 1, "data": 1}
    looks: dict[str, list[EventShape]] = {}
    n, last = 0, above
    async for event in log.events.find(asked, wanted, batch_size=most).sort("_id", 1).limit(most):
        n, last = n + 1, event["_id"]
        if not is_event(event):
            logger.warning("the document %.100r of the collection events is none of Eventscope's: not counted", last)
            continue
        looks.setdefault(event["type"], []).append(EventShape(last, event["timestamp"], shape(event)))
        if n % PAUSE == 0:
            await asyncio.sleep(0)
    return looks, last if n == most else head


async def _documents(log: Log, types: Sequence[str]) -> dict[str, Document]:
    rows = await log.catalogue.find({"_id": {"$in": list(types)}}).to_list(None)
    return {row["_id"]: row for row in rows}


def _change(type: str, document: Document | None, looks: Sequence[EventShape], to: int) -> ReplaceOne[Document]:
    fields = _fields(document)
    before = fields.to
    fields.count(looks, to)
    # another one who has changed it meanwhile leaves no document to replace, and its name is taken for a new one
    return ReplaceOne({"_id": type, "to": before}, _document(fields), upsert=True)


def _document(fields: FieldCounts) -> Document:
    return {
        "events": fields.events,
        "to": fields.to,
        # paths are values here, never keys: what people call their fields may mean something to MongoDB
        "seen": [{"path": path, **asdict(seen)} for path, seen in fields.seen.items()],
        "truncated": fields.truncated,
        "drifts": [asdict(drift) for drift in fields.drifts],
        "drift_count": fields.drift_count,
    }


def _fields(document: Document | None) -> FieldCounts:
    if document is None:
        return FieldCounts()
    return FieldCounts(
        events=document["events"],
        to=document["to"],
        seen={one["path"]: Seen(one["count"], one["first"], one["last"], one["types"]) for one in document["seen"]},
        truncated=document["truncated"],
        drifts=[FieldDrift(**drift) for drift in document["drifts"]],
        drift_count=document["drift_count"],
    )
