"""The checkpoint: how far the log reaches, what it was read from, and which ingester may write it now.

One document carries all three, and the update that moves it filters on the old values, so a second writer can never
come in between (I4). The lease only says who should write; this filter is what makes it safe.
"""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError
from pymongo.results import UpdateResult

from eventscope.errors import Blocked, LeaseLost
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.failure import duplicate
from eventscope.store.mongo.first import first
from eventscope.store.mongo.write import Write
from eventscope.store.state import agreement, checkpoint_members
from eventscope.store.values.message import Lost, StreamPosition

ID: Final = "checkpoint"
MOST_LOST: Final = 100  # ranges of lost messages that are kept; their number counts all
LONGEST_LEASE: Final = 60_000
"""Milliseconds that a lease is taken for at most, unless it says more itself."""
NOW_TOLERANCE: Final = 10_000
"""Milliseconds by which `$$NOW` may differ between two commands that run at the same time: each keeps its first."""
TAKEN: Final[Document] = {
    "$and": [
        {"$gt": ["$leaseUntil", "$$NOW"]},
        # a lease that seems to last longer than it was taken for was given while MongoDB's clock was ahead
        {"$lte": ["$leaseUntil", {"$add": ["$$NOW", NOW_TOLERANCE, {"$max": ["$leaseFor", LONGEST_LEASE]}]}]},
    ]
}
"""Whether somebody has the lease: an expression on the checkpoint."""
HELD: Final[Document] = {"$and": [TAKEN, {"$ne": ["$atWork", False]}]}
"""Whether that one is at work, too."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogCheckpoint:
    """What the document says. `term` rises with every new holder; `place` is None before the stream was first read.

    `lost` holds the last ranges of messages that JetStream removed before they were read, `lost_count` counts all such
    messages. Sequences of this stream up to `read_before`, where their messages came up to `read_before_at`, had been
    read before the stream was last read from its start; those that came later have such sequences for a second time.
    `lease_held` is whether an ingester holds the lease and is at work: one that tries again after trouble is not yet.
    """

    head: int
    rejected_head: int
    place: StreamPosition | None
    source_resets: int
    holder: str | None
    term: int
    lease_held: bool
    lost: tuple[Lost, ...] = ()
    lost_count: int = 0
    read_before: int = 0
    read_before_at: int = 0
    identity: str | None = field(default=None, compare=False)
    """Tells this log from one that was begun after it was dropped; None while only older versions wrote it."""
    collections: Mapping[str, object] = field(default_factory=dict, compare=False)
    """The identities of the collections that the log was last written to; none if an older version wrote it."""
    accepted: int = field(default=0, compare=False)
    """The position up to which it was accepted that events were lost."""

    def after(
        self, place: StreamPosition, lost: tuple[Lost, ...], *, events: int = 0, rejections: int = 0
    ) -> "LogCheckpoint":
        """The checkpoint after a batch that reached that place."""
        moved = replace(self, head=self.head + events, rejected_head=self.rejected_head + rejections, place=place)
        if not lost:
            return moved
        count = self.lost_count + sum(one.count for one in lost)
        return replace(moved, lost=(*self.lost, *lost)[-MOST_LOST:], lost_count=count)


async def read(log: Log, **options: Any) -> LogCheckpoint:
    """The checkpoint as it is; that of an empty log when there is none yet.

    Blocked when it cannot be read, or is missing though there are events.
    """
    asked: list[Document] = [{"$match": {"_id": ID}}, {"$set": {"leaseHeld": HELD}}]
    with translate_errors(log.question_seconds):
        found = await log.mongo.aggregate(log.meta, asked, **options)
    if not found:
        await missing(log, **options)
    at = _checkpoint(found[0] if found else {})
    _see(log, found[0] if found else None)
    return at


async def head(log: Log) -> int:
    """The last position of the log, 0 while it is empty: none will be added up to there. Blocked as `read`."""
    with translate_errors(log.question_seconds):
        found = await first(log.meta, {"_id": ID}, {"head": 1, "log": 1}, limit=1)
    if not found:
        await missing(log)
    position = head_of(found[0] if found else None)
    _see(log, found[0] if found else None)
    return position


async def missing(log: Log, **options: Any) -> None:
    """Raise Blocked when there is no checkpoint though there are events: an empty answer would be no fact."""
    try:
        await agreement.no_log(log, **options)
    except Blocked:
        with translate_errors(log.question_seconds):
            made = await log.meta.find_one({"_id": ID}, {"_id": 1})
        if made is None:  # else the first events came just now
            raise


def head_of(document: Document | None) -> int:
    """The last position of the log by that document in `meta`, of which only the head is looked at.

    Blocked when it is no number.
    """
    if document is None:
        return 0
    checkpoint_members.check(document, ("head",))
    return int(document.get("head", 0))


async def acquire(
    log: Log,
    holder: str,
    seconds: float,
    session_id: Mapping[str, Any] | None = None,
    *,
    at_work: bool = True,
) -> LogCheckpoint | None:
    """Take or renew the lease; None while somebody else holds it. MongoDB's clock decides, not ours.

    Who takes it to find out whether it can work is not `at_work`: it keeps others out, but nobody must rely on it yet.

    `session_id` names the session that the holder will write with. Whoever takes over ends it first: a holder that died
    or froze within a transaction would keep everybody from writing until MongoDB gives that transaction up.
    Raises Blocked when there is no checkpoint, though there are events, or when it cannot be read.
    """
    with translate_errors(seconds, "meta"):
        if (there := await log.meta.find_one({"_id": ID})) is not None:
            _checkpoint(there)
        else:
            await agreement.no_log(log)
            try:
                await log.meta.insert_one({"_id": ID, "head": 0, "term": 0, "log": uuid.uuid4().hex})
            except DuplicateKeyError as error:
                if (value := duplicate(error)) is None or value.index != "_id_":
                    raise
                # another ingester made it at the same moment
        ours = {"$eq": ["$holder", {"$literal": holder}]}
        takeable = {"_id": ID, "$expr": {"$or": [ours, {"$not": [TAKEN]}]}}
        before = await log.meta.find_one(takeable)
        if before is None:
            return None
        if before.get("session") not in (None, session_id):
            await log.mongo.end_session(before["session"])
        found = await log.meta.find_one_and_update(
            takeable,
            [
                {
                    "$set": {
                        "log": {"$ifNull": ["$log", {"$literal": uuid.uuid4().hex}]},  # older versions gave none
                        "term": {"$cond": [ours, "$term", {"$add": ["$term", 1]}]},
                        "holder": {"$literal": holder},
                        "session": {"$literal": session_id},
                        "atWork": at_work,
                        "leaseUntil": {"$add": ["$$NOW", int(seconds * 1000)]},
                        "leaseFor": int(seconds * 1000),
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
    if found is None:
        return None
    _see(log, found)
    return _checkpoint(found | {"leaseHeld": True})


async def release(log: Log, holder: str) -> None:
    """Give the lease back, so that a standby need not wait for its end."""
    with translate_errors(2.0, "meta"):
        await log.meta.update_one(
            {"_id": ID, "holder": holder}, {"$unset": {"holder": "", "leaseUntil": "", "leaseFor": "", "session": ""}}
        )


def moving(log: Log, old: LogCheckpoint, new: LogCheckpoint) -> Write:
    """Moves the checkpoint within the transaction that stores the batch, or raises LeaseLost."""
    changes: Document = {
        "head": new.head,
        "rejectedHead": new.rejected_head,
        "place": checkpoint_members.of_place(new.place),
    }
    if new.lost_count != old.lost_count:
        changes |= {"lost": [checkpoint_members.of_lost(one) for one in new.lost], "lostCount": new.lost_count}
    at: Document = {
        "_id": ID,
        "holder": old.holder,
        "term": old.term,
        "head": old.head,
        "place": checkpoint_members.of_place(old.place),
    }

    def verify(outcome: UpdateResult) -> None:
        if outcome.matched_count != 1:
            raise LeaseLost(f"the log moved on without {old.holder}")

    return Write(log.meta, "update_one", (at, {"$set": changes}), verify=verify)


async def begin(log: Log, old: LogCheckpoint, start: StreamPosition) -> LogCheckpoint:
    """Note where the stream is first read from: what is missing from there on was lost. Returns the new checkpoint."""
    return await _set(log, old, replace(old, place=start))


async def count_reset(log: Log, old: LogCheckpoint, start: StreamPosition, last: int | None = None) -> LogCheckpoint:
    """Note that the stream is another one than before, or has lost its tail, and is read from `start` on.

    `last` is the last sequence that it gave by now; what comes after that is new. Returns the new checkpoint.
    """
    place, before, before_at = old.place, 0, 0
    if place is not None and (place.stream, place.created) == (start.stream, start.created):
        before = max(place.sequence, old.read_before)
        before = before if last is None else min(before, last)
        before_at = max(place.recorded_at, old.read_before_at)
    resets = old.source_resets + 1
    new = replace(old, place=start, source_resets=resets, read_before=before, read_before_at=before_at)
    return await _set(log, old, new)


async def adopt(log: Log, old: LogCheckpoint, collections: Mapping[str, object]) -> LogCheckpoint:
    """Note that the log is written to these collections from now on. Returns the new checkpoint."""
    return await _set(log, old, replace(old, collections=collections))


async def accept(log: Log, collections: Mapping[str, object]) -> None:
    """Note that the log is written to these collections from now on, whoever writes it."""
    with translate_errors(log.question_seconds, "meta"):
        await log.meta.update_one({"_id": ID}, {"$set": {"collections": dict(collections)}})


async def _set(log: Log, old: LogCheckpoint, new: LogCheckpoint) -> LogCheckpoint:
    changes = {
        "place": checkpoint_members.of_place(new.place),
        "sourceResets": new.source_resets,
        "readBefore": new.read_before,
        "readBeforeAt": new.read_before_at,
        "collections": dict(new.collections),
    }
    with translate_errors(log.question_seconds, "meta"):
        outcome = await log.meta.update_one(
            {"_id": ID, "holder": old.holder, "term": old.term, "head": old.head}, {"$set": changes}
        )
    if outcome.matched_count != 1:
        raise LeaseLost(f"the log moved on without {old.holder}")
    return new


def is_at(document: Document, at: LogCheckpoint) -> bool:
    """Whether the document in `meta` says that the log stands there, and is written by the same holder."""
    found = _checkpoint(document)
    return (found.head, found.place, found.holder, found.term) == (at.head, at.place, at.holder, at.term)


def _see(log: Log, document: Document | None) -> None:
    """Note which log it is. What is remembered of the newest events of another one is forgotten."""
    checkpoint_members.check(document or {}, ("log",))
    if log.identity.see((document or {}).get("log")):
        said = "another log than before is in the database, which was dropped or replaced: it ends at position %d"
        logger.error(said, head_of(document))
        if log.tail is not None:
            log.tail.restart(None)


def _checkpoint(document: Document) -> LogCheckpoint:
    checkpoint_members.check(document)
    return LogCheckpoint(
        head=document.get("head", 0),
        rejected_head=document.get("rejectedHead", 0),
        place=checkpoint_members.place(document),
        source_resets=document.get("sourceResets", 0),
        holder=document.get("holder"),
        term=document.get("term", 0),
        lease_held=bool(document.get("leaseHeld")),
        identity=document.get("log"),
        collections=document.get("collections", {}),
        accepted=document.get("acceptedThrough", 0),
        lost=tuple(map(checkpoint_members.lost, document.get("lost", ()))),
        lost_count=document.get("lostCount", 0),
        read_before=document.get("readBefore", 0),
        read_before_at=document.get("readBeforeAt", 0),
    )
