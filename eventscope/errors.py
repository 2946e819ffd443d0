"""Every error that Eventscope raises on purpose, each with a stable code.

    EventscopeError
    ├── BadInput             BAD_USER_INPUT              the request itself is wrong
    │   ├── PageTooLarge     PAGE_TOO_LARGE              it asks for more than one page may hold
    │   ├── WrongLog         WRONG_LOG                   a cursor belongs to another log
    │   ├── NotOverHttp      SUBSCRIPTION_NOT_SUPPORTED  a subscription came by POST
    │   └── NotPersisted     PERSISTED_QUERY_NOT_SUPPORTED  a query came as its hash alone
    ├── Rejected             REJECTED                    an event was not stored, for the reason given
    │   └── VersionConflict  VERSION_CONFLICT            its aggregate is not at the expected version
    ├── TooComplex           QUERY_TOO_COMPLEX           an operation selects more than the limits allow
    ├── QuestionTimedOut     TIMEOUT                     the answer took longer than it may
    ├── Unavailable          UNAVAILABLE                 MongoDB or NATS does not answer now
    │   └── OutcomeUnknown   UNAVAILABLE                 events were published, but their outcome is not known yet
    ├── NotAnswered          (not for clients)           the API cannot answer a service's request
    ├── Unstorable           (not for clients)           MongoDB refuses a document for what it contains
    │   └── TooLargeTogether (not for clients)           a transaction is too large for MongoDB's cache
    ├── Blocked              (not for clients)           somebody must repair something before it can go on
    ├── LeaseLost            (not for clients)           another ingester writes now, or this one lost its place
    └── CannotStart          (not for clients)           a setting is wrong, or a server cannot be used

A message is one sentence with the values in it, safe to show to the client: no secret, no stack trace. Every other
error is INTERNAL to clients: they get an id that finds it in the log. Blocked and CannotStart are UNAVAILABLE to them,
without the reason.
"""

import logging
import re
import uuid
from typing import Any, ClassVar, Final

INTERNAL: Final = "INTERNAL"

SERVER_CODES: Final = frozenset({"TIMEOUT", "UNAVAILABLE"})

TO_MEND: Final = "the log cannot be used until an operator repairs what the server's own log reports"

LONG_WORD: Final = re.compile(r"\w{101,}")
WORD_START: Final = 40  # characters of a long word
MOST_MESSAGE: Final = 1000  # characters

logger = logging.getLogger(__name__)


class EventscopeError(Exception):
    """The root of the tree; `code` is what clients see as `extensions.code`."""

    code: ClassVar[str] = INTERNAL

    @property
    def details(self) -> dict[str, Any]:
        """What clients see besides the code."""
        return {}


class BadInput(EventscopeError):
    """An argument or the request cannot be understood; `field` names the argument."""

    code = "BAD_USER_INPUT"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    @property
    def details(self) -> dict[str, Any]:
        """The field that is wrong."""
        return {"field": self.field} if self.field else {}


class PageTooLarge(BadInput):
    """The requested page `size` is larger than `most`."""

    code = "PAGE_TOO_LARGE"

    def __init__(self, field: str, size: int, most: int) -> None:
        super().__init__(f"{field} is {size}, but a page holds at most {most}", field)
        self.size = size
        self.most = most


class WrongLog(BadInput):
    """A cursor belongs to another log, so there is no place in this one at which to continue.

    Discard the cursor; to miss nothing, read from the beginning: without a cursor, a subscription starts now.
    """

    code = "WRONG_LOG"


class NotOverHttp(BadInput):
    """A subscription came over HTTP from a client that accepts only JSON."""

    code = "SUBSCRIPTION_NOT_SUPPORTED"

    def __init__(self) -> None:
        super().__init__(
            "a subscription is answered as an event stream or over WebSocket, not as JSON: send the header"
            " Accept: text/event-stream, or open a WebSocket with the subprotocol graphql-transport-ws"
        )


