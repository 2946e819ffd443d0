"""Pages that end when time is up: what was found so far, and where to continue without loss or repetition."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from eventscope.errors import QuestionTimedOut
from eventscope.resolvers import events
from eventscope.resolvers.page import Page, PageCoverage, request
from eventscope.store.events import pages as read
from eventscope.store.filters.filter import EVERYTHING, All, Among, Any_, Between, Filter, Holds, Not, TypePatterns
from eventscope.store.filters.paths import Compares, Equals, Path
from eventscope.store.log import Log
from eventscope.store.search_limits import SearchLimits
from eventscope.store.values.documents import EventDocument
from tests.support.sample_log import fill

EVENTS = 60
THIRD = Holds(Path("data", ("third",)), (Equals((True,)),))
FILTERS: dict[str, Filter] = {
    "a path": THIRD,
    "a path that leads nowhere": Holds(Path("data", ("nowhere",)), (Equals((1,)),)),
    "a path to everything": Holds(Path("data", ("n",)), (Compares("gte", 0),)),
    "not a user": Not(Among("userId", ("u1",))),
    "a user or a path": Any_((Among("userId", ("u1",)), THIRD)),
    "a path within positions": All((THIRD, Between("position", 7, 44))),
    "a path and types": All((Any_((THIRD,)), Not(TypePatterns(("a.*",))))),
}


@pytest.fixture
def log(log: Log) -> Log:
    """Time is up after the first window, and a window has seven positions."""
    return replace(log, search=SearchLimits(window=7, patience=0.0))


@pytest.fixture
async def filled(log: Log) -> list[EventDocument]:
    messages = [
        {"type": f"{'ab'[n % 2]}.b", "messageId": f"m{n}", "userId": f"u{n % 4}", "data": {"n": n, "third": n % 3 == 0}}
        for n in range(EVENTS)
    ]
    return await fill(log, [orjson.dumps(message) for message in messages], {"*": 0})


async def all_of(log: Log, filter: Filter) -> list[str]:
    return [event["messageId"] for event in await read.events(log, filter, limit=1000)]


@pytest.fixture(params=FILTERS)
def filter(request: pytest.FixtureRequest) -> Filter:
    return FILTERS[request.param]


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
@pytest.mark.parametrize("backward", [False, True], ids=["forwards", "backwards"])
async def test_partial_pages_add_up_to_the_whole_answer(
    log: Log,
    filled: list[EventDocument],
    filter: Filter,
    size: int,
    newest_first: bool,
    backward: bool,
) -> None:
    wanted = await all_of(replace(log, search=SearchLimits(window=7, patience=10.0)), filter)
    found: list[str] = []
    place: str | None = None
    pages = 0
    while True:
        asked = request(None, None, size, place) if backward else request(size, place)
        page = await events.events(log, filter, asked, newest_first=newest_first)
        ids = [node["messageId"] for node in page.nodes]
        found = [*ids, *found] if backward else [*found, *ids]
        pages += 1
        info = page.page_info
        more, place = (info.has_previous_page, info.start_cursor) if backward else (info.has_next_page, info.end_cursor)
        if not page.coverage.complete:
            assert more
        if not more:
            break
    assert found == (wanted[::-1] if newest_first else wanted)
    assert pages >= len(wanted) // size


async def test_a_partial_replay_stays_pinned_to_its_head(log: Log, filled: list[EventDocument]) -> None:
    found: list[str] = []
    place: str | None = None
    while True:
        page = await events.replay(log, THIRD, request(2, place), None)
        found += [node["messageId"] for node in page.nodes]
        place = page.page_info.end_cursor
        if not page.page_info.has_next_page:
            break
        await fill(log, [orjson.dumps({"type": "a.b", "data": {"third": True}})], {"*": 0})
    assert found == [f"m{n}" for n in range(0, EVENTS, 3)]


async def test_coverage_says_how_far_the_log_was_searched(log: Log, filled: list[EventDocument]) -> None:
    async def page(**more: Any) -> Page[EventDocument]:
        asked = request(more.pop("first", None), more.pop("after", None), more.pop("last", None))
        return await events.events(log, FILTERS["a path that leads nowhere"], asked, **more)

    assert (await page(newest_first=False)).coverage == PageCoverage(complete=False, scanned_to=7)
    assert (await page(newest_first=True)).coverage == PageCoverage(complete=False, scanned_to=54)
    assert (await page(newest_first=True, last=5)).coverage == PageCoverage(complete=False, scanned_to=7)
    after = await page(newest_first=False, after="e35")  # 53
    assert (after.coverage, after.page_info.end_cursor) == (PageCoverage(complete=True, scanned_to=None), None)
    whole = await events.events(log, EVERYTHING, request(5, None), newest_first=False)
    assert whole.coverage == PageCoverage(complete=True, scanned_to=None)


async def test_a_page_that_is_full_is_complete_however_short_the_time(log: Log, filled: list[EventDocument]) -> None:
    page = await events.events(log, FILTERS["a path to everything"], request(5, None), newest_first=True)
    assert page.coverage.complete
    assert page.page_info.has_next_page


async def test_a_count_that_ran_out_of_time_is_a_minimum(log: Log, filled: list[EventDocument]) -> None:
    count = await events.count(log, THIRD)
    assert (count.at_least, count.exact) == (3, None)


async def test_a_caller_that_needs_the_whole_gets_an_error_instead_of_a_part(
    log: Log, filled: list[EventDocument]
) -> None:
    with pytest.raises(QuestionTimedOut):
        await read.events(log, THIRD, limit=1000)
    with pytest.raises(QuestionTimedOut):
        await read.count(log, THIRD)


async def test_an_empty_log_is_searched_at_once(log: Log) -> None:
    page = await events.events(log, THIRD, request(5, None), newest_first=True)
    assert (page.nodes, page.coverage.complete, page.page_info.has_next_page) == ([], True, False)
    assert (await events.count(log, THIRD)).exact == 0


@pytest.mark.parametrize(
    "filter",
    [
        EVERYTHING,
        Among("userId", ("u1",)),
        TypePatterns(("a.*",)),
        Any_((Among("userId", ("u1",)), TypePatterns(("b.b",)))),
    ],
    ids=str,
)
async def test_if_an_index_leads_to_too_many_events_the_log_is_scanned_too(
    log: Log, filled: list[EventDocument], filter: Filter
) -> None:
    wanted = await all_of(log, filter)
    log = replace(log, search=replace(log.search, index_share=1e-9))
    page = await events.events(log, filter, request(50, None), newest_first=False)
    assert page.coverage == PageCoverage(complete=False, scanned_to=7)
    assert [node["messageId"] for node in page.nodes] == [id for id in wanted if int(id[1:]) < 7]
    assert (await read.count_in_time(log, filter)).is_partial
