"""The checkpoint: where the log ends, which stream position it was read up to, and which ingester may write.

One document holds all three, and the update that moves it filters on the old values. A writer that lost the lease
without noticing (paused, cut off) still has old values: its update matches nothing, and its transaction fails (I4). So
the lease only says who should write; the filter is what makes it safe.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pymongo.results import UpdateResult

from eventscope.errors import Blocked, LeaseLost
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.first import first
from eventscope.store.mongo.write import Write
from eventscope.store.state import agreement, checkpoint_members
from eventscope.store.values.message import Lost, StreamPosition

ID: Final = "checkpoint"
MOST_LOST: Final = 100  # ranges of lost messages that are kept; `lost_count` counts all messages

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogCheckpoint:
    """The content of the document. `term` rises with every new holder.

    `stream_position` is None until the stream is first read.

    `lost` holds the last ranges of messages that JetStream removed before they were read; `lost_count` counts all such
    messages. `read_before` and `read_before_at` are for a stream that was read from its start again: messages up to
    this sequence and time had been read before; later messages may reuse these sequences. `lease_held` is True while an
    ingester holds the lease and is at work; one that retries after a failure is not.
    """

    head: int
    rejected_head: int
    stream_position: StreamPosition | None
    source_resets: int
    holder: str | None
    term: int
    lease_held: bool
    lost: tuple[Lost, ...] = ()
    lost_count: int = 0
    read_before: int = 0
    read_before_at: int = 0
    identity: str | None = field(default=None, compare=False)
    """The log's random name, which a new log in the same place does not share; None if only older versions wrote it."""
    collections: Mapping[str, object] = field(default_factory=dict, compare=False)
    """The unique ids of the collections that the log was last written to; empty if an older version wrote it."""
    accepted: int = field(default=0, compare=False)
    """The position up to which an operator accepted the loss of events."""
    recorded_at: int = field(default=0, compare=False)
    """The `recordedAt` of the last event; 0 if only older versions wrote the log."""

    def after(
        self,
        position: StreamPosition,
        lost: tuple[Lost, ...],
        *,
        events: int = 0,
        rejections: int = 0,
        recorded_at: int | None = None,
    ) -> "LogCheckpoint":
        """The checkpoint after a batch that was read up to `position`, and whose last event has this `recordedAt`."""
        later = replace(
            self,
            head=self.head + events,
            rejected_head=self.rejected_head + rejections,
            stream_position=position,
            recorded_at=self.recorded_at if recorded_at is None else recorded_at,
        )
        if not lost:
            return later
        count = self.lost_count + sum(one.count for one in lost)
        return replace(later, lost=(*self.lost, *lost)[-MOST_LOST:], lost_count=count)


async def read(log: Log, **options: Any) -> LogCheckpoint:
    """The present checkpoint; that of an empty log if there is none yet.

    Blocked when it is damaged, or is missing although there are events.
    """
    pipeline: list[Document] = [{"$match": {"_id": ID}}, {"$set": {"leaseHeld": checkpoint_members.IS_AT_WORK}}]
    with translate_errors(log.question_seconds):
        documents = await log.mongo.aggregate(log.meta, pipeline, **options)
    if not documents:
        await require_empty(log, **options)
    at = from_document(documents[0] if documents else {})
    identify(log, documents[0] if documents else None)
    return at


async def head(log: Log) -> int:
    """The last position of the log, 0 while it is empty. No event will be added up to it (I1). Blocked as in `read`."""
    with translate_errors(log.question_seconds):
        documents = await first(log.meta, {"_id": ID}, {"head": 1, "log": 1, "format": 1}, limit=1)
    if not documents:
        await require_empty(log)
    position = head_of(documents[0] if documents else None)
    identify(log, documents[0] if documents else None)
    return position


async def require_empty(log: Log, **options: Any) -> None:
    """Raise Blocked when there are events without a checkpoint: to answer that the log is empty would be wrong."""
    try:
        await agreement.no_log(log, **options)
    except Blocked:
        with translate_errors(log.question_seconds):
            document = await log.meta.find_one({"_id": ID}, {"_id": 1})
        if document is None:  # otherwise the first events were stored just now
            raise


