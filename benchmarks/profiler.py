"""How many documents MongoDB examined to answer one request, as its own profiler recorded it."""

import statistics
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pymongo.database import Database

from eventscope.store.mongo.driver import OPTIONS

Documents: TypeAlias = Database[dict[str, Any]]

TIMES: Final = 5  # the median counts: a server's own background reads may fall into one of them
PROFILE: Final = "system.profile"
NOTHING, EVERYTHING = 0, 2  # levels of the profiler


@dataclass(frozen=True, slots=True)
class Examined:
    """Documents that MongoDB examined, events and others, and the number of commands."""

    events: int
    others: int
    commands: int


async def examined(database: Documents, ask: Callable[[], Awaitable[object]]) -> Examined:
    """What Eventscope has MongoDB examine while `ask` runs; medians."""
    found = [await _once(database, ask) for _ in range(TIMES)]
    return Examined(*(int(statistics.median(column)) for column in zip(*found, strict=True)))


async def _once(database: Documents, ask: Callable[[], Awaitable[object]]) -> tuple[int, int, int]:
    database.drop_collection(PROFILE)
    database.command("profile", EVERYTHING)
    try:
        await ask()
    finally:
        database.command("profile", NOTHING)
    counts: Counter[str] = Counter()
    commands = 0
    for entry in database[PROFILE].find({"appName": OPTIONS["appname"]}):
        counts[entry["ns"].partition(".")[2]] += entry.get("docsExamined", 0)
        commands += 1
    database.drop_collection(PROFILE)
    return counts["events"], counts.total() - counts["events"], commands
