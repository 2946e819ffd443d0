"""The live checker notices what must not be: the test of the tests that rely on it."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from eventscope.store.values.documents import EventDocument
from tests.chaos.checker import Kind
from tests.chaos.live_checker import Gap, Got, Heard, Odd, Take, Told, check

Spoil = Callable[[list[Heard]], object]


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
# from position 2 on: 3 and 5, a new connection, 7, one that fell behind and reads on, 9 and 11, and the end
RIGHT: Final[tuple[Heard, ...]] = (
    *(Got(3, "m3"), Told("CaughtUp", 4), Got(5, "m5")),
    *(Got(7, "m7"), Told("CaughtUp", 7), Told("FellBehind", 7)),
    *(Got(9, "m9"), Told("Checkpoint", 10), Got(11, "m11"), Told("Checkpoint", 12)),
)


def _found(heard: list[Heard], first: int | None = 2, filter: Any = ODD, expired: tuple[int, ...] = ()) -> set[Kind]:
    return {finding.kind for finding in check(LOG, [Take("ada", filter, first, heard)], expired).findings}


def test_a_feed_that_is_as_it_should_be_passes() -> None:
    report = check(LOG, [Take("ada", ODD, 2, RIGHT), Take("bob", {}, 0, [Got(n, f"m{n}") for n in range(1, 13)])])
    assert (report.right, str(report)) == (True, "lost 0, twice 0, out of order 0")
    assert (report.subscribers, report.events) == (2, 17)
    assert report.signals == {"CaughtUp": 2, "FellBehind": 1, "Checkpoint": 2}


def test_who_began_with_the_next_event_is_owed_all_since_the_first_word() -> None:
    assert _found([Told("CaughtUp", 8), *RIGHT[6:]], first=None) == set()
    assert _found([*RIGHT[6:]], first=None) == set()
    assert _found([Told("CaughtUp", 6), *RIGHT[6:]], first=None) == {Kind.LOST}


def _swap(heard: list[Heard]) -> None:
    heard[2], heard[3] = heard[3], heard[2]


def _rename(heard: list[Heard]) -> None:
    heard[2] = Got(5, "m7")


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        pytest.param(lambda heard: heard.pop(2), {Kind.LOST}, id="an event is missing"),
        pytest.param(lambda heard: heard.pop(0), {Kind.LOST}, id="the first event is missing"),
        pytest.param(lambda heard: heard.pop(8), {Kind.LOST}, id="the last event is missing"),
        pytest.param(lambda heard: heard.insert(3, heard[2]), {Kind.TWICE}, id="an event is doubled"),
        pytest.param(lambda heard: heard.insert(8, heard[0]), {Kind.TWICE}, id="an event comes again much later"),
        pytest.param(_swap, {Kind.ORDER}, id="two events are swapped"),
        pytest.param(
            lambda heard: heard.insert(4, Told("Checkpoint", 9)), {Kind.ORDER}, id="a cursor passes what follows"
        ),
        pytest.param(
            lambda heard: heard.insert(4, Told("FellBehind", 5)), {Kind.ORDER}, id="a cursor goes back to what came"
        ),
        pytest.param(lambda heard: heard.insert(6, Got(8, "m8")), {Kind.WRONG}, id="an event that was not asked for"),
        pytest.param(lambda heard: heard.insert(0, Got(1, "m1")), {Kind.ORDER}, id="an event of before the start"),
        pytest.param(lambda heard: heard.insert(9, Got(13, "m13")), {Kind.WRONG}, id="an event that the log has not"),
        pytest.param(_rename, {Kind.WRONG, Kind.LOST}, id="an event under another's name"),
        pytest.param(lambda heard: heard.pop(), {Kind.LOST}, id="a stop before the end of the log"),
        pytest.param(lambda heard: heard.clear(), {Kind.LOST}, id="nothing comes"),
        pytest.param(lambda heard: heard.insert(3, Gap(5, 6)), {Kind.WRONG}, id="a gap where nothing expired"),
        pytest.param(lambda heard: heard.append(Odd("closed with 1011")), {Kind.WRONG}, id="an end for good"),
    ],
)
def test_what_is_not_right_is_found(spoil: Spoil, kinds: set[Kind]) -> None:
    heard = list(RIGHT)
    spoil(heard)
    assert _found(heard) == kinds


def test_what_has_expired_may_be_left_out_where_that_is_said() -> None:
    expired = (1, 2, 3, 4, 5)
    assert _found([Gap(2, 5), *RIGHT[3:]], expired=expired) == set()
    assert _found([*RIGHT[3:]], expired=expired) == {Kind.LOST}
    assert _found([Gap(2, 4), *RIGHT[3:]], expired=expired) == {Kind.LOST}
    assert _found([Gap(2, 8), *RIGHT[6:]], expired=expired) == {Kind.LOST}
    assert _found(list(RIGHT), expired=expired) == set(), "some heard it while it was there"
