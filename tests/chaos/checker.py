"""The checker: compares what was acknowledged to publishers with what is in the log, by the invariants I1 to I4.

It shares no code with the ingester and the store, and derives everything itself. No I/O.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from eventscope.subscriptions.publish.outcome import PublishRejection
from tests.chaos import recount
from tests.chaos.recount import Document, by_aggregate
from tests.chaos.sent_messages import Published


class Kind(Enum):
    """The kinds of findings, in the words of the summary."""

    LOST = "lost"
    TWICE = "twice"
    ORDER = "out of order"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of an invariant."""

    kind: Kind
    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.kind.value}: {self.text}"


@dataclass(frozen=True, slots=True)
class LogContents:
    """The documents of a log: events by position, rejected messages by number."""

    events: Sequence[Document]
    heads: Sequence[Document]
    rollups: Sequence[Document]
    populations: Sequence[Document]
    rejected: Sequence[Document]
    checkpoint: Document


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check; `lost_by_nats` counts messages that JetStream lost before they could be read."""

    findings: tuple[Finding, ...]
    messages: int
    acknowledged: int
    events: int
    rejected: int
    lost_by_nats: int

    @property
    def passed(self) -> bool:
        """Whether the checker found nothing."""
        return not self.findings

    def __str__(self) -> str:
        return summary(self.findings)


def summary(findings: Sequence[Finding]) -> str:
    """The number of findings of each kind, in one line."""
    found = Counter(finding.kind for finding in findings)
    wrong = f", wrong {found[Kind.WRONG]}" if found[Kind.WRONG] else ""
    return ", ".join(f"{kind.value} {found[kind]}" for kind in (Kind.LOST, Kind.TWICE, Kind.ORDER)) + wrong


def check(published: Sequence[Published], contents: LogContents) -> Report:
    """Compare what publishers know with what the log contains."""
    findings = [
        *_positions(published, contents),
        *_fates(published, contents),
        *_unpublished(published, contents),
        *_rejections(contents),
        *_answers(published, contents),
        *_versions(contents),
        *_claims(published, contents),
        *_own_order(published, contents),
        *_derived(contents),
    ]
    index = _Index(contents)
    return Report(
        findings=tuple(findings),
        messages=len(published),
        acknowledged=sum(one.certain + one.doubtful for one in published),
        events=len(contents.events),
        rejected=len(contents.rejected),
        lost_by_nats=sum(
            one.doubtful > 0 and not one.certain and not index.whole(one) and not index.refusals[one.raw]
            for one in published
        ),
    )


class _Index:
    """Finds messages in the log."""

    def __init__(self, contents: LogContents) -> None:
        self.by_id: dict[str, list[Document]] = defaultdict(list)
        for event in contents.events:
            self.by_id[event["messageId"]].append(event)
        self.refusals = Counter(bytes(row["raw"]) for row in contents.rejected)

    def stored(self, one: Published) -> list[list[Document]]:
        """For each event in the message, the events in the log with the same content."""
        return [
            [event for event in self.by_id.get(member.get("messageId", ""), ()) if event.get("data") == member["data"]]
            for member in one.events
            if "data" in member
        ]

    def whole(self, one: Published) -> bool:
        """Whether all of the message is stored."""
        found = self.stored(one)
        return bool(found) and all(found)


def _positions(published: Sequence[Published], contents: LogContents) -> Iterator[Finding]:
    """I1: positions are 1 to n, in the order in which JetStream took the messages.

    Messages that it lost are excepted: after a power loss it may restore messages that it had dropped before.
    """
    places = Counter(event["_id"] for event in contents.events)
    head = max([contents.checkpoint.get("head", 0), *places])
    for position in range(1, head + 1):
        if places[position] == 0:
            yield Finding(Kind.LOST, "I1", f"position {position} is empty")
        elif places[position] > 1:
            yield Finding(Kind.TWICE, "I1", f"position {position} is there {places[position]} times")
    doubtful = {member.get("messageId") for one in published if one.doubtful for member in one.events}
    for before, event in pairwise(event for event in contents.events if event["messageId"] not in doubtful):
        if event["_id"] < before["_id"] or event["recordedAt"] < before["recordedAt"]:
            yield Finding(Kind.ORDER, "I1", f"position {event['_id']} came before position {before['_id']}")
    if contents.checkpoint.get("head", 0) != len(contents.events):
        text = f"the checkpoint says {contents.checkpoint.get('head', 0)} events, and there are {len(contents.events)}"
        yield Finding(Kind.WRONG, "I4", text)


def _fates(published: Sequence[Published], contents: LogContents) -> Iterator[Finding]:
    """I2: what was acknowledged is stored completely or rejected, and nothing is stored more often than it arrived."""
    index = _Index(contents)
    for one in published:
        found, refusals = index.stored(one), index.refusals[one.raw]
        stored = bool(found) and all(found)
        if any(found) and not stored:
            yield Finding(Kind.LOST, "I2", f"{one.name} is stored in part")
        if any(len(events) > 1 for events in found):
            yield Finding(Kind.TWICE, "I2", f"{one.name} is stored more than once")
        if one.certain and not stored and not refusals:
            yield Finding(Kind.LOST, "I2", f"{one.name} was acknowledged, and is neither stored nor rejected")
        if stored + refusals > one.sendings:
            text = f"{one.name} was sent {one.sendings} times, is stored and is rejected {refusals} times"
            yield Finding(Kind.TWICE, "I2", text if stored else text.replace("is stored and ", ""))
        if stored and len(found) > 1:
            places = [events[0]["_id"] for events in found]
            if places != list(range(places[0], places[0] + len(places))):
                yield Finding(Kind.ORDER, "I2", f"{one.name} was one message and has the positions {places}")


def _unpublished(published: Sequence[Published], contents: LogContents) -> Iterator[Finding]:
    """I2: everything in the log was published."""
    known = {(member.get("messageId"), repr(member.get("data"))) for one in published for member in one.events}
    for event in contents.events:
        if (event["messageId"], repr(event.get("data"))) not in known:
            yield Finding(Kind.WRONG, "I2", f"nobody published what is at position {event['_id']}")
    by_raw = {one.raw: one for one in published}
    for row in contents.rejected:
        sent = by_raw.get(bytes(row["raw"]))
        if sent is None:
            yield Finding(Kind.WRONG, "I2", f"nobody published what was rejected as number {row['_id']}")
        elif row["code"] not in sent.refusable:
            yield Finding(Kind.WRONG, "I2", f"{sent.name} is rejected with {row['code']}: {row['reason']}")


def _rejections(contents: LogContents) -> Iterator[Finding]:
    """I2: the message at one sequence of the stream is rejected at most once."""
    numbers = [row["_id"] for row in contents.rejected]
    for number in sorted(set(range(1, contents.checkpoint.get("rejectedHead", 0) + 1)) - set(numbers)):
        yield Finding(Kind.LOST, "I2", f"rejection {number} is missing")
    for place, times in Counter(map(_place, contents.rejected)).items():
        if times > 1:
            yield Finding(Kind.TWICE, "I2", f"the message at {place} is rejected {times} times")
    stored = {_place(event) for event in contents.events}
    for row in contents.rejected:
        if _place(row) in stored:
            yield Finding(Kind.TWICE, "I2", f"what was rejected as number {row['_id']} is stored as well")


def _answers(published: Sequence[Published], contents: LogContents) -> Iterator[Finding]:
    """I2, I3: the ingester's replies agree with the log."""
    by_position = {event["_id"]: event for event in contents.events}
    codes = {(bytes(row["raw"]), row["code"]) for row in contents.rejected}
    for one in published:
        for answer in one.answers:
            if isinstance(answer, PublishRejection):
                if (one.raw, answer.code) not in codes:
                    yield Finding(
                        Kind.LOST, "I2", f"{one.name} was answered {answer.code}, and is not rejected with that code"
                    )
                continue
            for reply in answer:
                event = by_position.get(reply.position)
                if event is None or event["messageId"] != reply.id or event.get("version") != reply.version:
                    text = f"{one.name} was answered position {reply.position} and version {reply.version}"
                    yield Finding(Kind.WRONG, "I2", f"{text}, and it is not there")