class NotPersisted(BadInput):
    """A query came as its hash alone, but no queries are stored: clients recognise this message and code."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotSupported")


class Rejected(EventscopeError):
    """An event was not stored: `rejection` is the code of the reason, `index` the event's place among several."""

    code = "REJECTED"

    def __init__(self, message: str, rejection: str, index: int | None = None) -> None:
        super().__init__(message)
        self.rejection = rejection
        self.index = index

    @property
    def details(self) -> dict[str, Any]:
        """The reason, and which of several events it was."""
        return {"rejection": self.rejection} | ({} if self.index is None else {"index": self.index})


class VersionConflict(Rejected):
    """The aggregate is at `actual_version`, but another version was expected."""

    code = "VERSION_CONFLICT"

    def __init__(self, message: str, actual_version: int, index: int | None = None) -> None:
        super().__init__(message, self.code, index)
        self.actual_version = actual_version

    @property
    def details(self) -> dict[str, Any]:
        """The aggregate's version, with the reason."""
        return super().details | {"actualVersion": self.actual_version}


class TooComplex(EventscopeError):
    """An operation selects more than the limits allow."""

    code = "QUERY_TOO_COMPLEX"


class QuestionTimedOut(EventscopeError):
    """The answer was not found within `seconds`."""

    code = "TIMEOUT"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the answer took longer than {seconds:g} seconds; narrow the query")
        self.seconds = seconds


class Unavailable(EventscopeError):
    """A server that the answer needs does not respond; a retry later may help."""

    code = "UNAVAILABLE"


class OutcomeUnknown(Unavailable):
    """No outcome came in time: the events may have been stored, may be stored later, or may be lost.

    Publish them again with the same `message_ids` to get their outcome; none is stored twice.
    """

    def __init__(self, message: str, message_ids: tuple[str, ...]) -> None:
        super().__init__(message)
        self.message_ids = message_ids


class NotAnswered(EventscopeError):
    """The API cannot answer a service's request; `api_code` is the code in its answer."""

    def __init__(self, message: str, api_code: str) -> None:
        super().__init__(message)
        self.api_code = api_code


class Unstorable(EventscopeError):
    """MongoDB refuses a document, and would refuse it again."""


class TooLargeTogether(Unstorable):
    """A transaction does not fit into MongoDB's cache; parts of it may."""


class Blocked(EventscopeError):
    """Something in MongoDB or NATS stops the log until somebody repairs it; the message says what."""


class LeaseLost(EventscopeError):
    """Another ingester moved the checkpoint, so this one's batch was not stored."""


class CannotStart(EventscopeError):
    """The program cannot start; the message says what to install or which setting to change."""


def to_client(error: BaseException) -> dict[str, Any]:
    """The error in GraphQL's form. Unexpected errors are masked: `errorId` finds the logged traceback.

    The reason of a Blocked or CannotStart goes only to the log: it may name users and documents.
    """
    if isinstance(error, Blocked | CannotStart):
        log_client_error(Unavailable.code, str(error))
        return {"message": TO_MEND, "extensions": {"code": Unavailable.code}}
    if isinstance(error, EventscopeError) and error.code != INTERNAL:
        log_client_error(error.code, str(error))
        return {"message": shorten(str(error)), "extensions": {"code": error.code} | error.details}
    return {"message": "Internal error", "extensions": {"code": INTERNAL, "errorId": log_unexpected(error)}}


def shorten(message: str) -> str:
    """Cut the message, and long words in it, to a bounded length: it may quote a long text from a client."""
    short = LONG_WORD.sub(lambda word: f"{word[0][:WORD_START]}…", message)
    return short if len(short) <= MOST_MESSAGE else f"{short[: MOST_MESSAGE - 1]}…"


def log_unexpected(error: BaseException, consequence: str | None = None) -> str:
    """Log an unexpected error with its traceback and its consequence; returns the id that finds it."""
    id = uuid.uuid4().hex
    logger.error("errorId %s%s", id, f": {consequence}" if consequence else "", exc_info=error)
    return id


def log_client_error(code: str, message: str) -> None:
    """Log an error that a client gets, always in one line; as a warning if a server is at fault."""
    line = "".join(letter if letter.isprintable() else " " for letter in message[:200])
    logger.log(logging.WARNING if code in SERVER_CODES else logging.INFO, "%s: %s", code, line)
