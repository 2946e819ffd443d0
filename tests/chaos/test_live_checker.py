"""The live checker notices violations, so that the tests that rely on it can be trusted."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from eventscope.store.values.documents import EventDocument
from tests.chaos.checker import Kind
from tests.chaos.live_checker import Anomaly, Delivery, Entry, Gap, Signal, Transcript, check

Spoil = Callable[[list[Entry]], object]


def _event(position: int) -> EventDocument:
    return {
        "_id": position,
        "messageId": f"m{position}",
        "type": "user.created" if position % 2 else "user.deleted",
        "timestamp": position,
        "recordedAt": position,
        "data": {"n": position},
        "source": {"stream": "S", "created": "", "sequence": position},
    }


LOG: Final = [_event(position) for position in range(1, 13)]
ODD: Final = {"eventTypes": ["*.created"]}  # and so the odd positions
# after position 2: 3 and 5, a new connection, 7, falling behind, 9 and 11, and the end
RIGHT: Final[tuple[Entry, ...]] = (
    *(Delivery(3, "m3"), Signal("CaughtUp", 4), Delivery(5, "m5")),
    *(Delivery(7, "m7"), Signal("CaughtUp", 7), Signal("FellBehind", 7)),
    *(Delivery(9, "m9"), Signal("Checkpoint", 10), Delivery(11, "m11"), Signal("Checkpoint", 12)),
)


def _found(entries: list[Entry], first: int | None = 2, filter: Any = ODD, expired: tuple[int, ...] = ()) -> set[Kind]:
    return {finding.kind for finding in check(LOG, [Transcript("ada", filter, first, entries)], expired).findings}


def test_a_correct_feed_passes() -> None:
    report = check(
        LOG, [Transcript("ada", ODD, 2, RIGHT), Transcript("bob", {}, 0, [Delivery(n, f"m{n}") for n in range(1, 13)])]
    )
    assert (report.passed, str(report)) == (True, "lost 0, twice 0, out of order 0")
    assert (report.subscribers, report.events) == (2, 17)
    assert report.signals == {"CaughtUp": 2, "FellBehind": 1, "Checkpoint": 2}


def test_a_subscriber_that_starts_at_the_end_is_owed_everything_since_its_first_entry() -> None:
    assert _found([Signal("CaughtUp", 8), *RIGHT[6:]], first=None) == set()
    assert _found([*RIGHT[6:]], first=None) == set()
    assert _found([Signal("CaughtUp", 6), *RIGHT[6:]], first=None) == {Kind.LOST}


def _swap(entries: list[Entry]) -> None:
    entries[2], entries[3] = entries[3], entries[2]


def _rename(entries: list[Entry]) -> None:
    entries[2] = Delivery(5, "m7")


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        pytest.param(lambda entries: entries.pop(2), {Kind.LOST}, id="an event is missing"),
        pytest.param(lambda entries: entries.pop(0), {Kind.LOST}, id="the first event is missing"),
        pytest.param(lambda entries: entries.pop(8), {Kind.LOST}, id="the last event is missing"),
        pytest.param(lambda entries: entries.insert(3, entries[2]), {Kind.TWICE}, id="an event is doubled"),
        pytest.param(lambda entries: entries.insert(8, entries[0]), {Kind.TWICE}, id="an event comes again much later"),
        pytest.param(_swap, {Kind.ORDER}, id="two events are swapped"),
        pytest.param(
            lambda entries: entries.insert(4, Signal("Checkpoint", 9)), {Kind.ORDER}, id="a cursor passes what follows"
        ),
        pytest.param(
            lambda entries: entries.insert(4, Signal("FellBehind", 5)),
            {Kind.ORDER},
            id="a cursor goes back",
        ),
        pytest.param(
            lambda entries: entries.insert(6, Delivery(8, "m8")), {Kind.WRONG}, id="an event that the filter excludes"
        ),
        pytest.param(
            lambda entries: entries.insert(0, Delivery(1, "m1")), {Kind.ORDER}, id="an event before the start"
        ),
        pytest.param(
            lambda entries: entries.insert(9, Delivery(13, "m13")), {Kind.WRONG}, id="an event that the log has not"
        ),
        pytest.param(_rename, {Kind.WRONG, Kind.LOST}, id="an event under another's name"),
        pytest.param(lambda entries: entries.pop(), {Kind.LOST}, id="a stop before the end of the log"),
        pytest.param(lambda entries: entries.clear(), {Kind.LOST}, id="nothing is received"),
        pytest.param(lambda entries: entries.insert(3, Gap(5, 6)), {Kind.WRONG}, id="a gap where nothing expired"),
        pytest.param(lambda entries: entries.append(Anomaly("closed with 1011")), {Kind.WRONG}, id="an end for good"),
    ],
)
def test_every_violation_is_found(spoil: Spoil, kinds: set[Kind]) -> None:
    entries = list(RIGHT)
    spoil(entries)
    assert _found(entries) == kinds


def test_expired_events_may_be_missing_if_a_gap_reports_them() -> None:
    expired = (1, 2, 3, 4, 5)
    assert _found([Gap(2, 5), *RIGHT[3:]], expired=expired) == set()
    assert _found([*RIGHT[3:]], expired=expired) == {Kind.LOST}
    assert _found([Gap(2, 4), *RIGHT[3:]], expired=expired) == {Kind.LOST}
    assert _found([Gap(2, 8), *RIGHT[6:]], expired=expired) == {Kind.LOST}
    assert _found(list(RIGHT), expired=expired) == set(), "some received the events before they expired"
