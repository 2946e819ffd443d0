"""Claimed versions of the newest events: for which aggregate types publishers count differently from the log."""

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
    """How many of the `newest` events claim a version other than their own, by aggregate type, the most frequent first.

    Events without an aggregate are left out: they have no version to differ from.
    """

    newest: int
    differing: Mapping[str, int]


async def claims(log: Log) -> Claims:
    """The claims at the last thousand positions."""
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
