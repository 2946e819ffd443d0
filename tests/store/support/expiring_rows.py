"""What MongoDB deletes when it expires, and the rows that housekeeping may change afterwards."""

from typing import Any

from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log


async def delete_expired(log: Log) -> None:
    """What MongoDB's TTL task does, by a clock that these tests do not set."""
    await log.events.delete_many({"expireAt": {"$lte": bson_date(log.clock())}})


async def rows(log: Log) -> dict[str, list[dict[str, Any]]]:
    """Everything that housekeeping may change."""
    names = ("rollups", "populations", "expirations")
    return {name: await log.mongo.collection(name).find({}).sort("_id", 1).to_list(None) for name in names}
