"""The names of event types, read from the rollups, up to a limit."""

from collections.abc import Iterable, Sequence
from typing import Final

from eventscope.store.filters.filter import TypePatterns, is_pattern, literal_prefix, type_tester
from eventscope.store.filters.step_limit import StepLimit, TooManySteps
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors

LAST: Final = "\U0010ffff"


async def types(log: Log, prefix: str = "", most: int | None = None) -> list[str] | None:
    """Every event type that starts with the prefix, sorted; None when there are more than `most`."""
    names = await _types(log, prefix, None if most is None else most + 1)
    return None if most is not None and len(names) > most else names


async def first(log: Log, most: int) -> list[str]:
    """At most `most` event types, whichever MongoDB returns first."""
    return await _types(log, "", most)


async def _types(log: Log, prefix: str, most: int | None) -> list[str]:
    pipeline: list[Document] = [
        # skips the rollups that have no type
        {"$match": {"_id.type": starting(prefix)}},
        {"$group": {"_id": "$_id.type"}},
        *([] if most is None else [{"$limit": most}]),
    ]
    with translate_errors(log.question_seconds):
        rows = await log.mongo.aggregate(log.rollups, pipeline)
    return sorted(row["_id"] for row in rows)


async def matching(log: Log, conditions: Sequence[TypePatterns], steps: StepLimit) -> list[str] | None:
    """The types that match a pattern of the conditions; None when that takes too many types or steps."""
    patterns = {pattern for one in conditions for pattern in one.patterns if is_pattern(pattern)}
    candidates: list[str] = []
    for prefix in _prefixes(map(literal_prefix, patterns), log.search.most_prefixes):
        names = await types(log, prefix, log.search.most_types - len(candidates))
        if names is None:
            return None
        candidates += names
    fits = type_tester(tuple(patterns))
    try:
        return [name for name in candidates if fits(name, steps.spend)]
    except TooManySteps:
        return None


def starting(prefix: str) -> Document:
    """Matches texts that start with the prefix: as a range, since a pattern would need escapes."""
    stem = prefix.rstrip(LAST)
    return {"$gte": prefix} | ({"$lt": stem[:-1] + _next(stem[-1])} if stem else {})


def _prefixes(prefixes: Iterable[str], most: int) -> list[str]:
    """The prefixes without those that start with another one, so that no type is read twice; "" for over `most`."""
    shortest: list[str] = []
    for prefix in sorted(prefixes):
        if not shortest or not prefix.startswith(shortest[-1]):
            shortest.append(prefix)
    return shortest if len(shortest) <= most else [""]


def _next(character: str) -> str:
    # texts are ordered by code points, which have a gap at the surrogates
    return "\ue000" if character == "\ud7ff" else chr(ord(character) + 1)
