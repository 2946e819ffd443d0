"""Appending: one batch of messages, one transaction, dense positions and versions. The only writer of the log."""

import asyncio
from dataclasses import replace
from typing import Any, Final, cast

from pymongo import InsertOne, ReplaceOne

from eventscope.store import checkpoint, heads, rejected, rollups
from eventscope.store.checkpoint import Checkpoint
from eventscope.store.documents import Event, Head
from eventscope.store.draft import Draft
from eventscope.store.driver import Document, Session, translated
from eventscope.store.log import Log
from eventscope.store.memory import Memory, Name
from eventscope.store.message import Batch, Stored
from eventscope.store.retention import Retention

# a MongoDB that hangs is taken to be away after this long
WRITE_SECONDS: Final = 15.0


async def append(
    log: Log,
    retention: Retention,
    at: Checkpoint,
    batch: Batch,
    session: Session | None = None,
    memory: Memory | None = None,
) -> tuple[Stored, Checkpoint]:
    """Store the batch and move the checkpoint from `at`, all or nothing.

    A message whose id is known is dropped if it says the same, and rejected with ID_REUSED if not (I2). LeaseLost when
    the checkpoint is no longer at `at`; Unavailable when MongoDB does not answer: then nothing is known, and the
    checkpoint must be read anew. The session is the one that the lease was acquired with; None takes a new one.
    `memory` is of what the same writer wrote since then.
    """
    memory = Memory() if memory is None else memory
    with translated(WRITE_SECONDS):
        known, before, refused = await asyncio.gather(
            _known(log, batch), _heads(log, batch, memory), _refused(log, at, batch)
        )
        draft = Draft(log.clock(), retention, at, batch.place.stream, batch.place.created, known, before, refused)
        for message in batch.messages:
            draft.add(message)
        reached = replace(
            at, head=draft.head, rejected_head=at.rejected_head + len(draft.rejections), place=batch.place
        )
        if session is not None:
            await _write(log, session, draft, at, reached)
        else:
            async with log.mongo.session() as session:
                await _write(log, session, draft, at, reached)
    memory.keep(draft.after)
    return draft.stored(), reached


async def _known(log: Log, batch: Batch) -> dict[str, Event]:
    ids = [message.fields["messageId"] for message in batch.accepted]
    found = await log.events.find({"messageId": {"$in": ids}}, batch_size=len(ids)).to_list(None) if ids else []
    return {event["messageId"]: cast("Event", event) for event in found}


async def _refused(log: Log, at: Checkpoint, batch: Batch) -> frozenset[tuple[int, int]]:
    # only a stream that is read again from its start can bring a message that was rejected at this very place
    if at.source_resets == 0 or not batch.messages:
        return frozenset()
    times = [message.arrival.recorded_at for message in batch.messages]
    return await rejected.places(log, batch.place.stream, batch.place.created, min(times), max(times))


async def _heads(log: Log, batch: Batch, memory: Memory) -> dict[Name, Head]:
    keys: dict[Name, Any] = {}
    for message in batch.accepted:
        if key := heads.key(cast("Event", message.fields)):
            keys[key["type"], key["id"]] = key
    known = memory.known(keys)
    asked = [key for name, key in keys.items() if name not in known]
    found = await log.aggregates.find({"_id": {"$in": asked}}, batch_size=len(asked)).to_list(None) if asked else []
    return known | {(head["_id"]["type"], head["_id"]["id"]): cast("Head", head) for head in found}


async def _write(log: Log, session: Session, draft: Draft, at: Checkpoint, reached: Checkpoint) -> None:
    # new heads first: two commands then, and ordered, for after an error a second one would only say "aborted"
    moves = sorted(((draft.before.get(key), head) for key, head in draft.after.items()), key=lambda m: m[0] is not None)
    async with log.mongo.transaction(session):
        # first, so that of two writers one fails here before it has written anything else
        await checkpoint.move(log, session, at, reached)
        if draft.events:
            await log.events.insert_many(cast("list[Document]", draft.events), session=session)
            await log.rollups.bulk_write(rollups.event_counts(draft.events), ordered=False, session=session)
        if moves:
            await log.aggregates.bulk_write([_head_write(*move) for move in moves], session=session)
        if populations := rollups.aggregate_counts(moves):
            await log.populations.bulk_write(populations, ordered=False, session=session)
        if draft.rejections:
            await log.rejected.insert_many(cast("list[Document]", draft.rejections), session=session)


def _head_write(before: Head | None, after: Head) -> InsertOne[Document] | ReplaceOne[Document]:
    document = cast("Document", after)
    return InsertOne(document) if before is None else ReplaceOne({"_id": document["_id"]}, document)
