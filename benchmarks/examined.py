"""What MongoDB looked at to answer one question, as its own profiler wrote it down."""

import statistics
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pymongo.database import Database

from eventscope.store.mongo.driver import OPTIONS

Documents: TypeAlias = Database[dict[str, Any]]

TIMES: Final = 5  # the median is taken: what a server asks by itself now and then may fall into one of them
PROFILE: Final = "system.profile"
NOTHING, EVERYTHING = 0, 2  # levels of the profiler


@dataclass(frozen=True, slots=True)
class Examined:
    """Documents that were looked at, events and others, and how many commands it took."""

    events: int
    others: int
    commands: int


async def examined(database: Documents, ask: Callable[[], Awaitable[object]]) -> Examined:
    """What Eventscope has MongoDB look at to answer what is asked."""
    found = [await _once(database, ask) for _ in range(TIMES)]
    return Examined(*(int(statistics.median(column)) for column in zip(*found, strict=True)))


async def _once(database: Documents, ask: Callable[[], Awaitable[object]]) -> tuple[int, int, int]:
    database.drop_collection(PROFILE)
    database.command("profile", EVERYTHING)
    try:
        await ask()
    finally:
        database.command("profile", NOTHING)
    looked: Counter[str] = Counter()
    commands = 0
    for entry in database[PROFILE].find({"appName": OPTIONS["appname"]}):
        looked[entry["ns"].partition(".")[2]] += entry.get("docsExamined", 0)
        commands += 1
    database.drop_collection(PROFILE)
    return looked["events"], looked.total() - looked["events"], commands
