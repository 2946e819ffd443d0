"""The key by which live batches are known to come from an ingester of this log, kept beside the checkpoint.

Who may write the log may make batches; who may only publish on NATS may not. It is made once, by whichever ingester is
first, and lives as long as the log does.
"""

import secrets
from typing import Final

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from eventscope.errors import Blocked
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors

ID: Final = "liveKey"
BYTES: Final = 32


async def key(log: Log) -> bytes | None:
    """The key; None when no ingester that signs has been at work yet. Unavailable, QuestionTimedOut or Blocked."""
    with translate_errors(log.question_seconds):
        found = await log.meta.find_one({"_id": ID})
    return None if found is None else _key(found)


async def ensured(log: Log) -> bytes:
    """The key, made if there is none. Unavailable, QuestionTimedOut or Blocked."""
    with translate_errors(log.question_seconds, "meta"):
        try:
            found = await log.meta.find_one_and_update(
                {"_id": ID},
                {"$setOnInsert": {"key": secrets.token_bytes(BYTES)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:  # another ingester made it at the same moment
            found = await log.meta.find_one({"_id": ID})
    return _key(found or {})


def _key(document: Document) -> bytes:
    found = document.get("key")
    if not isinstance(found, bytes) or len(found) != BYTES:
        raise Blocked(
            f"the key of live batches in meta is damaged: remove the document {ID}, and the ingester makes a new one"
        )
    return found