def head_of(document: Document | None) -> int:
    """The head in the checkpoint's document, whose other members may be missing.

    Blocked when it is not a number.
    """
    if document is None:
        return 0
    checkpoint_members.check(document, ("head",))
    return int(document.get("head", 0))


def advance(log: Log, old: LogCheckpoint, new: LogCheckpoint) -> Write:
    """The write that moves the checkpoint in the transaction of a batch; LeaseLost if it is no longer at `old`."""
    changes: Document = {
        "head": new.head,
        "rejectedHead": new.rejected_head,
        "recordedAt": new.recorded_at,
        "place": checkpoint_members.of_place(new.stream_position),
    }
    if new.lost_count != old.lost_count:
        changes |= {"lost": [checkpoint_members.of_lost(one) for one in new.lost], "lostCount": new.lost_count}
    at: Document = {
        "_id": ID,
        "holder": old.holder,
        "term": old.term,
        "head": old.head,
        "place": checkpoint_members.of_place(old.stream_position),
    }

    def verify(outcome: UpdateResult) -> None:
        if outcome.matched_count != 1:
            raise LeaseLost(f"another ingester than {old.holder} moved the checkpoint")

    return Write(log.meta, "update_one", (at, {"$set": changes}), verify=verify)


async def begin(log: Log, old: LogCheckpoint, start: StreamPosition) -> LogCheckpoint:
    """Record where the stream is first read from: messages missing after it were lost. Returns the new checkpoint."""
    return await _set(log, old, replace(old, stream_position=start))


async def count_reset(log: Log, old: LogCheckpoint, start: StreamPosition, last: int | None = None) -> LogCheckpoint:
    """Record that the stream is another one, or has lost its last messages, and is read from `start` on.

    `last` is its last sequence now; messages after it are new. Returns the new checkpoint.
    """
    position, before, before_at = old.stream_position, 0, 0
    if position is not None and (position.stream, position.created) == (start.stream, start.created):
        before = max(position.sequence, old.read_before)
        before = before if last is None else min(before, last)
        before_at = max(position.recorded_at, old.read_before_at)
    resets = old.source_resets + 1
    new = replace(old, stream_position=start, source_resets=resets, read_before=before, read_before_at=before_at)
    return await _set(log, old, new)


async def adopt(log: Log, old: LogCheckpoint, collections: Mapping[str, object]) -> LogCheckpoint:
    """Record the ids of the collections that the log is written to from now on. Returns the new checkpoint."""
    return await _set(log, old, replace(old, collections=collections))


async def accept(log: Log, collections: Mapping[str, object]) -> None:
    """Record the same without holding the lease."""
    with translate_errors(log.question_seconds, "meta"):
        await log.meta.update_one({"_id": ID}, {"$set": {"collections": dict(collections)}})


async def _set(log: Log, old: LogCheckpoint, new: LogCheckpoint) -> LogCheckpoint:
    changes = {
        "place": checkpoint_members.of_place(new.stream_position),
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
        raise LeaseLost(f"another ingester than {old.holder} moved the checkpoint")
    return new


def is_at(document: Document, at: LogCheckpoint) -> bool:
    """Whether the document has the same head, stream position, holder and term as `at`."""
    now = from_document(document)
    return (now.head, now.stream_position, now.holder, now.term) == (at.head, at.stream_position, at.holder, at.term)


def identify(log: Log, document: Document | None) -> None:
    """Record the identity of the log. If it is another log, forget the recent events of the former."""
    checkpoint_members.check(document or {}, ("log",))
    if log.identity.see((document or {}).get("log")):
        message = "the database was dropped or replaced: it now has another log, which ends at position %d"
        logger.error(message, head_of(document))
        if log.recent is not None:
            log.recent.restart(None)


def from_document(document: Document) -> LogCheckpoint:
    checkpoint_members.check(document)
    return LogCheckpoint(
        head=document.get("head", 0),
        rejected_head=document.get("rejectedHead", 0),
        stream_position=checkpoint_members.place(document),
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
        recorded_at=document.get("recordedAt", 0),
    )
