"""A batch in the making: which message gets which position and version, which is known or refused. No I/O."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias, assert_never, cast

import orjson
from bson import DBRef

from eventscope.store import heads
from eventscope.store.filters.mongo import bson_date
from eventscope.store.mongo.driver import Document
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.documents import EventDocument, Head, MessageSource, RejectionDocument, plain
from eventscope.store.values.fingerprint import fingerprint
from eventscope.store.values.headers import every
from eventscope.store.values.message import (
    HEADERS,
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
from eventscope.store.write.retention import Retention

# What the log itself adds to a message, and what its publisher, started again, would claim otherwise; the rest decides
# whether two messages of one id are the same.
ADDED: Final = frozenset({"_id", "version", "claimedVersion", "recordedAt", "source", "expireAt"})

# refusals that depend on what was in the log then: a later look might come to another end
OF_THEIR_TIME: Final = frozenset({"VERSION_CONFLICT", "ID_REUSED", "EXPIRED"})

Refusals: TypeAlias = dict[tuple[str, bytes], list[RejectionDocument]]  # by messageId and fingerprint


@dataclass(slots=True)
class Draft:
    """What a batch would change, made up in memory."""

    now: int
    retention: Retention
    at: LogCheckpoint
    batch: MessageBatch
    known: dict[str, EventDocument]
    before: dict[tuple[str, str], Head]
    refused: Refusals = field(default_factory=dict)
    events: list[EventDocument] = field(default_factory=list)
    rejections: list[RejectionDocument] = field(default_factory=list)
    after: dict[tuple[str, str], Head] = field(default_factory=dict)
    duplicates: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    today: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Make the clock's moment comparable with times of expiry, and keep to oneself what is refused here."""
        self.today = bson_date(self.now)
        self.refused = {name: list(rows) for name, rows in self.refused.items()}

    @property
    def head(self) -> int:
        """The last position given so far."""
        return self.at.head + len(self.events)

    def add(self, message: ParsedMessage) -> None:
        """Give the message its place: as events, as a rejection, or nowhere if it is known already."""
        first = self._first_refusal(message)
        # what is stored is so, whatever another message of its id was told
        if first is not None and not self._is_stored(message):
            self.duplicates += 1
            self.outcomes.append(Outcome(message.arrival, refusal=first))
            return
        match message:
            case AcceptedMessage():
                taken = self._take(message)
                done: tuple[EventDocument, ...] | RejectedMessage = (
                    taken if isinstance(taken, RejectedMessage) else (taken,)
                )
            case MessageGroup():
                done = self._take_all(message)
            case RejectedMessage():
                done = message
            case _:
                assert_never(message)
        if isinstance(done, RejectedMessage):
            self._reject(done, message.id)
            self.outcomes.append(Outcome(message.arrival, refusal=done))
        else:
            self.outcomes.append(Outcome(message.arrival, events=done, together=isinstance(message, MessageGroup)))

    @property
    def refuses_by_state(self) -> bool:
        """Whether it refuses what might be taken at another time."""
        return any(rejection["code"] in OF_THEIR_TIME for rejection in self.rejections)

    def reached(self) -> LogCheckpoint:
        """The checkpoint after the batch."""
        batch = self.batch
        return self.at.after(batch.place, batch.lost, events=len(self.events), rejections=len(self.rejections))

    def stored(self) -> Stored:
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

    def _first_refusal(self, message: ParsedMessage) -> RejectedMessage | None:
        """Why this very message was refused before: who sends it again gets the first outcome."""
        if not self.refused:
            return None
        arrival = message.arrival
        for row in self.refused.get((message.id, fingerprint(arrival)), ()):
            read_again = row["source"] == self._source(arrival.sequence) and row["recordedAt"] == arrival.recorded_at
            if read_again or (_is_final(row, message) and RETRY not in arrival.headers):
                index, actual = row.get("index"), row.get("actualVersion")
                blamed = message.messages[index] if isinstance(message, MessageGroup) and index is not None else message
                return RejectedMessage(arrival, row["code"], row["reason"], blamed.id, index, actual)
        return None

    def _is_stored(self, message: ParsedMessage) -> bool:
        match message:
            case AcceptedMessage():
                return self._stored(message) is not None
            case MessageGroup(messages=messages):
                return all(self._stored(one) is not None for one in messages)
            case RejectedMessage():
                return False

    def _stored(self, message: AcceptedMessage) -> EventDocument | None:
        """The event that the very same message has become."""
        known = self.known.get(message.id)
        return known if known is not None and _says_the_same(known, self._event(message), message) else None

    def _take(self, message: AcceptedMessage) -> EventDocument | RejectedMessage:
        event = self._event(message)
        known = self.known.get(event["messageId"])
        if known is not None:
            if not _says_the_same(known, event, message):
                reason = f"position {known['_id']} has this messageId and other content"
                return _refused(message, "ID_REUSED", reason)
            self.duplicates += 1
            return known
        if "expireAt" in event and event["expireAt"] <= self.today:
            days = self.retention.days_for(event["type"])
            return _refused(message, "EXPIRED", f"{event['type']} is kept for {days:g} days, and these have passed")
        key = heads.name(event)
        if key is not None:
            head = self.after.get(key) or self.before.get(key)
            version = 0 if head is None else head["version"]
            if message.expected_version not in (None, version):
                reason = f"{key[0]} {key[1]} was expected at version {message.expected_version} and is at {version}"
                return replace(_refused(message, "VERSION_CONFLICT", reason), actual_version=version)
            event["version"] = version + 1
            self.after[key] = heads.advance(head, event)
        if message.claimed_version not in (None, event.get("version")):
            event["claimedVersion"] = message.claimed_version
        self.events.append(event)
        self.known[event["messageId"]] = event
        return event

    def _take_all(self, together: MessageGroup) -> tuple[EventDocument, ...] | RejectedMessage:
        head, count, duplicates, after = self.head, len(self.events), self.duplicates, dict(self.after)
        taken: list[EventDocument] = []
        refusal: RejectedMessage | None = None
        for index, message in enumerate(together.messages):
            one = self._take(message)
            if isinstance(one, RejectedMessage):
                reason = f"event {index + 1} of {len(together.messages)}: {one.reason}"
                refusal = replace(one, arrival=together.arrival, reason=reason, index=index)
                break
            taken.append(one)
        known = sum(event["_id"] <= head for event in taken)  # and not just said twice in this message
        if refusal is None and 0 < known < len(taken):
            reason = f"of {len(taken)} events that came together {known} were stored before without the others"
            refusal = RejectedMessage(together.arrival, "ID_REUSED", reason, together.id)
        if refusal is None:
            return tuple(taken)
        for event in self.events[count:]:
            del self.known[event["messageId"]]
        del self.events[count:]
        self.duplicates, self.after = duplicates, after
        return refusal

    def _event(self, message: AcceptedMessage) -> EventDocument:
        arrival = message.arrival
        event: Document = {"_id": self.head + 1, **message.fields, "recordedAt": arrival.recorded_at}
        event["source"] = self._source(arrival.sequence)
        expiry = self.retention.expire_at(event["type"], arrival.recorded_at)
        if expiry is not None:
            event["expireAt"] = expiry
        return cast("EventDocument", event)

    def _reject(self, refused: RejectedMessage, id: str) -> None:
        arrival = refused.arrival
        cut = "" if len(arrival.raw) <= MOST_RAW else f"; only its first {MOST_RAW} bytes are kept here"
        rejection: RejectionDocument = {
            "_id": self.at.rejected_head + len(self.rejections) + 1,
            "messageId": id,
            "code": refused.code,
            "reason": refused.reason + cut,
            "subject": arrival.subject,
            "headers": every(arrival.headers),
            "raw": arrival.kept,
            "fingerprint": fingerprint(arrival),
            "recordedAt": arrival.recorded_at,
            "source": self._source(arrival.sequence),
        }
        expiry = self.retention.rejection_expires_at(self.now)
        if expiry is not None:
            rejection["expireAt"] = expiry
        if refused.index is not None:
            rejection["index"] = refused.index
        if refused.actual_version is not None:
            rejection["actualVersion"] = refused.actual_version
        self.rejections.append(rejection)
        self.refused.setdefault((id, rejection["fingerprint"]), []).append(rejection)

    def _source(self, sequence: int) -> MessageSource:
        place = self.batch.place
        return {"stream": place.stream, "created": place.created, "sequence": sequence}


