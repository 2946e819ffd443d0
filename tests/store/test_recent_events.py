"""Recent events: the answers equal those of MongoDB, field by field, and memory never grows beyond its bounds."""

from typing import cast

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING, TypePatterns
from eventscope.store.recent_events import SEARCH_FACTOR, RecentEvents
from eventscope.store.values.documents import EventDocument, plain
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.seal import Seal
from tests.store.support.appender import NOON
from tests.store.support.random_log import RandomLog, State, filters, moments

HUGE = 2**40


def text(event: EventDocument) -> bytes:
    """The whole event as text, wherever it came from."""
    return orjson.dumps(event, default=plain, option=orjson.OPT_SORT_KEYS)


def events(first: int, last: int, type: str = "a.happened") -> list[EventDocument]:
    return [cast("EventDocument", {"_id": n, "type": type}) for n in range(first, last + 1)]


def taking(*positions: tuple[int, int], most: int = 100, most_bytes: int = HUGE) -> RecentEvents:
    """Recent events from the start of the log; each pair has the ends of a batch, of ten bytes per event."""
    recent = RecentEvents(most, most_bytes)
    recent.restart(0)
    for first, last in positions:
        recent.add(first - 1, events(first, last), last, 10 * (last - first + 1))
    return recent


def page(
    recent: RecentEvents, limit: int = 100, *, newest_first: bool = True, above: int | None = None
) -> list[int] | None:
    found = recent.page(EVERYTHING, limit=limit, above=above, below=None, newest_first=newest_first, now=NOON)
    return None if found is None else [event["_id"] for event in found]


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_answers_from_memory_equal_those_of_mongodb(corpus: RandomLog, data: st.DataObject) -> None:
    state: State = data.draw(st.sampled_from(["whole", "tidied"]), "state")
    log = corpus.at(data.draw(moments(corpus), "now"), state)
    head = data.draw(st.integers(0, len(corpus.events)), "head")
    start = data.draw(st.integers(0, head), "start")
    most = data.draw(st.integers(1, 120) | st.just(HUGE), "most")
    recent = RecentEvents(most, data.draw(st.integers(0, 50_000) | st.just(HUGE), "most bytes"))
    recent.restart(start)
    seal = Seal(b"", 1)
    while (at := recent.head or 0) < head:
        upto = data.draw(st.integers(at + 1, head), "batch")
        for raw in live_batch.encode(
            at, corpus.events[at:upto], data.draw(st.sampled_from([2_000, HUGE]), "message"), seal
        ):
            batch = live_batch.decode(raw)
            recent.add(batch.previous, batch.events, batch.head, batch.size)
    for _ in range(data.draw(st.integers(0, 4), "filled")):
        below = corpus.ask(pages.events(log, EVERYTHING, below=recent.floor + 1, newest_first=True, limit=20))
        recent.extend(recent.floor, below, sum(map(len, map(text, below))), whole=len(below) < 20)

    filter = data.draw(st.just(EVERYTHING) | filters(corpus), "filter")
    above, below_ = (data.draw(st.none() | st.integers(0, len(corpus.events) + 1), end) for end in ("above", "below"))
    limit, newest_first = data.draw(st.integers(1, 60), "limit"), data.draw(st.booleans(), "newest first")
    found = recent.page(filter, limit=limit, above=above, below=below_, newest_first=newest_first, now=corpus.clock.now)

    assert len(recent) <= most
    if found is not None:
        end = head + 1 if below_ is None else min(below_, head + 1)
        expected = corpus.ask(pages.events(log, filter, limit=limit, above=above, below=end, newest_first=newest_first))
        assert list(map(text, found)) == list(map(text, expected))


def test_pages_that_are_completely_in_memory_are_answered() -> None:
    recent = taking((1, 60), (61, 120))
    assert (len(recent), recent.floor, recent.head) == (100, 20, 120)
    assert page(recent, 100) == list(range(120, 20, -1))
    assert page(recent, 101) is None
    assert page(recent, 500, above=20) == list(range(120, 20, -1))
    assert page(recent, 500, above=20, newest_first=False) == list(range(21, 121))
    assert page(recent, 5, above=19, newest_first=False) is None
    assert page(recent, 5, newest_first=False) is None
    assert page(recent, 5, above=120, newest_first=False) == []


