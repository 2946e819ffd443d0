"""What MongoDB says when it fails: whether that passes by itself, and which write it refuses for what reason."""

import re
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import (
    BulkWriteError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WriteError,
)

# MongoDB's codes for what the driver has no error classes of its own for
UNAUTHORIZED: Final = 13
AUTHENTICATION_FAILED: Final = 18
ILLEGAL_OPERATION: Final = 20
INDEX_OPTIONS_CONFLICT: Final = 85
INDEX_KEYS_CONFLICT: Final = 86
BSON_OBJECT_TOO_LARGE: Final = 10334
TRANSACTION_TOO_LARGE: Final = frozenset({257, 388})  # for the oplog, and for the cache
TRANSACTION_TOO_OLD: Final = 225  # another one was begun in its session
VALIDATION_FAILED: Final = 121
DATABASE_DROP_PENDING: Final = 215
SNAPSHOT_TOO_OLD: Final = 239
SNAPSHOT_UNAVAILABLE: Final = 246  # as after a collection or an index was made
DUPLICATE_KEY: Final = 11000
INTERRUPTED: Final = 11601

# what a collection is to blame for, though MongoDB says it of each document: gone, a view, capped
OF_COLLECTIONS: Final = frozenset({20, 26, 72, 73, 166, 263})

# MongoDB's own word that it is worth another try
PASSING: Final = ("TransientTransactionError", "UnknownTransactionCommitResult", "RetryableWriteError")

INDEX: Final = re.compile(r"index: (.+?) dup key")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A value that a unique index has already: the name of the index, and its fields with their values."""

    index: str
    values: dict[str, Any]

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields of the index."""
        return tuple(self.values)


class WriteRefused(Exception):
    """MongoDB refuses one write of a transaction for what it is, and would again; on that collection."""

    def __init__(self, collection: str, error: PyMongoError) -> None:
        super().__init__(reason(error))
        self.collection = collection
        self.duplicate = duplicate(error)
        self.of_a_document = (
            isinstance(error, WriteError | BulkWriteError) and _first(error).get("code") not in OF_COLLECTIONS
        )
        """Whether it is a document that is refused, and not the command."""
        self.invalid = invalid(error)
        """Whether a validator of the collection refuses it."""


def refuses(error: PyMongoError) -> bool:
    """Whether MongoDB refuses the write itself: it can be reached, and the same would fail again."""
    if (
        passes(error)
        or too_large(error)
        or error.timeout
        or not isinstance(error, OperationFailure)
        or isinstance(error, ExecutionTimeout)
    ):
        return False
    return error.code not in (UNAUTHORIZED, AUTHENTICATION_FAILED, BSON_OBJECT_TOO_LARGE) and not standalone(error)


def standalone(error: OperationFailure) -> bool:
    """Whether the server says that it has no transactions, for being no member of a replica set."""
    # of a delete in a capped collection it says the same code
    return error.code == ILLEGAL_OPERATION and "Transaction numbers" in str(error)


def passes(error: PyMongoError) -> bool:
    """Whether MongoDB says that another try may succeed."""
    # a write concern that was not met says nothing of the write itself, which may well be there
    again = (INTERRUPTED, SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE, TRANSACTION_TOO_OLD, DATABASE_DROP_PENDING)
    interrupted = isinstance(error, OperationFailure) and (error.code in again or _first(error).get("code") in again)
    return interrupted or isinstance(error, WriteConcernError) or any(map(error.has_error_label, PASSING))


def too_large(error: PyMongoError) -> bool:
    """Whether the transaction has more in it than MongoDB can hold: with less, the same writes may succeed."""
    return _first(error).get("code") in TRANSACTION_TOO_LARGE


def duplicate(error: PyMongoError) -> Duplicate | None:
    """The value that must be there only once, and for which MongoDB refuses a write; None if it is another reason."""
    details: Any = getattr(error, "details", None) or {}
    for one in details.get("writeErrors", [details]):
        if one.get("code") == DUPLICATE_KEY:
            found = INDEX.search(one.get("errmsg", ""))
            return Duplicate(found[1] if found else "_id_", dict(one.get("keyValue", {})))
    return None


def invalid(error: PyMongoError) -> bool:
    """Whether a validator of the collection refuses what was to be written."""
    return VALIDATION_FAILED in (getattr(error, "code", None), _first(error).get("code"))


def reason(error: PyMongoError) -> str:
    """MongoDB's own words, cut short."""
    return str(_first(error).get("errmsg") or error)[:300]


def _first(error: PyMongoError) -> dict[str, Any]:
    details: Any = getattr(error, "details", None) or {}
    errors: list[dict[str, Any]] = details.get("writeErrors") or [details]
    return errors[0]
