"""Every error that Eventscope raises on purpose, each with a stable code.

    EventscopeError
    ├── BadInput             BAD_USER_INPUT              the question itself is wrong
    │   ├── PageTooLarge     PAGE_TOO_LARGE              more was asked for than one page may hold
    │   ├── WrongLog         WRONG_LOG                   a cursor is of another log than this one
    │   ├── NotOverHttp      SUBSCRIPTION_NOT_SUPPORTED  a subscription was asked by POST
    │   └── NotPersisted     PERSISTED_QUERY_NOT_SUPPORTED  a query was asked by its hash alone
    ├── Rejected             REJECTED                    an event was refused, for the reason given
    │   └── VersionConflict  VERSION_CONFLICT            its aggregate is not at the version that was expected
    ├── TooComplex           QUERY_TOO_COMPLEX           the question asks for more than one may
    ├── QuestionTimedOut     TIMEOUT                     the answer took longer than a question may take
    ├── Unavailable          UNAVAILABLE                 MongoDB or NATS does not answer now
    │   └── OutcomeUnknown   UNAVAILABLE                 events were published, and what became of them is not known yet
    ├── NotAnswered          (not for clients)           the API cannot answer what a service asked it
    ├── Unstorable           (not for clients)           MongoDB refuses a document for what it is
    │   └── TooLargeTogether (not for clients)           a transaction has more in it than MongoDB's cache has room for
    ├── Blocked              (not for clients)           something has to be mended before the log can go on
    ├── LeaseLost            (not for clients)           another ingester writes now, or this one lost its place
    └── CannotStart          (not for clients)           a setting or a server is not as it must be

A message is one sentence with the values in it, fit to be shown to the caller: no secret, no stack trace. Every other
error is INTERNAL to clients: they get an id, which finds it in the log. Blocked and CannotStart are UNAVAILABLE to
them, without the reason.
"""

import logging
import re
import uuid
from typing import Any, ClassVar, Final

INTERNAL: Final = "INTERNAL"

OF_SERVERS: Final = frozenset({"TIMEOUT", "UNAVAILABLE"})

TO_MEND: Final = "the log cannot be used now, until somebody mends what its own log says"

LONG_WORD: Final = re.compile(r"\w{101,}")
SHOWN: Final = 40  # letters of a long word
MOST_MESSAGE: Final = 1000  # characters

logger = logging.getLogger(__name__)


class EventscopeError(Exception):
    """The root of the tree; `code` is what clients see as `extensions.code`."""

    code: ClassVar[str] = INTERNAL

    @property
    def details(self) -> dict[str, Any]:
        """What clients see beside the code."""
        return {}


class BadInput(EventscopeError):
    """Something the caller gave cannot be understood; `field` names it."""

    code = "BAD_USER_INPUT"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    @property
    def details(self) -> dict[str, Any]:
        """The field that is wrong."""
        return {"field": self.field} if self.field else {}


class PageTooLarge(BadInput):
    """A page was asked for that is larger than `most`."""

    code = "PAGE_TOO_LARGE"

    def __init__(self, field: str, asked: int, most: int) -> None:
        super().__init__(f"{field} is {asked}, but a page holds at most {most}", field)
        self.asked = asked
        self.most = most


class WrongLog(BadInput):
    """A cursor is of another log than the one that is asked: what it was a place in cannot be gone on with here."""

    code = "WRONG_LOG"


class NotOverHttp(BadInput):
    """A subscription came over HTTP from who takes JSON only, and goes over WebSocket or as an event stream."""

    code = "SUBSCRIPTION_NOT_SUPPORTED"

    def __init__(self) -> None:
        super().__init__(
            "a subscription is answered as an event stream or over WebSocket, not as JSON: send the header"
            " Accept: text/event-stream, or open a WebSocket with the subprotocol graphql-transport-ws"
        )


