"""Appending: one batch of messages, one transaction, dense positions and versions. The only writer of the log."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final, cast

from eventscope.errors import QuestionTimedOut, Unavailable, Unstorable, log_unexpected
from eventscope.store import heads
from eventscope.store.filters.mongo import kept
from eventscope.store.heads import AggregateName
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.failure import WriteRefused
from eventscope.store.mongo.write import Write
from eventscope.store.state import checkpoint
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.stats import rollups
from eventscope.store.values.documents import EventDocument, Head, RejectionDocument
from eventscope.store.values.fingerprint import fingerprint
from eventscope.store.values.message import MessageBatch, ParsedMessage, Stored
from eventscope.store.write import obstacle
from eventscope.store.write.cache import WriterCache
from eventscope.store.write.draft import Draft, Refusals
from eventscope.store.write.retention import Retention

# a MongoDB that hangs is taken to be away after this long
WRITE_SECONDS: Final = 8.0
HEAD: Final = frozenset({"version", "first", "last", "deleted"})
# what the driver raises, besides its own errors, of values that no document can have, and so may we of such values
UNENCODABLE: Final = (ValueError, TypeError, ArithmeticError, RecursionError)
MOST_REFUSED: Final = 2_000  # earlier rejections that are read with a batch
UNORDERED: Final[Mapping[str, Any]] = {"ordered": False}


async def append(
    log: Log,
    retention: Retention,
    at: LogCheckpoint,
    batch: MessageBatch,
    session: Session | None = None,
    memory: WriterCache | None = None,
) -> tuple[Stored, LogCheckpoint]:
    """Store the batch and move the checkpoint from `at`, all or nothing.

    A message whose id is known is dropped if it says the same, and rejected with ID_REUSED if not (I2). LeaseLost when
    the checkpoint is no longer at `at`; Unavailable when MongoDB does not answer: then nothing is known, and the
    checkpoint must be read anew. Unstorable when it refuses a message of the batch, Blocked when something else in its
    collections stands in the way. The session is the one that the lease was acquired with; None takes a new one.
    `memory` is of what the same writer wrote since then.
    """
    memory = WriterCache() if memory is None else memory
    try:
        draft = await _stored(log, retention, at, batch, session, memory)
    except QuestionTimedOut as error:
        raise Unavailable(f"MongoDB did not store a batch within {WRITE_SECONDS:g} seconds") from error
    except UNENCODABLE as error:  # what should never have been read so, and must concern its message alone
        raise Unstorable(f"{type(error).__name__}: {error}"[:300]) from error
    memory.saw(draft.duplicates)
    memory.keep(draft.after)
    return draft.stored(), draft.reached()


async def _stored(
    log: Log, retention: Retention, at: LogCheckpoint, batch: MessageBatch, session: Session | None, memory: WriterCache
) -> Draft:
    with translate_errors(WRITE_SECONDS):
        before, refused = await asyncio.gather(_heads(log, batch, memory), _refused(log, at, batch))
        async with log.mongo.session() if session is None else nullcontext(session) as session:
            # Messages that are known already are rare, and the unique index finds them too: they are looked for first
            # only while they are to be expected, or once it has found one. Where one of their ids was refused as well,
            # the index would not be asked.
            looking = memory.watchful or bool(refused)
            while True:
                known = await _known(log, batch) if looking else {}
                draft = Draft(log.clock(), retention, at, batch, known, before, refused)
                _add(draft, batch.messages)
                # what is known already must not be refused for the state that it brought about
                if looking or not draft.refuses_by_state:
                    try:
                        await write(log, session, draft)
                        return draft
                    except WriteRefused as refused_write:
                        # whichever index it was, the message may be known: MongoDB names the first that it looked at
                        if looking or refused_write.duplicate is None:
                            raise await obstacle.explained(log, at, refused_write) from refused_write
                looking = True


def _add(draft: Draft, messages: Sequence[ParsedMessage]) -> None:
    for message in messages:
        try:
            draft.add(message)
        except Exception as error:  # a fault of ours, which must concern this message alone
            if len(messages) > 1:
                raise Unstorable("one of them meets an unexpected error") from error
            raise Unstorable(f"an unexpected error; errorId {log_unexpected(error)} finds it in the log") from error


async def _known(log: Log, batch: MessageBatch) -> dict[str, EventDocument]:
    ids = [message.id for message in batch.accepted]
    found = await log.events.find({"messageId": {"$in": ids}}, batch_size=len(ids)).to_list(None) if ids else []
    for event in found:
        if not isinstance(event["_id"], int):
            raise obstacle.foreign_event(event["_id"])
    return {event["messageId"]: cast("EventDocument", event) for event in found}


async def _refused(log: Log, at: LogCheckpoint, batch: MessageBatch) -> Refusals:
    """Earlier rejections of these very messages; of some only, where there are thousands, which is no loss."""
    if at.rejected_head == 0:
        return {}
    refused: Refusals = {}
    # by both: a publisher that gives all its messages one id must not have all their rejections read with each batch
    ids = [message.id for message in batch.messages]
    same = {"$in": [fingerprint(message.arrival) for message in batch.messages]}
    asked = {"messageId": {"$in": ids}, "fingerprint": same, **kept(log.clock())}
    async for row in log.rejected.find(asked, {"raw": 0, "headers": 0}).limit(MOST_REFUSED):
        refused.setdefault((row["messageId"], row["fingerprint"]), []).append(cast("RejectionDocument", row))
    return refused


async def _heads(log: Log, batch: MessageBatch, memory: WriterCache) -> dict[AggregateName, Head]:
    names = {name for message in batch.accepted if (name := heads.name(message.fields))}
    known = memory.known(names)
    asked = [{"type": type, "id": id} for type, id in names - known.keys()]
    found = await log.aggregates.find({"_id": {"$in": asked}}, batch_size=len(asked)).to_list(None) if asked else []
    for head in found:
        if not head.keys() >= HEAD:
            raise obstacle.foreign_head(head["_id"])
    return known | {(head["_id"]["type"], head["_id"]["id"]): cast("Head", head) for head in found}


async def write(log: Log, session: Session, draft: Draft) -> None:
    """Write what was made up, in one transaction. LeaseLost when the checkpoint is not where the draft begins."""
    await log.mongo.transact(session, list(_writes(log, draft)))


def _writes(log: Log, draft: Draft) -> Iterator[Write]:
    # first, so that of two writers one fails here before it has written anything else
    yield checkpoint.moving(log, draft.at, draft.reached())
    if draft.events:
        yield Write(log.events, "insert_many", (draft.events,))
        yield Write(log.rollups, "bulk_write", (rollups.event_counts(draft.events),), UNORDERED)
    moves = [(draft.before.get(name), head) for name, head in draft.after.items()]
    # Out and in again with one command each: MongoDB takes half as long again for as many replacements
    # (docs/decisions/0010).
    if moved := [before["_id"] for before, _ in moves if before is not None]:
        yield Write(log.aggregates, "delete_many", ({"_id": {"$in": moved}},))
    if moves:
        yield Write(log.aggregates, "insert_many", ([after for _, after in moves],))
    if populations := rollups.aggregate_counts(moves):
        yield Write(log.populations, "bulk_write", (populations,), UNORDERED)
    if draft.rejections:
        yield Write(log.rejected, "insert_many", (draft.rejections,))
