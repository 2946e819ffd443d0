"""What is known of expired events, and the housekeeping that keeps this knowledge when their rollups go."""

from dataclasses import dataclass

from pymongo import UpdateOne

from eventscope.store import checkpoint
from eventscope.store.driver import translated
from eventscope.store.filter import Filter, Types, conditions, matcher
from eventscope.store.log import Log
from eventscope.store.query import bson_date


@dataclass(frozen=True, slots=True)
class Expired:
    """Of one type: the last position of an event that has expired."""

    type: str
    through: int


async def expired(log: Log, now: int | None = None) -> list[Expired]:
    """What has expired by now, by type."""
    done = bson_date(log.clock() if now is None else now)
    with translated(log.question_seconds):
        rows = await log.mongo.aggregate(
            log.rollups,
            [
                {"$match": {"_id.expireAt": {"$lte": done}}},
                {"$group": {"_id": "$_id.type", "through": {"$max": "$lastPosition"}}},
            ],
        )
        # after the rollups: housekeeping moves rows from there to here, and one of the two must be seen
        ledger = await log.expirations.find({}).to_list(None)
    through: dict[str, int] = {}
    for row in [*rows, *ledger]:
        through[row["_id"]] = max(row["through"], through.get(row["_id"], 0))
    return [Expired(type, position) for type, position in through.items()]


async def expired_through(log: Log, filter: Filter) -> int:
    """The last position at which an event that the filter may mean has expired; 0 when none has."""
    wanted = [matcher(leaf) for leaf in conditions(filter) if isinstance(leaf, Types)]
    gone = await expired(log)
    return max((row.through for row in gone if all(fits({"type": row.type}) for fits in wanted)), default=0)  # type: ignore[typeddict-item]  # a filter by type looks at nothing else


async def tidy(log: Log) -> None:
    """Take rollups of expired events away, after noting how far they reached. Safe to run twice, or to die in."""
    now = log.clock()
    gone = await expired(log, now)
    done = bson_date(now)
    with translated(log.question_seconds):
        if gone:
            await log.expirations.bulk_write(
                [UpdateOne({"_id": row.type}, {"$max": {"through": row.through}}, upsert=True) for row in gone]
            )
        await log.rollups.delete_many({"_id.expireAt": {"$lte": done}})
        await log.rollups.delete_many({"_id.expiryDay": {"$lte": done}})
        await log.rollups.delete_many({"_id.minute": {"$exists": True}, "lastPosition": {"$lt": await _first(log)}})
        await log.populations.delete_many({"_id.expireAt": {"$lte": done}})


async def _first(log: Log) -> int:
    """No event lies before this position, or will."""
    head = await checkpoint.head(log)  # first, for what comes then lies behind it
    found = await log.events.find({}, {"_id": 1}).sort("_id", 1).limit(1).to_list(None)
    return int(found[0]["_id"]) if found else head + 1
