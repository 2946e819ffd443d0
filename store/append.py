"""Appending: one batch of messages, one transaction, dense positions and versions. The only writer of the log."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import orjson
from pymongo import InsertOne, ReplaceOne

from eventscope.store import checkpoint, heads, rollups
from eventscope.store.checkpoint import Checkpoint
from eventscope.store.documents import Event, Head, Rejection, Source, plain
from eventscope.store.driver import Document, Session, translated
from eventscope.store.log import Log
from eventscope.store.message import Accepted, Batch, Refused, Stored
from eventscope.store.query import bson_date
from eventscope.store.retention import Retention

# what the log itself adds to a message; the rest decides whether two messages of one id are the same
ADDED: Final = frozenset({"_id", "version", "recordedAt", "source", "expireAt"})


# a MongoDB that hangs is taken to be away after this long
WRITE_SECONDS: Final = 15.0


async def append(
    log: Log, retention: Retention, at: Checkpoint, batch: Batch, session: Session | None = None
) -> tuple[Stored, Checkpoint]:
    """Store the batch and move the checkpoint from `at`, all or nothing.

    A message whose id is known is dropped if it says the same, and rejected with ID_REUSED if not (I2). LeaseLost when
    the checkpoint is no longer at `at`; Unavailable when MongoDB does not answer: then nothing is known, and the
    checkpoint must be read anew. The session is the one that the lease was acquired with; None takes a new one.
    """
    with translated(WRITE_SECONDS):
        known, before = await asyncio.gather(_known(log, batch), _heads(log, batch))
        draft = Draft(log.clock(), retention, at, batch.place.stream, batch.place.created, known, before)
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
    return draft.stored(), reached


@dataclass(slots=True)
class Draft:
    """What a batch would change, made up in memory."""

    now: int
    retention: Retention
    at: Checkpoint
    stream: str
    created: str
    known: dict[str, Event]
    before: dict[tuple[str, str], Head]
    events: list[Event] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    after: dict[tuple[str, str], Head] = field(default_factory=dict)
    duplicates: int = 0

    @property
    def head(self) -> int:
        """The last position given so far."""
        return self.at.head + len(self.events)

    def add(self, message: Accepted | Refused) -> None:
        """Give the message its place: as an event, as a rejection, or nowhere if it is known already."""
        refusal = self._take(message) if isinstance(message, Accepted) else message
        if refusal is not None:
            self._reject(refusal)

    def stored(self) -> Stored:
        """The outcome, once it is written."""
        codes = Counter(rejection["code"] for rejection in self.rejections)
        return Stored(self.at.head, tuple(self.events), len(self.rejections), self.duplicates, dict(codes))

    def _take(self, message: Accepted) -> Refused | None:
        event = self._event(message)
        known = self.known.get(event["messageId"])
        if known is not None:
            if _says_the_same(known, event, message.has_timestamp):
                self.duplicates += 1
                return None
            return Refused(
                message.arrival, "ID_REUSED", f"position {known['_id']} has this messageId and other content"
            )
        if "expireAt" in event and event["expireAt"] <= bson_date(self.now):
            days = self.retention.days_for(event["type"])
            return Refused(
                message.arrival, "EXPIRED", f"{event['type']} is kept for {days:g} days, and these have passed"
            )
        aggregate = heads.key(event)
        if aggregate is not None:
            key = (aggregate["type"], aggregate["id"])
            head = self.after.get(key) or self.before.get(key)
            version = 0 if head is None else head["version"]
            if message.expected_version not in (None, version):
                return Refused(
                    message.arrival,
                    "VERSION_CONFLICT",
                    f"{key[0]} {key[1]} was expected at version {message.expected_version} and is at {version}",
                )
            event["version"] = version + 1
            self.after[key] = heads.advance(head, event)
        self.events.append(event)
        self.known[event["messageId"]] = event
        return None

    def _event(self, message: Accepted) -> Event:
        arrival = message.arrival
        event: Document = {"_id": self.head + 1, **message.fields, "recordedAt": arrival.recorded_at}
        event["source"] = self._source(arrival.sequence)
        expiry = self.retention.expire_at(event["type"], arrival.recorded_at)
        if expiry is not None:
            event["expireAt"] = expiry
        return cast("Event", event)

    def _reject(self, refused: Refused) -> None:
        arrival = refused.arrival
        self.rejections.append(
            {
                "_id": self.at.rejected_head + len(self.rejections) + 1,
                "code": refused.code,
                "reason": refused.reason,
                "subject": arrival.subject,
                "headers": dict(arrival.headers),
                "raw": arrival.raw,
                "recordedAt": arrival.recorded_at,
                "source": self._source(arrival.sequence),
            }
        )

    def _source(self, sequence: int) -> Source:
        return {"stream": self.stream, "created": self.created, "sequence": sequence}


async def _known(log: Log, batch: Batch) -> dict[str, Event]:
    ids = [message.fields["messageId"] for message in batch.messages if isinstance(message, Accepted)]
    found = await log.events.find({"messageId": {"$in": ids}}).to_list(None) if ids else []
    return {event["messageId"]: cast("Event", event) for event in found}


async def _heads(log: Log, batch: Batch) -> dict[tuple[str, str], Head]:
    keys: dict[tuple[str, str], Any] = {}
    for message in batch.messages:
        if isinstance(message, Accepted) and (key := heads.key(cast("Event", message.fields))):
            keys[key["type"], key["id"]] = key
    found = await log.aggregates.find({"_id": {"$in": list(keys.values())}}).to_list(None) if keys else []
    return {(head["_id"]["type"], head["_id"]["id"]): cast("Head", head) for head in found}


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


def _says_the_same(known: Event, event: Event, has_timestamp: bool) -> bool:
    # JetStream's timestamp differs from one sending of a message to the next
    added = ADDED if has_timestamp else ADDED | {"timestamp"}
    return _content(known, added) == _content(event, added)


def _content(event: Event, added: frozenset[str]) -> bytes:
    return orjson.dumps({k: v for k, v in event.items() if k not in added}, default=plain, option=orjson.OPT_SORT_KEYS)
