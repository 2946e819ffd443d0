"""Reading events: pages by position, one by id, counts. Every read is bounded in time and leaves expired events out."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias, cast

from pymongo.errors import OperationFailure

from eventscope.errors import QuestionTimedOut, TooComplex
from eventscope.store.events import plan, scan
from eventscope.store.events.fetch import DocumentBatch, batch
from eventscope.store.events.scan import SHARE, Stretch
from eventscope.store.filters.filter import EVERYTHING, NOTHING, Any_, Filter
from eventscope.store.filters.mongo import NEVER, kept, query
from eventscope.store.log import NAMED, Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument

Fields: TypeAlias = tuple[str, ...] | None

LAST: Final = 2**63 - 1
ROOM: Final = 8 * 1024**2  # bytes of what was found going through the log
BAD_VALUE: Final = 2
TOO_LARGE: Final = "the events are larger than an answer may be; ask for fewer of them"


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of a page. If time or room was up before all was looked at, `stopped` is the last position that was.

    It was room if the page is `full`.
    """

    events: list[EventDocument]
    stopped: int | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class EventCount:
    """So many events; `stopped` if time was up before all were counted."""

    n: int
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class _Search:
    """A filter as it comes down to in the log, between two positions. What is not expired `now` is kept."""

    filter: Filter
    low: int | None
    high: int | None
    now: int

    def query(self, low: int | None, high: int | None) -> Document:
        """What of it lies between the positions."""
        whole = plan.within(self.filter, low, high)
        if isinstance(whole, Any_):
            return {"$or": [query(way, kept(self.now)) for way in whole.filters]} if whole.filters else NEVER
        return query(whole, kept(self.now))


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
    """At most `limit` events with positions strictly between the two, in or against the order of the log.

    Of each event its position and these fields are read, or all of it; together they are 16 MiB at most, or twice that
    where no index leads to them and the log is gone through, for a while. `stopped` tells how far that led. Raises
    QuestionTimedOut when not even a little was looked at, and Unavailable.
    """
    direction = -1 if newest_first else 1
    found: list[Document] = []
    held, full = 0, False

    async def look(low: int, high: int) -> bool:
        nonlocal held, full
        got = await batch(
            log.events,
            asked.query(low, high),
            _projection(fields),
            direction=direction,
            limit=limit - len(found),
            budget=log.budget,
        )
        found.extend(got.documents)
        held += got.size
        full = got.cut or (held > ROOM and len(found) < limit)
        return full or len(found) == limit

    with translate_errors(log.question_seconds):
        asked = await _asked(log, filter, above, below)
        if plan.served(asked.filter, log.indexed_paths):
            with suppress(QuestionTimedOut), translate_errors(log.question_seconds * SHARE):  # it may lead to too much
                got = await _rows(log, asked, direction, limit, fields)
                return _found(got.documents, None, full=got.cut)
        stopped = await scan.through(log, await _stretch(log, asked, newest_first=newest_first), look)
    return _found(found, stopped, full=full)


async def events(
    log: Log,
    filter: Filter,
    *,
    limit: int,
    above: int | None = None,
    below: int | None = None,
    newest_first: bool = False,
) -> list[EventDocument]:
    """The same for who must have the whole of it: QuestionTimedOut if time is up before, TooComplex if room is."""
    found = await page(log, filter, limit=limit, above=above, below=below, newest_first=newest_first)
    if found.full:
        raise TooComplex(TOO_LARGE)
    if found.stopped is not None:
        raise QuestionTimedOut(log.question_seconds)
    return found.events


async def event(log: Log, id: str, fields: Fields = None) -> EventDocument | None:
    """The event with that message id, with these fields or all of it."""
    with translate_errors(log.question_seconds):
        found = await log.events.find_one({"messageId": id, **kept(log.clock())}, _projection(fields))
    return cast("EventDocument | None", found)


async def counted(log: Log, filter: Filter, most: int | None = None) -> EventCount:
    """How many events there are, counting no further than `most`, and no longer than a page may take."""
    n = 0

    async def look(low: int, high: int) -> bool:
        nonlocal n
        n += await log.events.count_documents(asked.query(low, high), **_limit(most, n))
        return n == most

    with translate_errors(log.question_seconds):
        asked = await _asked(log, filter, None, None)
        if plan.served(asked.filter, log.indexed_paths):
            with suppress(QuestionTimedOut), translate_errors(log.question_seconds * SHARE):  # it may lead to too much
                asked_once = asked.query(asked.low, asked.high)
                return EventCount(await log.events.count_documents(asked_once, **_limit(most, 0)))
        stopped = await scan.through(log, await _stretch(log, asked, newest_first=False), look)
    return EventCount(n, stopped is not None)


async def count(log: Log, filter: Filter, most: int | None = None) -> int:
    """The same for who must have the whole of it: QuestionTimedOut if time is up before."""
    found = await counted(log, filter, most)
    if found.stopped:
        raise QuestionTimedOut(log.question_seconds)
    return found.n


async def first_position(log: Log) -> int | None:
    """The position of the oldest event that is kept."""
    found = await events(log, EVERYTHING, limit=1)
    return found[0]["_id"] if found else None


async def _asked(log: Log, filter: Filter, above: int | None, below: int | None) -> _Search:
    now = log.clock()
    if below is None and plan.branches(filter):
        # MongoDB reads the parts of such a question one after the other, each a little later than the one before.
        # Nothing is added to any part of what lies up to a head that was read first, so no page has a hole (I1).
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


async def _rows(log: Log, asked: _Search, direction: int, limit: int, fields: Fields) -> DocumentBatch:
    rows = partial(
        batch,
        log.events,
        asked.query(asked.low, asked.high),
        _projection(fields),
        direction=direction,
        limit=limit,
        budget=log.budget,
    )
    if (name := plan.hint(asked.filter)) is not None:
        try:
            return await rows(hint=NAMED[name])
        except OperationFailure as error:
            if error.code != BAD_VALUE:  # the ingester has yet to make that index
                raise
    return await rows()


def _found(documents: list[Document], stopped: int | None, *, full: bool) -> EventPage:
    return EventPage(cast("list[EventDocument]", documents), documents[-1]["_id"] if full else stopped, full)


async def _stretch(log: Log, asked: _Search, *, newest_first: bool) -> Stretch:
    """All positions at which the answer may have events."""
    first = await log.events.find({}, {"_id": 1}).sort("_id", 1).limit(1).to_list(None)
    head = await checkpoint.head(log)
    if not first:
        return Stretch(1, 0, newest_first)
    return Stretch(
        low=int(first[0]["_id"]) if asked.low is None else max(asked.low, first[0]["_id"]),
        high=head if asked.high is None else min(asked.high, head),
        newest_first=newest_first,
    )


def _projection(fields: Fields) -> dict[str, int] | None:
    return None if fields is None else {"_id": 1, **dict.fromkeys(fields, 1)}


def _limit(most: int | None, n: int) -> dict[str, Any]:
    return {} if most is None else {"limit": most - n}
