"""What a failure of MongoDB means: whether it is temporary, and which write was refused for which reason."""

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

# MongoDB's error codes for which the driver has no classes
UNAUTHORIZED: Final = 13
AUTHENTICATION_FAILED: Final = 18
ILLEGAL_OPERATION: Final = 20
INDEX_OPTIONS_CONFLICT: Final = 85
INDEX_KEYS_CONFLICT: Final = 86
BSON_OBJECT_TOO_LARGE: Final = 10334
TRANSACTION_TOO_LARGE: Final = frozenset({257, 388})  # for the oplog, or for the cache
TRANSACTION_TOO_OLD: Final = 225  # another transaction was begun in its session
VALIDATION_FAILED: Final = 121
DATABASE_DROP_PENDING: Final = 215
SNAPSHOT_TOO_OLD: Final = 239
SNAPSHOT_UNAVAILABLE: Final = 246  # after a collection or an index was created, for example
DUPLICATE_KEY: Final = 11000
INTERRUPTED: Final = 11601

# faults of a collection that MongoDB reports for each document: the collection is gone, a view, or capped
OF_COLLECTIONS: Final = frozenset({20, 26, 72, 73, 166, 263})

# labels by which MongoDB says that another try may succeed
PASSING: Final = ("TransientTransactionError", "UnknownTransactionCommitResult", "RetryableWriteError")

INDEX: Final = re.compile(r"index: (.+?) dup key")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A value that is already in a unique index: the index's name, and its fields with their values."""

    index: str
    values: dict[str, Any]

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields of the index."""
        return tuple(self.values)


class WriteRefused(Exception):
    """MongoDB refuses one write of a transaction, and would refuse it again; `collection` is where."""

    def __init__(self, collection: str, error: PyMongoError) -> None:
        super().__init__(reason(error))
        self.collection = collection
        self.duplicate = duplicate(error)
        self.of_a_document = (
            isinstance(error, WriteError | BulkWriteError) and _first(error).get("code") not in OF_COLLECTIONS
        )
        """Whether a document was refused, rather than the command."""
        self.invalid = invalid(error)
        """Whether a validator of the collection refused it."""


def refuses(error: PyMongoError) -> bool:
    """Whether MongoDB refuses the write itself: it is reachable, and the same write would fail again."""
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
    """Whether the server has no transactions because it is not a member of a replica set."""
    # a delete in a capped collection has the same code
    return error.code == ILLEGAL_OPERATION and "Transaction numbers" in str(error)


def passes(error: PyMongoError) -> bool:
    """Whether MongoDB says that another try may succeed."""
    # a failed write concern says nothing about the write itself, which may have taken effect
    temporary = (INTERRUPTED, SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE, TRANSACTION_TOO_OLD, DATABASE_DROP_PENDING)
    interrupted = isinstance(error, OperationFailure) and (
        error.code in temporary or _first(error).get("code") in temporary
    )
    return interrupted or isinstance(error, WriteConcernError) or any(map(error.has_error_label, PASSING))


def too_large(error: PyMongoError) -> bool:
    """Whether the transaction is too large for MongoDB: in smaller parts, the same writes may succeed."""
    return _first(error).get("code") in TRANSACTION_TOO_LARGE


def duplicate(error: PyMongoError) -> Duplicate | None:
    """The duplicate value for which MongoDB refuses a write; None if there is another reason."""
    details: Any = getattr(error, "details", None) or {}
    for one in details.get("writeErrors", [details]):
        if one.get("code") == DUPLICATE_KEY:
            match = INDEX.search(one.get("errmsg", ""))
            return Duplicate(match[1] if match else "_id_", dict(one.get("keyValue", {})))
    return None


def invalid(error: PyMongoError) -> bool:
    """Whether a validator of the collection refuses the write."""
    return VALIDATION_FAILED in (getattr(error, "code", None), _first(error).get("code"))


def reason(error: PyMongoError) -> str:
    """MongoDB's own message, at most 300 characters of it."""
    return str(_first(error).get("errmsg") or error)[:300]


def _first(error: PyMongoError) -> dict[str, Any]:
    details: Any = getattr(error, "details", None) or {}
    errors: list[dict[str, Any]] = details.get("writeErrors") or [details]
    return errors[0]
