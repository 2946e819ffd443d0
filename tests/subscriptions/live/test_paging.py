"""How many events a page has: as many as fit into its size limit, as far as is known before it is read."""

from datetime import datetime
from typing import Any, cast

import pytest
from bson import ObjectId

from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.live.paging import FIRST, GROWTH, MOST, MOST_BYTES, Paging, size


def events(n: int, data: object) -> list[EventDocument]:
    return [cast("EventDocument", {"_id": position, "data": data}) for position in range(n)]


def test_pages_of_small_events_grow_up_to_the_maximum() -> None:
    paging, limits = Paging(), list[int]()
    for _ in range(5):
        limits.append(paging.limit)
        paging.learn(events(paging.limit, "x"))
    assert limits == [FIRST, FIRST * GROWTH, MOST, MOST, MOST]


@pytest.mark.parametrize("bytes", [10_000, 100_000, 300_000, 700_000, MOST_BYTES, 5 * MOST_BYTES])
def test_a_page_of_large_events_stays_within_its_bytes_but_has_at_least_one_event(bytes: int) -> None:
    paging = Paging()
    for _ in range(4):
        page = events(paging.limit, "x" * bytes)
        paging.learn(page)
    assert len(page) == 1 or sum(map(size, page)) <= MOST_BYTES


def test_after_large_events_pages_of_small_ones_grow_again() -> None:
    paging = Paging()
    paging.learn(events(FIRST, "x" * MOST_BYTES))
    assert paging.limit == 1
    paging.learn(events(1, "x"))
    assert paging.limit == GROWTH


def test_nothing_is_learnt_from_an_empty_page() -> None:
    paging = Paging()
    paging.learn([])
    assert paging.limit == FIRST


@pytest.mark.parametrize("value", [None, 2**63 - 1, float("nan"), ObjectId(), datetime(2026, 1, 1), {"a": [b"x"]}])
def test_every_event_of_the_log_has_a_size(value: Any) -> None:
    assert size(events(1, value)[0]) > 0
