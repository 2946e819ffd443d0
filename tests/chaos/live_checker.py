"""The live checker: compares what each subscriber received, over all its connections, with the log, by I5.

What is expected is the log from the subscriber's first cursor on, filtered by a model of filters in plain Python. It
shares no code with live delivery and the store. No I/O.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from eventscope.store.values.documents import EventDocument
from tests.chaos.checker import Finding, Kind, summary
from tests.schema.support.event_model import means


@dataclass(frozen=True, slots=True)
class Got:
    """An event."""

    position: int
    id: str


@dataclass(frozen=True, slots=True)
class Told:
    """Word of the place in the log: a cursor that one may resume from."""

    signal: str
    position: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Word that what lies between has expired."""

    after: int
    through: int


@dataclass(frozen=True, slots=True)
class Odd:
    """What no subscriber should meet: an error that is not of an outage, or an end that clients take for the last."""

    text: str


Heard: TypeAlias = Got | Told | Gap | Odd


@dataclass(frozen=True, slots=True)
class Take:
    """All that one subscriber heard. `first` is the position that it began behind; None: where the log ended then."""

    name: str
    filter: Mapping[str, Any]
    first: int | None
    heard: Sequence[Heard]


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What the checker found; `events` counts what all subscribers together were given."""

    findings: tuple[Finding, ...]
    subscribers: int
    events: int
    signals: Mapping[str, int]

    @property
    def right(self) -> bool:
        """Whether all is as it should be."""
        return not self.findings

    def __str__(self) -> str:
        return summary(self.findings)


def check(log: Sequence[EventDocument], takes: Sequence[Take], expired: Collection[int] = ()) -> LiveReport:
    """Compare the two. `log` is all that was ever stored, in order, and `expired` positions that have expired since."""
    by_position = {event["_id"]: event for event in log}
    signals = [one.signal for take in takes for one in take.heard if isinstance(one, Told)]
    return LiveReport(
        findings=tuple(finding for take in takes for finding in _check(take, by_position, frozenset(expired))),
        subscribers=len(takes),
        events=sum(isinstance(one, Got) for take in takes for one in take.heard),
        signals={name: signals.count(name) for name in dict.fromkeys(signals)},
    )


def _check(take: Take, log: Mapping[int, EventDocument], expired: frozenset[int]) -> Iterator[Finding]:
    def finding(kind: Kind, text: str) -> Finding:
        return Finding(kind, "I5", f"{take.name} {text}")

    first = cursor = _first(take)
    received: set[int] = set()
    excused: set[int] = set()
    for one in take.heard:
        match one:
            case Got(position, id):
                event = log.get(position)
                if event is None or event["messageId"] != id:
                    yield finding(Kind.WRONG, f"was given {id} at position {position}, where the log has another")
                elif not means(take.filter, event):
                    yield finding(Kind.WRONG, f"was given position {position}, which its filter does not mean")
                elif position in received:
                    yield finding(Kind.TWICE, f"was given position {position} again")
                else:
                    if position <= cursor:
                        yield finding(Kind.ORDER, f"was given position {position} behind {cursor}")
                    received.add(position)
                    cursor = max(cursor, position)
            case Told(signal, position):
                if position < cursor:
                    yield finding(Kind.ORDER, f"was told of position {position} by {signal} behind {cursor}")
                cursor = max(cursor, position)
            case Gap(after, through):
                between = {position for position in expired if after < position <= through}
                if not between:
                    yield finding(Kind.WRONG, f"was told of a gap from {after} to {through}, where nothing expired")
                excused |= between
                cursor = max(cursor, through)
            case Odd(text):
                yield finding(Kind.WRONG, text)
            case _:
                assert_never(one)
    for position, event in log.items():
        if position > first and position not in received and position not in excused and means(take.filter, event):
            yield finding(Kind.LOST, f"was never given position {position}")
    if cursor < (end := max(log, default=0)):
        yield finding(Kind.LOST, f"heard nothing beyond {cursor}, and the log ends at {end}")


def _first(take: Take) -> int:
    """Where it began; who began with the next event knows it by what came first."""
    if take.first is not None:
        return take.first
    for one in take.heard:
        match one:
            case Got(position, _):
                return position - 1
            case Told(_, position) | Gap(position, _):
                return position
    return 0
