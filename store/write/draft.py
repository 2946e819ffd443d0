"""A batch before it is written: which message becomes which event, is a duplicate, or is rejected. No I/O."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias, assert_never, cast

from eventscope.store import heads
from eventscope.store.filters.mongo import bson_date
from eventscope.store.mongo.driver import Document
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.documents import EventDocument, Head, MessageSource, RejectionDocument
from eventscope.store.values.fingerprint import fingerprint
from eventscope.store.values.headers import every
from eventscope.store.values.message import (
    MOST_RAW,
    RETRY,
    AcceptedMessage,
    MessageBatch,
    MessageGroup,
    Outcome,
    ParsedMessage,
    RejectedMessage,
    Stored,
)
from eventscope.store.write.content import is_same
from eventscope.store.write.retention import Retention

# rejections that depend on what was in the log: later, the same message might be accepted
BY_STATE: Final = frozenset({"VERSION_CONFLICT", "ID_REUSED", "EXPIRED"})

AHEAD: Final = 60_000_000
"""Microseconds by which JetStream's clock may be ahead of MongoDB's before MongoDB's decides."""

EarlierRejections: TypeAlias = dict[tuple[str, bytes], list[RejectionDocument]]  # by messageId and fingerprint


@dataclass(slots=True)
class Draft:
    """What a batch will change, decided in memory.

    `events_by_id` holds the stored events that have ids of the batch, and later those of the batch itself. `earlier`
    holds earlier rejections of the same messages. `before` and `after` are the heads of aggregates.
    """

    now: int
    retention: Retention
    at: LogCheckpoint
    batch: MessageBatch
    events_by_id: dict[str, EventDocument]
    before: dict[tuple[str, str], Head]
    earlier: EarlierRejections = field(default_factory=dict)
    events: list[EventDocument] = field(default_factory=list)
    rejections: list[RejectionDocument] = field(default_factory=list)
    after: dict[tuple[str, str], Head] = field(default_factory=dict)
    duplicates: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    today: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Convert the moment to a date, and copy the earlier rejections: this batch adds its own to them."""
        self.today = bson_date(self.now)
        self.earlier = {name: list(rows) for name, rows in self.earlier.items()}

    @property
    def head(self) -> int:
        """The last position assigned so far."""
        return self.at.head + len(self.events)

    @property
    def recorded_at(self) -> int:
        """The `recordedAt` of the last event of the log so far."""
        return self.events[-1]["recordedAt"] if self.events else self.at.recorded_at

    def add(self, message: ParsedMessage) -> None:
        """Decide the fate of the message: events, a rejection, or nothing if it is a duplicate."""
        first = self._earlier_rejection(message)
        # a stored message stays stored, even if another message of the same id was rejected
        if first is not None and not self._is_stored(message):
            self.duplicates += 1
            self.outcomes.append(Outcome(message.arrival, rejection=first))
            return
        match message:
            case AcceptedMessage():
                event = self._accept(message)
                fate: tuple[EventDocument, ...] | RejectedMessage = (
                    event if isinstance(event, RejectedMessage) else (event,)
                )
            case MessageGroup():
                fate = self._accept_group(message)
            case RejectedMessage():
                fate = message
            case _:
                assert_never(message)
        if isinstance(fate, RejectedMessage):
            self._reject(fate, message.id)
            self.outcomes.append(Outcome(message.arrival, rejection=fate))
        else:
            self.outcomes.append(Outcome(message.arrival, events=fate, together=isinstance(message, MessageGroup)))

    @property
    def rejects_by_state(self) -> bool:
        """Whether the draft rejects a message that might be accepted at another time."""
        return any(rejection["code"] in BY_STATE for rejection in self.rejections)

    def checkpoint_after(self) -> LogCheckpoint:
        """The checkpoint after the batch."""
        batch = self.batch
        return self.at.after(
            batch.stream_position,
            batch.lost,
            events=len(self.events),
            rejections=len(self.rejections),
            recorded_at=self.recorded_at,
        )

    def result(self) -> Stored:
        """What became of the batch, once it is written."""
        codes = Counter(rejection["code"] for rejection in self.rejections)
        return Stored(
            previous=self.at.head,
            events=tuple(self.events),
            rejected=len(self.rejections),
            duplicates=self.duplicates,
            codes=dict(codes),
            outcomes=tuple(self.outcomes),
        )

    def _earlier_rejection(self, message: ParsedMessage) -> RejectedMessage | None:
        """Why this very message was rejected before: a repeated message gets the first outcome again."""
        if not self.earlier:
            return None
        arrival = message.arrival
        for row in self.earlier.get((message.id, fingerprint(arrival)), ()):
            is_reread = row["source"] == self._source(arrival.sequence) and row["recordedAt"] == arrival.recorded_at
            if is_reread or (_is_final(row, message) and RETRY not in arrival.headers):
                index, actual = row.get("index"), row.get("actualVersion")
                culprit = (
                    message.messages[index] if isinstance(message, MessageGroup) and index is not None else message
                )
                return RejectedMessage(arrival, row["code"], row["reason"], culprit.id, index, actual)
        return None

    def _is_stored(self, message: ParsedMessage) -> bool:
        match message:
            case AcceptedMessage():
                return self._stored_event(message) is not None
            case MessageGroup(messages=messages):
                return all(self._stored_event(one) is not None for one in messages)
            case RejectedMessage():
                return False

    def _stored_event(self, message: AcceptedMessage) -> EventDocument | None:
        """The event that this very message became before, if any."""
        original = self.events_by_id.get(message.id)
        return original if original is not None and is_same(original, self._event(message), message) else None

    def _accept(self, message: AcceptedMessage) -> EventDocument | RejectedMessage:
        event = self._event(message)
        original = self.events_by_id.get(event["messageId"])
        if original is not None:
            if not is_same(original, event, message):
                reason = f"position {original['_id']} has this messageId with other content"
                return _rejection(message, "ID_REUSED", reason)
            self.duplicates += 1
            return original
        if "expireAt" in event and event["expireAt"] <= self.today:
            days = self.retention.days_for(event["type"])
            return _rejection(message, "EXPIRED", f"{event['type']} is kept for {days:g} days, and these have passed")
        key = heads.name(event)
        if key is not None:
            head = self.after.get(key) or self.before.get(key)
            version = 0 if head is None else head["version"]
            if message.expected_version not in (None, version):
                reason = f"{key[0]} {key[1]} was expected at version {message.expected_version} and is at {version}"
                return replace(_rejection(message, "VERSION_CONFLICT", reason), actual_version=version)
            event["version"] = version + 1
            self.after[key] = heads.advance(head, event)
        if message.claimed_version not in (None, event.get("version")):
            event["claimedVersion"] = message.claimed_version
        self.events.append(event)
        self.events_by_id[event["messageId"]] = event
        return event

    def _accept_group(self, group: MessageGroup) -> tuple[EventDocument, ...] | RejectedMessage:
        head, count, duplicates, after = self.head, len(self.events), self.duplicates, dict(self.after)
        accepted: list[EventDocument] = []
        rejection: RejectedMessage | None = None
        for index, message in enumerate(group.messages):
            outcome = self._accept(message)
            if isinstance(outcome, RejectedMessage):
                reason = f"event {index + 1} of {len(group.messages)}: {outcome.reason}"
                rejection = replace(outcome, arrival=group.arrival, reason=reason, index=index)
                break
            accepted.append(outcome)
        stored_count = sum(event["_id"] <= head for event in accepted)  # in the log, not repeated in this message
        if rejection is None and 0 < stored_count < len(accepted):
            reason = (
                f"of {len(accepted)} events that came together, {stored_count} were stored before without the others"
            )
            rejection = RejectedMessage(group.arrival, "ID_REUSED", reason, group.id)
        if rejection is None:
            return tuple(accepted)
        # undo what the accepted events of the group have changed
        for event in self.events[count:]:
            del self.events_by_id[event["messageId"]]
        del self.events[count:]
        self.duplicates, self.after = duplicates, after
        return rejection

    def _event(self, message: AcceptedMessage) -> EventDocument:
        arrival = message.arrival
        # A new leader of the stream may have a clock that is behind that of the last one, or one that is far ahead,
        # after which the time would stand still for as long.
        recorded_at = max(self.recorded_at, min(arrival.recorded_at, self.now + AHEAD))
        event: Document = {"_id": self.head + 1, **message.fields, "recordedAt": recorded_at}
        event["source"] = self._source(arrival.sequence)
        if recorded_at != arrival.recorded_at:
            event["source"]["recordedAt"] = arrival.recorded_at
        expiry = self.retention.expire_at(event["type"], recorded_at)
        if expiry is not None:
            event["expireAt"] = expiry
        return cast("EventDocument", event)

    def _reject(self, rejected: RejectedMessage, id: str) -> None:
        arrival = rejected.arrival
        note = "" if len(arrival.raw) <= MOST_RAW else f"; only its first {MOST_RAW} bytes are kept"
        rejection: RejectionDocument = {
            "_id": self.at.rejected_head + len(self.rejections) + 1,
            "messageId": id,
            "code": rejected.code,
            "reason": rejected.reason + note,
            "subject": arrival.subject,
            "headers": every(arrival.headers),
            "raw": arrival.kept_bytes,
            "fingerprint": fingerprint(arrival),
            "recordedAt": arrival.recorded_at,
            "source": self._source(arrival.sequence),
        }
        expiry = self.retention.rejection_expires_at(self.now)
        if expiry is not None:
            rejection["expireAt"] = expiry
        if rejected.index is not None:
            rejection["index"] = rejected.index
        if rejected.actual_version is not None:
            rejection["actualVersion"] = rejected.actual_version
        self.rejections.append(rejection)
        self.earlier.setdefault((id, rejection["fingerprint"]), []).append(rejection)

    def _source(self, sequence: int) -> MessageSource:
        position = self.batch.stream_position
        return {"stream": position.stream, "created": position.created, "sequence": sequence}


def _rejection(message: AcceptedMessage, code: str, reason: str) -> RejectedMessage:
    return RejectedMessage(message.arrival, code, reason, message.id)


def _is_final(row: RejectionDocument, message: ParsedMessage) -> bool:
    """Whether the earlier rejection still applies: with changed settings, the message may be parsed differently."""
    match message:
        case RejectedMessage():
            return True
        case MessageGroup(messages=messages):
            expects = any(one.expected_version is not None for one in messages)
        case AcceptedMessage():
            expects = message.expected_version is not None
    return row["code"] in BY_STATE and (expects or row["code"] != "VERSION_CONFLICT")