class NotPersisted(BadInput):
    """A query was asked by its hash, and queries are not kept: message and code are those by which clients know it."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotSupported")


class Rejected(EventscopeError):
    """An event was refused and not stored: `rejection` is the code why, `index` tells which of several is to blame."""

    code = "REJECTED"

    def __init__(self, message: str, rejection: str, index: int | None = None) -> None:
        super().__init__(message)
        self.rejection = rejection
        self.index = index

    @property
    def details(self) -> dict[str, Any]:
        """Why it was refused, and which of several it was."""
        return {"rejection": self.rejection} | ({} if self.index is None else {"index": self.index})


class VersionConflict(Rejected):
    """The aggregate is at `actual_version`, and another was expected."""

    code = "VERSION_CONFLICT"

    def __init__(self, message: str, actual_version: int, index: int | None = None) -> None:
        super().__init__(message, self.code, index)
        self.actual_version = actual_version

    @property
    def details(self) -> dict[str, Any]:
        """The version that the aggregate has."""
        return super().details | {"actualVersion": self.actual_version}


class TooComplex(EventscopeError):
    """The question asks for more than one operation may."""

    code = "QUERY_TOO_COMPLEX"


class QuestionTimedOut(EventscopeError):
    """The answer was not found within `seconds`."""

    code = "TIMEOUT"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the answer took longer than {seconds:g} seconds; narrow the question")
        self.seconds = seconds


class Unavailable(EventscopeError):
    """A server that the answer needs is away; asking again later may help."""

    code = "UNAVAILABLE"


class OutcomeUnknown(Unavailable):
    """No outcome came in time, so the events may be stored or not, or later.

    Publish them again with the same `message_ids` to learn what became of them; none is stored twice.
    """

    def __init__(self, message: str, message_ids: tuple[str, ...]) -> None:
        super().__init__(message)
        self.message_ids = message_ids


class NotAnswered(EventscopeError):
    """The API cannot answer what a service asked it: `api_code` is the code that it gave."""

    def __init__(self, message: str, api_code: str) -> None:
        super().__init__(message)
        self.api_code = api_code


class Unstorable(EventscopeError):
    """MongoDB refuses what was to be stored, and would refuse it again."""


class TooLargeTogether(Unstorable):
    """What was to be stored in one transaction does not fit into MongoDB's cache; parts of it may."""


class Blocked(EventscopeError):
    """Something in MongoDB or NATS keeps the log from going on until somebody mends it; the message says what."""


class LeaseLost(EventscopeError):
    """Another ingester moved the checkpoint, so this one's batch was not stored."""


class CannotStart(EventscopeError):
    """The program cannot start; the message says what to install or which setting to give."""


def to_client(error: BaseException) -> dict[str, Any]:
    """The error as a caller gets it, in GraphQL's form; of one that nobody foresaw, an id to find it in the log.

    What somebody has to mend is for the log alone: it may name users and documents.
    """
    if isinstance(error, Blocked | CannotStart):
        log_client_error(Unavailable.code, str(error))
        return {"message": TO_MEND, "extensions": {"code": Unavailable.code}}
    if isinstance(error, EventscopeError) and error.code != INTERNAL:
        log_client_error(error.code, str(error))
        return {"message": shorten(str(error)), "extensions": {"code": error.code} | error.details}
    return {"message": "Internal error", "extensions": {"code": INTERNAL, "errorId": log_unexpected(error)}}


def shorten(message: str) -> str:
    """The message with the beginnings alone of long words, and of itself: what callers write may be of any length."""
    short = LONG_WORD.sub(lambda word: f"{word[0][:SHOWN]}…", message)
    return short if len(short) <= MOST_MESSAGE else f"{short[: MOST_MESSAGE - 1]}…"


def log_unexpected(error: BaseException, consequence: str | None = None) -> str:
    """Log an error that nobody foresaw, with its traceback and its consequence; returns the id that finds it."""
    id = uuid.uuid4().hex
    logger.error("errorId %s%s", id, f": {consequence}" if consequence else "", exc_info=error)
    return id


def log_client_error(code: str, message: str) -> None:
    """Log an error that a caller is told, in one line whatever the caller wrote: as a warning if it is a server's."""
    line = "".join(letter if letter.isprintable() else " " for letter in message[:200])
    logger.log(logging.WARNING if code in OF_SERVERS else logging.INFO, "%s: %s", code, line)
