"""What has expired, by type: in the rollups, and in the notes that housekeeping makes on removing rollups."""

from dataclasses import dataclass

from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log


@dataclass(frozen=True, slots=True)
class Expired:
    """The last position of an expired event of one type."""

    type: str
    through: int


async def expired_events(log: Log) -> list[Expired]:
    through: dict[str, int] = {}
    async for row in log.rollups.find({"_id.expireAt": {"$lte": bson_date(log.clock())}}):
        type = row["_id"]["type"]
        through[type] = max(row["lastPosition"], through.get(type, 0))
    async for note in log.expirations.find({}):
        through[note["_id"]] = max(note["through"], through.get(note["_id"], 0))
    return [Expired(type, position) for type, position in through.items()]
