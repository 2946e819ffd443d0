"""The documents that MongoDB examines for a page, for every shape of a filter: at most 3 for each event returned.

They are the shapes of the tests (`tests/store/support/filter_shapes.py`), read by the store and explained by MongoDB.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final

from pymongo import MongoClient
from rich.progress import track

from benchmarks.read_samples import INDEXED, Document, samples
from benchmarks.server_process import DRIVERS
from benchmarks.sheet import Sheet
from eventscope.store.log import prepare
from eventscope.store.values import moment
from tests.store.support.command_listener import Commands, log_with_listener
from tests.store.support.filter_shapes import MOST, Kind, Samples, Shape, faults, places, shapes
from tests.store.support.query_plans import PAGE, Explainer

BARS: Final[Mapping[Kind, str]] = {
    "in order": f"≤ {MOST}",
    "cut": f"≤ {MOST}, plus the minutes",
    "sorted": "all matches",
    "free": "no index",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a shape, read from one place: the events that it has, the documents examined, and the reads."""

    shape: str
    kind: Kind
    place: str
    returned: int
    examined: int
    reads: int
    faults: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """The number of documents examined per event returned."""
        return self.examined / max(self.returned, 1)


def explained(runner: asyncio.Runner, mongo: str, database: str) -> list[Page]:
    """The pages of every shape from every place."""
    with MongoClient[Document](mongo) as client:
        known = samples(client[database])
    ear = Commands()
    stack = AsyncExitStack()
    log = runner.run(
        stack.enter_async_context(log_with_listener(mongo, database, DRIVERS[0], moment.now, ear, INDEXED))
    )
    try:
        runner.run(prepare(log))
        looking = Explainer(runner, log, ear)
        return [
            page
            for name, shape in track(shapes(known).items(), "shapes")
            for page in _pages(looking, name, shape, known)
        ]
    finally:
        runner.run(prepare(replace(log, indexed_paths=())))
        runner.run(stack.aclose())


def _pages(looking: Explainer, name: str, shape: Shape, known: Samples) -> list[Page]:
    views = {place: looking.page(shape.filter, **where) for place, where in places(known).items()}
    all_faults = faults(shape.kind, views, known)
    return [
        Page(name, shape.kind, place, one.returned, one.examined, len(one.plans), tuple(all_faults.get(place, ())))
        for place, one in views.items()
    ]


def show(pages: list[Page], sheet: Sheet) -> None:
    """Add a row for each shape, with the place that has the most documents examined per event returned."""
    for name in dict.fromkeys(page.shape for page in pages):
        worst = max((page for page in pages if page.shape == name), key=lambda page: page.ratio)
        reads = f", {worst.reads} reads" if worst.reads > 1 else ""
        figure = f"{worst.examined:,} for {worst.returned} ({worst.place}{reads})"
        sheet.add(name, figure, f"{worst.ratio:,.1f}", BARS[worst.kind])
        sheet.notes += [
            f"MISSED: {name}, {page.place}: {'; '.join(page.faults)}"
            for page in pages
            if page.shape == name and page.faults
        ]
    sheet.notes += [
        f"Pages of up to {PAGE}, from the newest, from the oldest, and in both directions from a cursor in the middle;"
        " of these four the one with the most documents examined per event returned (an empty page counts as one).",
        f"“≤ {MOST}”: an index gives the page in the order of the log, in one read that sorts nothing. “All matches”:"
        " an index finds the matches, which are few, and MongoDB sorts them; it examines no other events.",
        f"“≤ {MOST}, plus the minutes”: a time range that begins or ends within a minute also costs all events of that"
        " minute, because the log knows the positions of minutes, not of moments.",
        "“No index”: no index helps, so the log is scanned in windows of positions for a quarter of"
        " `EVENTSCOPE_QUESTION_SECONDS`, and the page reports how far.",
        f"Indexed paths: {', '.join(INDEXED)}.",
    ]
