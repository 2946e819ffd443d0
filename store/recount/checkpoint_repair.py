"""The checkpoint, rebuilt from what is left of the log after something was lost for good.

Positions, numbers of rejections and terms continue after the highest found in anything that is left, so none is
assigned twice. Reading the stream continues after the newest message that is left; messages that are read again are
recognized by their ids.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from eventscope.errors import Unavailable
from eventscope.store.log import INDEXES, Log
from eventscope.store.mongo import shapes
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Collection, Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.rejected import quota
from eventscope.store.state import checkpoint, checkpoint_members
from eventscope.store.values.documents import INTEGERS
from eventscope.store.values.message import StreamPosition

TRIES: Final = 20
SAME: Final = ("head", "rejectedHead", "place", "holder", "term")
FIELDS: Final[Document] = {"timestamp": 1, "type": 1, "version": 1, "expireAt": 1, "recordedAt": 1, "source": 1}
LOOKED_AT: Final = 1_000  # documents at the end of a collection that are searched for one of the log


async def accept_loss(log: Log) -> None:
    """Make the checkpoint agree with the collections, and record that the loss is accepted.

    A running ingester starts again. This may be interrupted anywhere: until the counts are correct and the collections
    are recorded, the next holder of the lease checks them. Raises Unavailable or QuestionTimedOut when MongoDB is away.
    """
    with translate_errors(log.question_seconds, "meta"):
        for _ in range(TRIES):
            before = await log.meta.find_one({"_id": checkpoint.ID})
            checkpoint_members.check(before or {}, ())
            damaged_members = checkpoint_members.damaged_names(before or {})
            sound_members = {name: value for name, value in (before or {}).items() if name not in damaged_members}
            changes = await _changes(log, sound_members)
            if changes["head"] == 0:  # nothing is left to count, and a new log has no counts
                await log.populations.delete_many({"_id.aggregateType": shapes.TEXT})
            if before is None:
                try:
                    await log.meta.insert_one({"_id": checkpoint.ID, **changes})
                    return
                except DuplicateKeyError:
                    continue
            at: Document = {"_id": checkpoint.ID, **{name: {"$eq": before.get(name)} for name in SAME}}
            removal = {"$unset": dict.fromkeys(damaged_members - changes.keys(), "")}
            if (
                await log.meta.update_one(at, {"$set": changes, **(removal if removal["$unset"] else {})})
            ).matched_count:
                return
    raise Unavailable("the checkpoint keeps moving, so an ingester is at work, and nothing needs to be accepted")


async def _changes(log: Log, sound_members: Document) -> Document:
    """The new members of the checkpoint; `sound_members` are its present members with valid values."""
    event = await _newest(log.events, shapes.is_event, FIELDS)
    rejection = await _newest(log.rejected, _is_rejection, {"recordedAt": 1, "source": 1})
    head, rejected_head = sound_members.get("head", 0), sound_members.get("rejectedHead", 0)
    changes: Document = {
        "format": checkpoint_members.FORMAT,
        "log": sound_members.get("log") or uuid.uuid4().hex,
        "head": max(head, event.get("_id", 0), *await _positions(log)),
        "rejectedHead": max(rejected_head, rejection.get("_id", 0), await _last_dropped(log)),
        "term": sound_members.get("term", 0) + 1,
        "recordedAt": max(sound_members.get("recordedAt", 0), _whole(event.get("recordedAt"))),
    }
    changes["acceptedThrough"] = changes["head"]
    if (changes["head"], changes["rejectedHead"]) != (head, rejected_head) or "place" not in sound_members:
        # nobody knows to which collections these numbers belong
        changes["collections"] = dict.fromkeys(INDEXES)
        changes["place"] = checkpoint_members.of_place(
            _place(checkpoint_members.place(sound_members), [event, rejection])
        )
    return changes


def _place(present: StreamPosition | None, newest: Sequence[Document]) -> StreamPosition | None:
    """The stream position of the newest message that is left, or `present` if that is further."""
    places = [place for document in newest if (place := _source(document)) is not None]
    if not places:
        return present
    last = max(places, key=lambda place: (place.recorded_at, place.sequence))
    of_this_stream = present is not None and (present.stream, present.created) == (last.stream, last.created)
    return present if present is not None and of_this_stream and present.sequence >= last.sequence else last


def _source(document: Document) -> StreamPosition | None:
    source: Any = document.get("source")
    document_of_place = (
        {"place": {"recordedAt": document.get("recordedAt"), **source}} if isinstance(source, dict) else {}
    )
    return (
        checkpoint_members.place(document_of_place)
        if document_of_place and not checkpoint_members.damaged_names(document_of_place)
        else None
    )


def _whole(value: Any) -> int:
    return int(value) if type(value) in INTEGERS else 0


async def _newest(collection: Collection, is_ours: Callable[[Document], bool], fields: Document) -> Document:
    """The last document that is the log's own, of those at the end of the collection."""
    cursor = collection.find({"_id": {"$gt": 0}}, fields).sort("_id", -1).limit(LOOKED_AT)
    return next((row for row in await fetch_all(cursor) if is_ours(row)), {})


def _is_rejection(document: Document) -> bool:
    return type(document["_id"]) in INTEGERS and _source(document) is not None


async def _positions(log: Log) -> list[int]:
    """The last positions in the collections that are derived from events."""
    heads = log.aggregates.find(shapes.HEADS).sort("last.position", -1).limit(LOOKED_AT)
    positions = [head["last"]["position"] for head in await fetch_all(heads) if shapes.is_head(head)][:1]
    rows = log.rollups.find({"lastPosition": {"$exists": True}}).sort("lastPosition", -1).limit(LOOKED_AT)
    for row in await fetch_all(rows):
        if shapes.is_row_name(key := row.pop("_id")) and shapes.is_row(key, row):
            positions.append(row["lastPosition"])
            break
    notes = await fetch_all(log.expirations.find({}))
    return [0, *positions, *(note["through"] for note in notes if shapes.is_note(note))]


async def _last_dropped(log: Log) -> int:
    """The number of the last rejected message that was dropped to stay within the limit."""
    through: Any = (await log.meta.find_one({"_id": quota.ID}) or {}).get("through", 0)
    return int(through) if type(through) in INTEGERS else 0
