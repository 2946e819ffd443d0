"""Reading events: pages by position, one by id, counts. Every read is limited in time and omits expired events."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias, cast

from pymongo.errors import OperationFailure

from eventscope.errors import QuestionTimedOut, TooComplex
from eventscope.store.events import plan, scan
from eventscope.store.events.fetch import FetchedDocuments, fetch
from eventscope.store.events.scan import Stretch
from eventscope.store.filters.filter import EVERYTHING, NOTHING, Any_, Between, Filter, conditions
from eventscope.store.filters.mongo import NEVER, query, unexpired
from eventscope.store.log import NAME_INDEXES, Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument

Fields: TypeAlias = tuple[str, ...] | None

FIRST: Final = 1
LAST: Final = 2**63 - 1
ROOM: Final = 8 * 1024**2  # bytes of events that one scan of the log may collect
BAD_VALUE: Final = 2
TOO_LARGE: Final = "the events are larger than an answer may be; ask for fewer events"


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of a page. `stopped_at` is the last position that was searched, if the search ended early.

    If `full`, it ended early because the page was full; otherwise because time was up.
    """

    events: list[EventDocument]
    stopped_at: int | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class EventCount:
    """A number of events; `is_partial` if time was up before all were counted."""

    n: int
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class _Search:
    """A concrete filter (see `plan`) between two positions, for the events that are unexpired `now`."""

    filter: Filter
    low: int | None
    high: int | None
    now: int

    def query(self, low: int | None, high: int | None) -> Document:
        """MongoDB's query for the part between these positions."""
        filter = plan.within(self.filter, low, high)
        if isinstance(filter, Any_):
            return {"$or": [query(way, unexpired(self.now)) for way in filter.filters]} if filter.filters else NEVER
        return query(filter, unexpired(self.now))


async def page(
    log: Log,
    filter: Filter,
    *,
    limit: int,
    above: int | None = None,
    below: int | None = None,
    newest_first: bool = False,
    fields: Fields = None,
) -> EventPage:
    """At most `limit` events with positions strictly between `above` and `below`, in or against the order of the log.

    Of each event, only the position and `fields` are read, or all fields. The events of a page take at most 16 MiB;
    twice that where no index leads to them, and the log is scanned for a limited time. `stopped_at` is how far the scan
    came. Raises QuestionTimedOut when not even a small part could be searched, and Unavailable.
    """
    direction = -1 if newest_first else 1
    documents: list[Document] = []
    size, full = 0, False

    async def read_window(low: int, high: int) -> bool:
        nonlocal size, full
        part = await fetch(
            log.events,
            search.query(low, high),
            _projection(fields),
            direction=direction,
            limit=limit - len(documents),
            budget=log.budget,
        )
        documents.extend(part.documents)
        size += part.size
        full = part.is_full or (size > ROOM and len(documents) < limit)
        return full or len(documents) == limit

    with translate_errors(log.question_seconds):
        search = await _search(log, filter, above, below)
        if plan.is_indexed(search.filter, log.indexed_paths):
            # there may be too many
            with suppress(QuestionTimedOut), translate_errors(log.question_seconds * log.search.index_share):
                part = await _rows(log, search, direction, limit, fields)
                return _page(part.documents, None, full=part.is_full)
        stopped_at = await scan.through(log, await _stretch(log, search, newest_first=newest_first), read_window)
    return _page(documents, stopped_at, full=full)


async def events(
    log: Log,
    filter: Filter,
    *,
    limit: int,
    above: int | None = None,
    below: int | None = None,
    newest_first: bool = False,
) -> list[EventDocument]:
    """The same, but complete: QuestionTimedOut or TooComplex if the page ended early."""
    result = await page(log, filter, limit=limit, above=above, below=below, newest_first=newest_first)
    if result.full:
        raise TooComplex(TOO_LARGE)
    if result.stopped_at is not None:
        raise QuestionTimedOut(log.question_seconds)
    return result.events


async def event(log: Log, id: str, fields: Fields = None) -> EventDocument | None:
    """The event with that message id, with these fields or all."""
    with translate_errors(log.question_seconds):
        document = await log.events.find_one({"messageId": id, **unexpired(log.clock())}, _projection(fields))
    return cast("EventDocument | None", document)


