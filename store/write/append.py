"""Appending: one batch of messages in one transaction, with dense positions and versions. Nothing else adds events."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, cast

from eventscope.errors import QuestionTimedOut, Unavailable, Unstorable, log_unexpected
from eventscope.store import heads
from eventscope.store.filters.mongo import unexpired
from eventscope.store.heads import AggregateName
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.failure import WriteRefused
from eventscope.store.mongo.shapes import HEAD_MEMBERS
from eventscope.store.mongo.write import Write
from eventscope.store.state import checkpoint
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.stats import rollups
from eventscope.store.values.documents import EventDocument, Head, RejectionDocument
from eventscope.store.values.fingerprint import fingerprint
from eventscope.store.values.message import MessageBatch, ParsedMessage, Stored
from eventscope.store.write import obstacle
from eventscope.store.write.cache import WriterCache
from eventscope.store.write.draft import Draft, EarlierRejections
from eventscope.store.write.retention import Retention

# after this time, a MongoDB that hangs counts as unavailable
WRITE_SECONDS: Final = 8.0
# what the driver raises, besides its own errors, for values that no document can hold; our own code may raise it too
UNENCODABLE: Final = (ValueError, TypeError, ArithmeticError, RecursionError)
MOST_EARLIER: Final = 2_000  # earlier rejections that are read with a batch
UNORDERED: Final[Mapping[str, Any]] = {"ordered": False}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that is ready to be written after `base`: the draft before it, or None if that is the checkpoint.

    `has_looked` says whether all of its messages that are in the log are known.
    """

    batch: MessageBatch
    draft: Draft
    base: Draft | None
    has_looked: bool


async def append(
    log: Log,
    retention: Retention,
    at: LogCheckpoint,
    batch: MessageBatch,
    session: Session | None = None,
    cache: WriterCache | None = None,
    seconds: float = WRITE_SECONDS,
) -> tuple[Stored, LogCheckpoint]:
    """Store the batch and move the checkpoint from `at`, all or nothing.

    Raises what `prepare_batch` and `commit` raise.
    `session` is the one that the lease was acquired with; None opens a new one. `cache` holds what the same writer
    wrote since it took the lease.
    """
    cache = WriterCache() if cache is None else cache
    prepared = await prepare_batch(log, retention, at, batch, cache, seconds=seconds)
    async with log.mongo.session() if session is None else nullcontext(session) as session:
        draft = await commit(log, retention, prepared, session, cache, seconds)
    return draft.result(), draft.checkpoint_after()


async def prepare_batch(
    log: Log,
    retention: Retention,
    at: LogCheckpoint,
    batch: MessageBatch,
    cache: WriterCache,
    base: Draft | None = None,
    seconds: float = WRITE_SECONDS,
) -> Prepared:
    """Draft the batch that follows `base`, a draft that may still be being written, or else the checkpoint `at`.

    A message whose id is known is dropped if its content is the same, and rejected with ID_REUSED if not (I2).
    Unavailable when MongoDB does not answer within `seconds`, Unstorable when a message cannot be handled, Blocked when
    something in the collections is in the way.
    """
    with _translate(seconds):
        return await _prepare(log, retention, at, batch, cache, base, look_first=cache.expects_duplicates)


async def commit(
    log: Log,
    retention: Retention,
    prepared: Prepared,
    session: Session,
    cache: WriterCache,
    seconds: float = WRITE_SECONDS,
) -> Draft:
    """Write the batch. Returns what was written: another draft, if the batch had messages that were in the log already.

    LeaseLost when the checkpoint is no longer where the draft begins. Unavailable when MongoDB does not answer within
    `seconds`: the batch may be stored or not, so the checkpoint must be read again. Unstorable when MongoDB refuses a
    message of the batch, Blocked when something else in its collections is in the way.
    """
    with _translate(seconds):
        at = prepared.draft.at
        while True:
            try:
                await write(log, session, prepared.draft)
                break
            except WriteRefused as error:
                # whichever index it was, the message may be known: MongoDB reports only the first conflict
                if prepared.has_looked or error.duplicate is None:
                    raise await obstacle.explanation(log, at, error) from error
            prepared = await _prepare(log, retention, at, prepared.batch, cache, None, look_first=True)
    cache.note(prepared.draft.duplicates)
    cache.keep(prepared.draft.after)
    return prepared.draft


@contextmanager
def _translate(seconds: float) -> Iterator[None]:
    try:
        with translate_errors(seconds):
            yield
    except QuestionTimedOut as error:
        raise Unavailable(f"MongoDB did not store a batch within {seconds:g} seconds") from error
    except UNENCODABLE as error:  # parsing should not have let it through; the error must affect no other message
        raise Unstorable(f"{type(error).__name__}: {error}"[:300]) from error