def test_every_page_is_answered_while_the_whole_log_is_in_memory() -> None:
    recent = taking((1, 3))
    assert page(recent) == [3, 2, 1]
    assert page(recent, newest_first=False) == [1, 2, 3]
    assert page(taking()) == []


def test_nothing_is_answered_while_the_end_of_the_log_is_unknown() -> None:
    recent = RecentEvents(10)
    assert page(recent, above=5) is None
    recent.add(7, events(8, 9), 9, 20)
    assert page(recent, 2) == [9, 8]
    assert page(recent, 3) is None


def test_after_a_hole_memory_starts_afresh() -> None:
    recent = taking((1, 10), (12, 14))
    assert (recent.floor, recent.head, len(recent)) == (11, 14, 3)


def test_events_in_memory_are_not_added_twice() -> None:
    recent = taking((1, 10))
    recent.add(4, events(5, 12), 12, 80)
    recent.add(3, events(4, 6), 6, 30)
    assert page(recent, newest_first=False) == list(range(1, 13))


def test_memory_is_limited_in_bytes_too() -> None:
    recent = taking(*((n, n) for n in range(1, 31)), most_bytes=105)
    assert page(recent, 10) == list(range(30, 20, -1))
    recent.add(30, events(31, 31), 31, 106)
    assert (len(recent), recent.floor, recent.head) == (0, 31, 31)


def test_memory_has_room_for_older_events_while_it_is_less_than_half_full_and_there_are_some() -> None:
    recent = RecentEvents(10)
    assert not recent.has_room_for_older
    recent.restart(20)
    assert recent.has_room_for_older
    recent.extend(20, events(16, 20)[::-1], 50, whole=False)
    assert (recent.has_room_for_older, recent.floor) == (False, 15)
    recent.restart(3)
    recent.extend(3, events(1, 3)[::-1], 30, whole=True)
    assert (recent.has_room_for_older, recent.floor) == (False, 0)


def test_events_that_were_read_for_another_floor_are_not_added() -> None:
    recent = taking((1, 10))
    recent.restart(20)
    recent.extend(10, events(1, 10)[::-1], 100, whole=True)
    assert (len(recent), recent.floor) == (0, 20)


def test_a_filter_that_rarely_matches_is_left_to_the_index() -> None:
    recent = taking((1, 80))
    recent.add(80, events(81, 81, "b.happened"), 81, 10)
    recent.add(81, events(82, 81 + SEARCH_FACTOR), 81 + SEARCH_FACTOR, 10 * SEARCH_FACTOR)
    assert recent.page(TypePatterns(("b.*",)), limit=1, above=None, below=None, newest_first=True, now=NOON) is None
    found = recent.page(TypePatterns(("b.*",)), limit=2, above=None, below=None, newest_first=True, now=NOON)
    assert found is None
    assert recent.page(TypePatterns(("b.*",)), limit=1, above=70, below=None, newest_first=False, now=NOON) is None
    assert recent.page(TypePatterns(("b.*",)), limit=1, above=80, below=83, newest_first=True, now=NOON) == [
        {"_id": 81, "type": "b.happened"}
    ]


def test_the_bytes_of_events_are_those_of_their_batches() -> None:
    recent = RecentEvents(100, HUGE)
    recent.restart(0)
    recent.add(0, events(1, 4), 4, 40)
    recent.add(4, events(5, 6) + events(9, 10), 10, 400)  # some positions are empty, as of events that expired
    held = recent.page(EVERYTHING, limit=100, above=None, below=None, newest_first=True, now=NOON)
    assert held is not None
    assert recent.size(held) == recent.size(held[::-1]) == 440
    assert recent.size(held[1:5]) == 310
    assert recent.size([held[0], held[3], held[7]]) == 210
    assert recent.size([]) == 0
