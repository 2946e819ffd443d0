"""The session in which a recount writes, named in the checkpoint so that others can end it if the recount dies.

MongoDB keeps the locks of an abandoned transaction for a minute, and a recount locks the checkpoint, without which no
batch is stored. So a recount names its session, and the time at which its transaction is over, before it begins; the
transaction itself removes them. If they are still there after that time, the recount is dead or stuck.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import pymongo
from pymongo.errors import PyMongoError

from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document

MEMBER: Final = "recounting"
WAIT_SECONDS: Final = 1.0  # for another transaction, before checking again whether it is overdue


async def announce(log: Log, id: str, session_id: Mapping[str, Any]) -> Document:
    """Name the session in the checkpoint with that id, once no transaction holds it.

    Returns a filter that the transaction of the session has to match: it does until another recount announces itself.
    """
    announced: Document = {f"{MEMBER}.session": session_id}
    while True:
        await end_overdue(log, await log.meta.find_one({"_id": id}) or {})
        until = bson_date(log.clock() + int(log.question_seconds * 1_000_000))
        try:
            with pymongo.timeout(WAIT_SECONDS):
                # A write outside of a transaction waits for a transaction. Another transaction would not wait, but fail
                # with a write conflict.
                await log.meta.update_one({"_id": id}, {"$set": {MEMBER: {"session": session_id, "until": until}}})
            return {"_id": id, **announced}
        except PyMongoError as error:
            if not error.timeout:
                raise


async def end_overdue(log: Log, checkpoint: Document) -> None:
    """End the session that this document of the checkpoint names, if its time is over."""
    announced = checkpoint.get(MEMBER)
    if not isinstance(announced, dict):
        return  # there is none, or an older version wrote only a time
    until, session_id = announced.get("until"), announced.get("session")
    if isinstance(until, datetime) and isinstance(session_id, dict) and until < bson_date(log.clock()):
        await log.mongo.end_session(session_id)
        at = {"_id": checkpoint["_id"], f"{MEMBER}.session": session_id}
        await log.meta.update_one(at, {"$unset": {MEMBER: ""}})
