"""The checkpoint made anew of what is left of the log, after something of it was lost for good.

Positions, numbers of rejections and terms are above all that anything left knows of, so none is given twice. The stream
is read on from behind the newest message that is left; what is read again is known by its id.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from eventscope.errors import Unavailable
from eventscope.store.log import INDEXES, Log
from eventscope.store.mongo import own
from eventscope.store.mongo.driver import Collection, Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.rejected import room
from eventscope.store.state import checkpoint, checkpoint_members
from eventscope.store.values.documents import INTEGERS
from eventscope.store.values.message import StreamPosition

TRIES: Final = 20
SAME: Final = ("head", "rejectedHead", "place", "holder", "term")
FIELDS: Final[Document] = {"timestamp": 1, "type": 1, "version": 1, "expireAt": 1, "recordedAt": 1, "source": 1}
LOOKED_AT: Final = 1_000  # documents at an end of a collection among which one of the log is looked for


async def accept(log: Log) -> None:
    """Make the checkpoint agree with what is there, and note that what is missing is known to be.

    An ingester that is at work begins anew. Safe to be killed in: until the counts are right and the collections are
    accepted, whoever takes the lease looks at them. Raises Unavailable or QuestionTimedOut when MongoDB is away.
    """
    with translate_errors(log.question_seconds, "meta"):
        for _ in range(TRIES):
            before = await log.meta.find_one({"_id": checkpoint.ID})
            damaged = checkpoint_members.damaged_names(before or {})
            known = {name: value for name, value in (before or {}).items() if name not in damaged}
            changes = await _changes(log, known)
            if changes["head"] == 0:  # they are counts of nothing, and a new log has none
                await log.populations.delete_many({"_id.aggregateType": own.TEXT})
            if before is None:
                try:
                    await log.meta.insert_one({"_id": checkpoint.ID, **changes})
                    return
                except DuplicateKeyError:
                    continue
            at: Document = {"_id": checkpoint.ID, **{name: {"$eq": before.get(name)} for name in SAME}}
            gone = {"$unset": dict.fromkeys(damaged - changes.keys(), "")}
            if (await log.meta.update_one(at, {"$set": changes, **(gone if gone["$unset"] else {})})).matched_count:
                return
    raise Unavailable("the log is written to all the time, and so is in order")


async def _changes(log: Log, known: Document) -> Document:
    """What the checkpoint must say, given those of its members that can be what they say."""
    event = await _newest(log.events, own.is_event, FIELDS)
    rejection = await _newest(log.rejected, _is_rejection, {"recordedAt": 1, "source": 1})
    head, rejected_head = known.get("head", 0), known.get("rejectedHead", 0)
    changes: Document = {
        "log": known.get("log") or uuid.uuid4().hex,
        "head": max(head, event.get("_id", 0), *await _positions(log)),
        "rejectedHead": max(rejected_head, rejection.get("_id", 0), await _dropped(log)),
        "term": known.get("term", 0) + 1,
    }
    changes["acceptedThrough"] = changes["head"]
    if (changes["head"], changes["rejectedHead"]) != (head, rejected_head) or "place" not in known:
        # nobody knows which collections these numbers were written with
        changes["collections"] = dict.fromkeys(INDEXES)
        changes["place"] = checkpoint_members.of_place(_place(checkpoint_members.place(known), [event, rejection]))
    return changes


def _place(known: StreamPosition | None, newest: Sequence[Document]) -> StreamPosition | None:
    """Where the stream was read up to: behind the newest message that is left, or that place if it is further."""
    places = [place for document in newest if (place := _source(document)) is not None]
    if not places:
        return known
    last = max(places, key=lambda place: (place.recorded_at, place.sequence))
    of_this_stream = known is not None and (known.stream, known.created) == (last.stream, last.created)
    return known if known is not None and of_this_stream and known.sequence >= last.sequence else last


def _source(document: Document) -> StreamPosition | None:
    source: Any = document.get("source")
    made = {"place": {**source, "recordedAt": document.get("recordedAt")}} if isinstance(source, dict) else {}
    return checkpoint_members.place(made) if made and not checkpoint_members.damaged_names(made) else None


async def _newest(collection: Collection, is_ours: Callable[[Document], bool], fields: Document) -> Document:
    """The last document that is the log's, of those at the end."""
    numbered = collection.find({"_id": {"$gt": 0}}, fields).sort("_id", -1).limit(LOOKED_AT)
    return next((row for row in await numbered.to_list(None) if is_ours(row)), {})


def _is_rejection(document: Document) -> bool:
    return type(document["_id"]) in INTEGERS and _source(document) is not None


async def _positions(log: Log) -> list[int]:
    """The last positions that what is derived from the events knows of."""
    heads = log.aggregates.find(own.HEADS).sort("last.position", -1).limit(LOOKED_AT)
    found = [head["last"]["position"] for head in await heads.to_list(None) if own.is_head(head)][:1]
    rows = log.rollups.find({"lastPosition": {"$exists": True}}).sort("lastPosition", -1).limit(LOOKED_AT)
    for row in await rows.to_list(None):
        if own.is_row_name(key := row.pop("_id")) and own.is_row(key, row):
            found.append(row["lastPosition"])
            break
    notes = await log.expirations.find({}).to_list(None)
    return [0, *found, *(note["through"] for note in notes if own.is_note(note))]


async def _dropped(log: Log) -> int:
    """The number of the last rejection that was dropped for want of room."""
    found: Any = (await log.meta.find_one({"_id": room.ID}) or {}).get("through", 0)
    return int(found) if type(found) in INTEGERS else 0
