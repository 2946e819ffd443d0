"""Claims among the newest events: which aggregate types have publishers that count versions otherwise than the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eventscope.store.filters.mongo import unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.state import checkpoint

NEWEST: Final = 1000
DIFFERS: Final = {"$and": [{"$gt": ["$claimedVersion", None]}, {"$gt": ["$version", None]}]}


@dataclass(frozen=True, slots=True)
class Claims:
    """Of the `newest` events how many claim another version than they have, by aggregate type, the most first.

    What claims a version without an aggregate is not among them: no counter says so.
    """

    newest: int
    differing: Mapping[str, int]


async def claims(log: Log) -> Claims:
    """Look at the last thousand positions."""
    above = await checkpoint.head(log) - NEWEST
    pipeline = [
        {"$match": {"_id": {"$gt": above}, **unexpired(log.clock())}},
        {"$group": {"_id": {"type": "$aggregateType", "differs": DIFFERS}, "n": {"$sum": 1}}},
        {"$sort": {"n": -1, "_id": 1}},
    ]
    with translate_errors(log.question_seconds):
        groups = await log.mongo.aggregate(log.events, pipeline)
    differing = {group["_id"]["type"]: group["n"] for group in groups if group["_id"]["differs"]}
    return Claims(sum(group["n"] for group in groups), differing)
