"""Reading a whole log for the checker."""

from eventscope.store.log import Log
from tests.chaos.checker import LogContents


async def read_log(log: Log) -> LogContents:
    """All documents of the log; nothing may be written meanwhile."""
    return LogContents(
        events=await log.events.find({}).sort("_id", 1).to_list(None),
        heads=await log.aggregates.find({}).to_list(None),
        rollups=await log.rollups.find({}).to_list(None),
        populations=await log.populations.find({}).to_list(None),
        rejected=await log.rejected.find({}).sort("_id", 1).to_list(None),
        checkpoint=await log.meta.find_one({"_id": "checkpoint"}) or {},
    )
