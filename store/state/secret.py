"""The key with which ingesters sign live batches, kept beside the checkpoint.

Only a process with access to the log's database can sign a batch: the right to publish on NATS is not enough. The first
ingester creates the key, and it lives as long as the log.
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
    """The key; None before the first ingester that signs. Raises Unavailable, QuestionTimedOut or Blocked."""
    with translate_errors(log.question_seconds):
        document = await log.meta.find_one({"_id": ID})
    return None if document is None else _key(document)


async def ensure(log: Log) -> bytes:
    """The key, created if there is none. Raises Unavailable, QuestionTimedOut or Blocked."""
    with translate_errors(log.question_seconds, "meta"):
        try:
            document = await log.meta.find_one_and_update(
                {"_id": ID},
                {"$setOnInsert": {"key": secrets.token_bytes(BYTES)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:  # another ingester created it at the same moment
            document = await log.meta.find_one({"_id": ID})
    return _key(document or {})


def _key(document: Document) -> bytes:
    key = document.get("key")
    if not isinstance(key, bytes) or len(key) != BYTES:
        raise Blocked(
            f"the key of live batches in meta is damaged: remove the document {ID}, and the ingester creates a new one"
        )
    return key