def _refused(message: AcceptedMessage, code: str, reason: str) -> RejectedMessage:
    return RejectedMessage(message.arrival, code, reason, message.id)


def _is_final(row: RejectionDocument, message: ParsedMessage) -> bool:
    """Whether the message is still one that can be refused so: by a setting it may be read otherwise now."""
    match message:
        case RejectedMessage():
            return True
        case MessageGroup(messages=messages):
            expects = any(one.expected_version is not None for one in messages)
        case AcceptedMessage():
            expects = message.expected_version is not None
    return row["code"] in OF_THEIR_TIME and (expects or row["code"] != "VERSION_CONFLICT")


def _says_the_same(known: EventDocument, event: EventDocument, message: AcceptedMessage) -> bool:
    # JetStream's timestamp differs from one sending of a message to the next
    added = ADDED if message.has_timestamp else ADDED | {"timestamp"}
    # and so may headers, as the context of a trace, unless the message itself has them among its metadata
    metadata = event.get("metadata")
    own = isinstance(metadata, dict) and HEADERS in metadata and not message.keeps_headers
    return _content(known, added, own, message.claim) == _content(event, added, own, message.claim)


def _content(event: EventDocument, added: frozenset[str], with_headers: bool, claim: str | None) -> bytes:
    content = {name: value for name, value in event.items() if name not in added}
    if rest := _without(claim, content.pop("extensions", {})):
        content["extensions"] = rest
    if not with_headers and "metadata" in content:
        content["metadata"] = _without_headers(content["metadata"])
    if content.get("metadata") == {}:
        del content["metadata"]
    return orjson.dumps(content, default=plain, option=orjson.OPT_SORT_KEYS)


def _without_headers(metadata: object) -> object:
    # the driver reads {"$ref": …, "$id": …}, which anyone may send, as a reference
    known = plain(metadata) if isinstance(metadata, DBRef) else metadata
    return {name: value for name, value in known.items() if name != HEADERS} if isinstance(known, dict) else known


def _without(claim: str | None, extensions: object) -> Document:
    """The members of no field of ours, but for a claimed version that is no integer."""
    members = plain(extensions) if isinstance(extensions, DBRef) else extensions
    return {name: value for name, value in cast("Document", members).items() if name != claim}