async def _prepare(
    log: Log,
    retention: Retention,
    at: LogCheckpoint,
    batch: MessageBatch,
    cache: WriterCache,
    base: Draft | None,
    *,
    look_first: bool,
) -> Prepared:
    at = at if base is None else base.checkpoint_after()
    heads_before, earlier = await asyncio.gather(_heads(log, batch, cache), _rejected_before(log, at, batch))
    events_before: dict[str, EventDocument] = {}
    if base is not None:  # MongoDB may not have them yet
        heads_before |= {name: base.after[name] for name in _names(batch) & base.after.keys()}
        for message in batch.messages:
            key = (message.id, fingerprint(message.arrival))
            if key in base.earlier:
                earlier[key] = [*earlier.get(key, ()), *base.earlier[key]]
        events_before = {one.id: base.events_by_id[one.id] for one in batch.accepted if one.id in base.events_by_id}
    # Known messages are rare, and the unique index on messageId finds them too: the write fails then, and the second
    # try looks them up. They are looked up at once while the cache expects some, and when a message of the batch was
    # rejected before: the draft could then reject it again and never touch the index.
    look_first = look_first or bool(earlier)
    while True:
        known = (await _stored_before(log, batch) if look_first else {}) | events_before
        draft = Draft(log.clock(), retention, at, batch, known, heads_before, earlier)
        _add(draft, batch.messages)
        # A draft that rejects by the state of the log must know the duplicates. Otherwise a repeated message would be
        # rejected for the version that it brought about itself when it was stored.
        if look_first or not draft.rejects_by_state:
            return Prepared(batch, draft, base, look_first)
        look_first = True


def _add(draft: Draft, messages: Sequence[ParsedMessage]) -> None:
    for message in messages:
        try:
            draft.add(message)
        except Exception as error:  # a fault of ours, which must not stop other messages
            if len(messages) > 1:
                raise Unstorable("an unexpected error with one of the messages") from error
            raise Unstorable(f"an unexpected error; errorId {log_unexpected(error)} finds it in the log") from error


async def _stored_before(log: Log, batch: MessageBatch) -> dict[str, EventDocument]:
    ids = [message.id for message in batch.accepted]
    events = await fetch_all(log.events.find({"messageId": {"$in": ids}}, batch_size=len(ids))) if ids else []
    for event in events:
        if not isinstance(event["_id"], int):
            raise obstacle.foreign_event(event["_id"])
    return {event["messageId"]: cast("EventDocument", event) for event in events}


async def _rejected_before(log: Log, at: LogCheckpoint, batch: MessageBatch) -> EarlierRejections:
    """Earlier rejections of these very messages; only some of them if there are thousands, which does no harm."""
    if at.rejected_head == 0:
        return {}
    rejections: EarlierRejections = {}
    # By id and fingerprint: if a publisher gives all its messages the same id, each batch must not read all of their
    # rejections.
    ids = [message.id for message in batch.messages]
    fingerprints = {"$in": [fingerprint(message.arrival) for message in batch.messages]}
    query = {"messageId": {"$in": ids}, "fingerprint": fingerprints, **unexpired(log.clock())}
    async for row in log.rejected.find(query, {"raw": 0, "headers": 0}).limit(MOST_EARLIER):
        rejections.setdefault((row["messageId"], row["fingerprint"]), []).append(cast("RejectionDocument", row))
    return rejections


async def _heads(log: Log, batch: MessageBatch, cache: WriterCache) -> dict[AggregateName, Head]:
    names = _names(batch)
    cached = cache.heads(names)
    missing = [{"type": type, "id": id} for type, id in names - cached.keys()]
    documents = (
        await fetch_all(log.aggregates.find({"_id": {"$in": missing}}, batch_size=len(missing))) if missing else []
    )
    for head in documents:
        if not head.keys() >= HEAD_MEMBERS:
            raise obstacle.foreign_head(head["_id"])
    return cached | {(head["_id"]["type"], head["_id"]["id"]): cast("Head", head) for head in documents}


def _names(batch: MessageBatch) -> set[AggregateName]:
    return {name for message in batch.accepted if (name := heads.name(message.fields))}


async def write(log: Log, session: Session, draft: Draft) -> None:
    """Write the draft in one transaction. LeaseLost when the checkpoint is not where the draft begins."""
    await log.mongo.transact(session, list(_writes(log, draft)))


def _writes(log: Log, draft: Draft) -> Iterator[Write]:
    # The checkpoint comes first. Two ingesters that both believe they hold the lease draft from the same checkpoint,
    # and their transactions meet at its document. One of them commits. The other has a write conflict there, or finds
    # no document with the old values any more; either way it fails before it has written anything else.
    yield checkpoint.advance(log, draft.at, draft.checkpoint_after())
    if draft.events:
        yield Write(log.events, "insert_many", (draft.events,))
        yield Write(log.rollups, "bulk_write", (rollups.event_counts(draft.events),), UNORDERED)
    moves = [(draft.before.get(name), head) for name, head in draft.after.items()]
    # Heads are deleted and inserted again, with one command each: as many replacements take half as long again
    # (docs/decisions/0010).
    if outdated := [before["_id"] for before, _ in moves if before is not None]:
        yield Write(log.aggregates, "delete_many", ({"_id": {"$in": outdated}},))
    if moves:
        yield Write(log.aggregates, "insert_many", ([after for _, after in moves],))
    if populations := rollups.aggregate_counts(moves):
        yield Write(log.populations, "bulk_write", (populations,), UNORDERED)
    if draft.rejections:
        yield Write(log.rejected, "insert_many", (draft.rejections,))
