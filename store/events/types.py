"""Which types of event there are, by name: read from the rollups, no more of them than are asked for."""

from collections.abc import Iterable, Sequence
from typing import Final

from eventscope.store.filters.effort import Effort, TooMuch
from eventscope.store.filters.filter import TypePatterns, is_pattern, literal_prefix, type_tester
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors

MOST_LOOKED: Final = 4_000  # types that are looked at to tell which of them patterns stand for
MOST_PREFIXES: Final = 8  # each is a read of its own; for more of them all types are looked at
LAST: Final = "\U0010ffff"


async def types(log: Log, prefix: str = "", most: int | None = None) -> list[str] | None:
    """Every event type that starts with the prefix, in order of the alphabet; None when there are more than `most`."""
    found = await _types(log, prefix, None if most is None else most + 1)
    return None if most is not None and len(found) > most else found


async def first(log: Log, most: int) -> list[str]:
    """Some event types, `most` of them if there are so many."""
    return await _types(log, "", most)


async def _types(log: Log, prefix: str, most: int | None) -> list[str]:
    pipeline: list[Document] = [
        # not all rollups are of a type
        {"$match": {"_id.type": starting(prefix)}},
        {"$group": {"_id": "$_id.type"}},
        *([] if most is None else [{"$limit": most}]),
    ]
    with translate_errors(log.question_seconds):
        rows = await log.mongo.aggregate(log.rollups, pipeline)
    return sorted(row["_id"] for row in rows)


async def fitting(log: Log, wanted: Sequence[TypePatterns], effort: Effort) -> list[str] | None:
    """The types that the patterns in these stand for; None when too many would have to be looked at, or too often."""
    patterns = {pattern for one in wanted for pattern in one.patterns if is_pattern(pattern)}
    found: list[str] = []
    for prefix in _prefixes(map(literal_prefix, patterns)):
        some = await types(log, prefix, MOST_LOOKED - len(found))
        if some is None:
            return None
        found += some
    fits = type_tester(tuple(patterns))
    try:
        return [name for name in found if fits(name, effort.spend)]
    except TooMuch:
        return None


def starting(prefix: str) -> Document:
    """The condition on a text that it starts with the prefix: a range, for a pattern would read it as one."""
    stem = prefix.rstrip(LAST)
    return {"$gte": prefix} | ({"$lt": stem[:-1] + _next(stem[-1])} if stem else {})


def _prefixes(prefixes: Iterable[str]) -> list[str]:
    """Prefixes of which none begins with another, so that no type has two of them."""
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept if len(kept) <= MOST_PREFIXES else [""]


def _next(character: str) -> str:
    # texts are in the order of their code points, among which there is a gap
    return "\ue000" if character == "\ud7ff" else chr(ord(character) + 1)
