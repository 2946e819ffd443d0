"""The live checker: compares what each subscriber received, over all its connections, with the log, by I5.

It expects the log from the subscriber's first cursor on, filtered by a model of filters in plain Python. It shares no
code with live delivery and the store. No I/O.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from eventscope.store.values.documents import EventDocument
from tests.chaos.checker import Finding, Kind, summary
from tests.schema.support.event_model import means


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of an event."""

    position: int
    id: str


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal with a cursor to resume from."""

    signal: str
    position: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A RetentionGap: the events between its cursors have expired."""

    after: int
    through: int


@dataclass(frozen=True, slots=True)
class Anomaly:
    """What no subscriber should see: an error without an outage, or an end after which clients stay away."""

    text: str


Entry: TypeAlias = Delivery | Signal | Gap | Anomaly


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that one subscriber received. It started after position `first`; None for the end of the log at that time."""

    name: str
    filter: Mapping[str, Any]
    first: int | None
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class LiveReport:
    """The result of a check; `events` counts the deliveries to all subscribers."""

    findings: tuple[Finding, ...]
    subscribers: int
    events: int
    signals: Mapping[str, int]

    @property
    def passed(self) -> bool:
        """Whether the checker found nothing."""
        return not self.findings

    def __str__(self) -> str:
        return summary(self.findings)


def check(log: Sequence[EventDocument], transcripts: Sequence[Transcript], expired: Collection[int] = ()) -> LiveReport:
    """Compare the transcripts with `log`, all events ever stored, in order; `expired` are positions since expired."""
    by_position = {event["_id"]: event for event in log}
    signals = [one.signal for transcript in transcripts for one in transcript.entries if isinstance(one, Signal)]
    return LiveReport(
        findings=tuple(
            finding for transcript in transcripts for finding in _check(transcript, by_position, frozenset(expired))
        ),
        subscribers=len(transcripts),
        events=sum(isinstance(one, Delivery) for transcript in transcripts for one in transcript.entries),
        signals={name: signals.count(name) for name in dict.fromkeys(signals)},
    )


def _check(transcript: Transcript, log: Mapping[int, EventDocument], expired: frozenset[int]) -> Iterator[Finding]:
    def finding(kind: Kind, text: str) -> Finding:
        return Finding(kind, "I5", f"{transcript.name} {text}")

    first = cursor = _first(transcript)
    received: set[int] = set()
    excused: set[int] = set()
    for one in transcript.entries:
        match one:
            case Delivery(position, id):
                event = log.get(position)
                if event is None or event["messageId"] != id:
                    yield finding(Kind.WRONG, f"received {id} at position {position}, where the log has another event")
                elif not means(transcript.filter, event):
                    yield finding(Kind.WRONG, f"received position {position}, which its filter does not match")
                elif position in received:
                    yield finding(Kind.TWICE, f"received position {position} again")
                else:
                    if position <= cursor:
                        yield finding(Kind.ORDER, f"received position {position} after {cursor}")
                    received.add(position)
                    cursor = max(cursor, position)
            case Signal(signal, position):
                if position < cursor:
                    yield finding(Kind.ORDER, f"received {signal} at position {position} after {cursor}")
                cursor = max(cursor, position)
            case Gap(after, through):
                between = {position for position in expired if after < position <= through}
                if not between:
                    yield finding(Kind.WRONG, f"received a gap from {after} to {through}, where nothing expired")
                excused |= between
                cursor = max(cursor, through)
            case Anomaly(text):
                yield finding(Kind.WRONG, text)
            case _:
                assert_never(one)
    for position, event in log.items():
        if (
            position > first
            and position not in received
            and position not in excused
            and means(transcript.filter, event)
        ):
            yield finding(Kind.LOST, f"never received position {position}")
    if cursor < (end := max(log, default=0)):
        yield finding(Kind.LOST, f"received nothing after {cursor}, and the log ends at {end}")


def _first(transcript: Transcript) -> int:
    """The position after which it started; without `first`, the first entry shows it."""
    if transcript.first is not None:
        return transcript.first
    for one in transcript.entries:
        match one:
            case Delivery(position, _):
                return position - 1
            case Signal(_, position) | Gap(position, _):
                return position
    return 0