async def count_in_time(log: Log, filter: Filter, most: int | None = None) -> EventCount:
    """How many events match, counted up to `most`, for no longer than a page may take."""
    n = 0

    async def count_window(low: int, high: int) -> bool:
        nonlocal n
        n += await log.events.count_documents(search.query(low, high), **_limit(most, n))
        return n == most

    with translate_errors(log.question_seconds):
        search = await _search(log, filter, None, None)
        if plan.is_indexed(search.filter, log.indexed_paths):
            # there may be too many
            with suppress(QuestionTimedOut), translate_errors(log.question_seconds * log.search.index_share):
                # all events are counted by their positions: no other index has them all
                low = _from_first(search.low) if _has_positions_only(search.filter) else search.low
                query = search.query(low, search.high)
                return EventCount(await log.events.count_documents(query, **_limit(most, 0)))
        stopped_at = await scan.through(log, await _stretch(log, search, newest_first=False), count_window)
    return EventCount(n, stopped_at is not None)


async def count(log: Log, filter: Filter, most: int | None = None) -> int:
    """The same, but complete: QuestionTimedOut if time is up first."""
    result = await count_in_time(log, filter, most)
    if result.is_partial:
        raise QuestionTimedOut(log.question_seconds)
    return result.n


async def first_position(log: Log) -> int | None:
    """The position of the oldest unexpired event."""
    oldest = await events(log, EVERYTHING, limit=1)
    return oldest[0]["_id"] if oldest else None


async def _search(log: Log, filter: Filter, above: int | None, below: int | None) -> _Search:
    now = log.clock()
    if below is None and plan.branches(filter):
        # MongoDB reads the parts of such a query one after the other. A batch that commits between two parts would be
        # missing from the first and present in the second: a hole in the page. No event is ever added up to a head
        # that was read before, so a page that ends there has no hole (I1).
        below = await checkpoint.head(log) + 1
    if above is not None and above >= LAST:
        return _Search(NOTHING, None, None, now)
    concrete = await plan.concrete(log, filter)
    low, high = plan.bounds(concrete)
    return _Search(
        concrete,
        low if above is None else max(above + 1, above + 1 if low is None else low),
        high if below is None else min(below - 1, below - 1 if high is None else high),
        now,
    )


async def _rows(log: Log, search: _Search, direction: int, limit: int, fields: Fields) -> FetchedDocuments:
    rows = partial(
        fetch,
        log.events,
        search.query(_from_first(search.low), search.high),
        _projection(fields),
        direction=direction,
        limit=limit,
        budget=log.budget,
    )
    if (name := plan.hint(search.filter)) is not None:
        try:
            return await rows(hint=NAME_INDEXES[name])
        except OperationFailure as error:
            if error.code != BAD_VALUE:  # the ingester has not created that index yet
                raise
    return await rows()


def _page(documents: list[Document], stopped: int | None, *, full: bool) -> EventPage:
    return EventPage(cast("list[EventDocument]", documents), documents[-1]["_id"] if full else stopped, full)


async def _stretch(log: Log, search: _Search, *, newest_first: bool) -> Stretch:
    """All positions at which matching events may lie."""
    oldest = await fetch_all(log.events.find({"_id": {"$gt": 0}}, {"_id": 1}).sort("_id", 1).limit(1))
    head = await checkpoint.head(log)
    if not oldest:
        return Stretch(1, 0, newest_first)
    return Stretch(
        low=int(oldest[0]["_id"]) if search.low is None else max(search.low, oldest[0]["_id"]),
        high=head if search.high is None else min(search.high, head),
        newest_first=newest_first,
    )


def _from_first(low: int | None) -> int:
    """The lower end of a range of positions; documents below the first one are not events of the log."""
    return FIRST if low is None else max(low, FIRST)


def _has_positions_only(filter: Filter) -> bool:
    return all(isinstance(part, Between) and part.measure == "position" for part in conditions(filter))


def _projection(fields: Fields) -> dict[str, int] | None:
    return None if fields is None else {"_id": 1, **dict.fromkeys(fields, 1)}


def _limit(most: int | None, n: int) -> dict[str, Any]:
    return {} if most is None else {"limit": most - n}