def _versions(contents: LogContents) -> Iterator[Finding]:
    """I3: versions of an aggregate are 1, 2, 3 … in the order of positions."""
    for key, events in by_aggregate(contents.events).items():
        found = [event.get("version") for event in events]
        if found != list(range(1, len(found) + 1)):
            at, version = next((at, v) for at, v in enumerate(found, start=1) if v != at)
            swapped = Counter(found) == Counter(range(1, len(found) + 1))
            text = f"{' '.join(key)} has version {version} where {at} should be"
            yield Finding(Kind.ORDER if swapped else Kind.WRONG, "I3", text)


def _claims(published: Sequence[Published], contents: LogContents) -> Iterator[Finding]:
    """I3: a publisher's claim is stored if the log assigned another version, and only then."""
    sent = {(member.get("messageId"), repr(member.get("data"))): member for one in published for member in one.events}
    for event in contents.events:
        member = sent.get((event["messageId"], repr(event.get("data"))), {})
        claim = None if member.get("version") == event.get("version") else member.get("version")
        if event.get("claimedVersion") != claim:
            text = (
                f"position {event['_id']} has the claim {event.get('claimedVersion')}, and its publisher's is {claim}"
            )
            yield Finding(Kind.WRONG, "I3", text)


def _own_order(published: Sequence[Published], contents: LogContents) -> Iterator[Finding]:
    """I3: within an aggregate, one publisher's events keep their order, and accepted expectations were true."""
    origin: dict[tuple[str, str], Published] = {}
    for one in published:
        for member in one.events:
            origin[str(member.get("messageId")), repr(member.get("data"))] = one
    for key, events in by_aggregate(contents.events).items():
        last: dict[str, int] = {}
        for event in events:
            source = origin.get((event["messageId"], repr(event.get("data"))))
            if source is None:
                continue
            # in an array, the expectation is about the first event's aggregate, before the whole array
            first = source.events[0]["messageId"] == event["messageId"]
            if first and source.expected is not None and event["version"] != source.expected + 1:
                text = f"{source.name} expected {' '.join(key)} at {source.expected} and has version {event['version']}"
                yield Finding(Kind.WRONG, "I3", text)
            if source.doubtful:  # what JetStream lost may be sent again later
                continue
            if source.number < last.get(source.sender, -1):
                yield Finding(Kind.ORDER, "I3", f"{' '.join(key)} has {source.name} after {last[source.sender]}")
            last[source.sender] = source.number


def _derived(contents: LogContents) -> Iterator[Finding]:
    """I4: heads, rollups and populations agree with a recount of the events."""
    for name, key, found, counted in recount.differences(
        contents.events, contents.heads, contents.rollups, contents.populations
    ):
        yield Finding(Kind.WRONG, "I4", f"the {name} of {key} is {found}, and a recount gives {counted}")


def _place(document: Document) -> tuple[str, str, int, int]:
    source = document["source"]
    return source["stream"], source["created"], source["sequence"], document["recordedAt"]
