"""Translates the errors of MongoDB's driver into ours. Nothing else does."""

from collections.abc import Iterator
from contextlib import contextmanager

import pymongo
from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
)

from eventscope.errors import (
    Blocked,
    CannotStart,
    LeaseLost,
    QuestionTimedOut,
    TooLargeTogether,
    Unavailable,
    Unstorable,
)
from eventscope.store.mongo.failure import (
    AUTHENTICATION_FAILED,
    BSON_OBJECT_TOO_LARGE,
    UNAUTHORIZED,
    duplicate,
    invalid,
    passes,
    reason,
    standalone,
    too_large,
)


@contextmanager
def translate_errors(seconds: float | None = None, name: str | None = None) -> Iterator[None]:
    """Raise our errors in place of the driver's, and let the block take at most `seconds`.

    `name` is the collection that the block writes to, if it writes to one outside of a transaction.
    """
    try:
        if seconds is None:
            yield
        else:
            with pymongo.timeout(seconds):
                yield
    except (BSONError, DocumentTooLarge, BulkWriteError, OverflowError) as error:
        _check_size(error)
        if isinstance(error, PyMongoError) and passes(error):
            raise Unavailable("MongoDB does not answer now") from error
        if isinstance(error, PyMongoError) and invalid(error):
            raise _invalid(error, name) from error
        if isinstance(error, BulkWriteError) and (value := duplicate(error)) is not None and value.index == "_id_":
            # The document is fine, but its number comes from an older state, which a new primary may show for a moment.
            raise LeaseLost("MongoDB has more than it showed this ingester") from error
        raise Unstorable(str(error)[:300]) from error
    except PyMongoError as error:
        _check_size(error)
        if seconds is not None and (error.timeout or isinstance(error, ExecutionTimeout)) and not _away(error):
            raise QuestionTimedOut(seconds) from error
        if isinstance(error, ConnectionFailure) or passes(error):
            raise Unavailable("MongoDB does not answer now") from error
        if isinstance(error, ConfigurationError):  # parts of the URL are checked by the first call only
            raise Unavailable(str(error)[:200]) from error
        if invalid(error):
            raise _invalid(error, name) from error
        if isinstance(error, DuplicateKeyError):
            raise Blocked(f"a unique index stops writes to the log: {reason(error)}") from error
        if isinstance(error, OperationFailure) and error.code == BSON_OBJECT_TOO_LARGE:
            raise Unstorable(str(error)[:300]) from error
        if isinstance(error, OperationFailure) and standalone(error):
            raise CannotStart(
                "MongoDB is not a replica set, and transactions need one (one member is enough)"
            ) from error
        if isinstance(error, OperationFailure) and error.code in (UNAUTHORIZED, AUTHENTICATION_FAILED):
            message = (error.details or {}).get("errmsg", error)
            raise CannotStart(f"MongoDB refuses the user of EVENTSCOPE_MONGO_URL: {str(message)[:200]}") from error
        raise


def _check_size(error: Exception) -> None:
    if isinstance(error, PyMongoError) and too_large(error):
        raise TooLargeTogether(f"it does not fit into one transaction: {reason(error)}") from error


def _invalid(error: PyMongoError, name: str | None) -> Blocked:
    where = "a collection of the log" if name is None else f"the collection {name}"
    return Blocked(f"a validator of {where} stops writes to the log: remove it ({reason(error)})")


def _away(error: PyMongoError) -> bool:
    return isinstance(error, pymongo.errors.ServerSelectionTimeoutError)
