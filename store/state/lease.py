"""The lease, in the checkpoint's document: which ingester should write. What makes it safe is the checkpoint itself."""

import uuid
from collections.abc import Mapping
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.failure import duplicate
from eventscope.store.state import agreement, checkpoint, checkpoint_members, recount_session
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.state.checkpoint_members import FORMAT


async def acquire(
    log: Log,
    holder: str,
    seconds: float,
    session_id: Mapping[str, Any] | None = None,
    *,
    at_work: bool = True,
) -> LogCheckpoint | None:
    """Take or renew the lease; None while somebody else holds it. MongoDB's clock decides, not ours.

    An ingester that does not know yet whether it can work passes `at_work=False`: it keeps others out, but nobody
    relies on it.

    `session_id` is the session that the holder will write with. The next holder ends it first: if this one dies or
    freezes within a transaction, its locks would block all writes until MongoDB aborts that transaction.
    Blocked when there are events without a checkpoint, or when the checkpoint is damaged.
    """
    with translate_errors(seconds, "meta"):
        if (present := await log.meta.find_one({"_id": checkpoint.ID})) is not None:
            checkpoint.from_document(present)  # Blocked if it is damaged
            await recount_session.end_overdue(log, present)
        else:
            await agreement.no_log(log)
            try:
                new: Document = {"_id": checkpoint.ID, "format": FORMAT, "head": 0, "term": 0, "log": uuid.uuid4().hex}
                await log.meta.insert_one(new)
            except DuplicateKeyError as error:
                if (value := duplicate(error)) is None or value.index != "_id_":
                    raise
                # otherwise another ingester created it at the same moment
        ours = {"$eq": ["$holder", {"$literal": holder}]}
        is_known = {"$lte": [{"$ifNull": ["$format", 0]}, FORMAT]}  # a later version may have just taken over
        is_free = {"$or": [ours, {"$not": [checkpoint_members.IS_TAKEN]}]}
        available = {"_id": checkpoint.ID, "$expr": {"$and": [is_known, is_free]}}
        before = await log.meta.find_one(available)
        if before is None:
            return None
        # The former session ends before the lease is taken: a transaction that is still open then aborts, or has
        # committed and is seen by all that the new holder reads.
        if before.get("session") not in (None, session_id):
            await log.mongo.end_session(before["session"])
        after = await log.meta.find_one_and_update(
            available,
            [
                {
                    "$set": {
                        "format": FORMAT,
                        # older versions did not name their logs
                        "log": {"$ifNull": ["$log", {"$literal": uuid.uuid4().hex}]},
                        "term": {"$cond": [ours, "$term", {"$add": ["$term", 1]}]},
                        "holder": {"$literal": holder},
                        "session": {"$literal": session_id},
                        "atWork": at_work,
                        "leaseUntil": {"$add": ["$$NOW", int(seconds * 1000)]},
                        "leaseFor": int(seconds * 1000),
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
    if after is None:
        return None
    checkpoint.identify(log, after)
    return checkpoint.from_document(after | {"leaseHeld": True})


async def release(log: Log, holder: str) -> None:
    """Give up the lease, so that a standby need not wait until it expires."""
    with translate_errors(2.0, "meta"):
        members = ("holder", "leaseUntil", "leaseFor", "session")
        await log.meta.update_one({"_id": checkpoint.ID, "holder": holder}, {"$unset": dict.fromkeys(members, "")})
