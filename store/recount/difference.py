"""What a recount finds wrong, and the transaction in which it is corrected."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import pymongo
from pymongo import DeleteOne
from pymongo.errors import PyMongoError

from eventscope.errors import EventscopeError, Unavailable
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Collection, Document, Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.state import checkpoint, recount_session
from eventscope.store.values import moment
from eventscope.store.values.moment import HOUR

Kind = Literal["hour", "day", "minute", "population", "head", "expiration", "foreign"]
Progress = Callable[[Kind, int, int], None]

MARGIN: Final = 2_000_000
"""Microseconds before its expiry at which an event counts as deleted: MongoDB may delete it at any moment."""

MOST_NAME: Final = 80
TRIES: Final = 100
PAUSE: Final = 0.05
TRANSIENT: Final = ("TransientTransactionError", "UnknownTransactionCommitResult")


@dataclass(frozen=True, slots=True)
class Difference:
    """A derived document that differs from the recount; `found` or `counted` is None if it is, or should be, missing.

    With `advice`, no recount can correct it, because nothing proves what it must be; the advice says what to do.
    """

    kind: Kind
    key: Any
    found: Document | None
    counted: Document | None
    advice: str = ""

    def __str__(self) -> str:
        """The differences, in words."""
        if self.advice:
            return f"{self.name}: {self.advice}"
        if self.kind == "foreign":
            return f"{self.name} is not Eventscope's"
        found, counted = self.found or {}, self.counted or {}
        names = [name for name in {**counted, **found} if _value(found, name) != _value(counted, name)]
        if self.found is None or self.counted is None:
            names = [name for name in ("n", "version", "through") if name in names] or names
        differences = "; ".join(f"{name} is {_value(found, name)}, should be {_value(counted, name)}" for name in names)
        return f"{self.name}: {differences}"

    @property
    def name(self) -> str:
        """What the document is, in words."""
        match self.kind:
            case "foreign":
                collection, id = self.key
                return f"the document {_printable(repr(id))} of the collection {collection}"
            case "head":
                return f"aggregate {_printable(self.key['type'])} {_printable(self.key['id'])}"
            case "expiration":
                return f"expired events of type {_printable(self.key)}"
            case "population":
                return f"aggregates of type {_printable(self.key['aggregateType'])}{_until(self.key['expireAt'])}"
            case "minute":
                return f"positions of {moment.to_text(self.key['minute'])}"
            case "day":
                return f"events of type {_printable(self.key['type'])}{_of(self.key)}{_until(self.key['expiryDay'])}"
            case "hour":
                hour, end = moment.to_text(self.key["hour"]), _until(self.key["expireAt"])
                return f"events of type {_printable(self.key['type'])}{_of(self.key)} at {hour}{end}"


def foreign(collection: str, document: Document, advice: str = "") -> Difference:
    """A document that Eventscope did not write."""
    return Difference("foreign", (collection, document["_id"]), document, None, advice)


async def remove(collection: Collection, wrong: Sequence[Difference]) -> None:
    """Delete the foreign documents among these."""
    ids = [one.key[1] for one in wrong if one.kind == "foreign" and not one.advice]
    if ids:
        await collection.bulk_write([DeleteOne({"_id": {"$eq": id}}) for id in ids], ordered=False)


def soon(log: Log) -> datetime:
    """The time of expiry up to which events count as deleted, as a BSON date."""
    return bson_date(log.clock() + MARGIN)


def past_hour(log: Log) -> datetime:
    """The last full hour: the expiry to assume for deleted events."""
    now = log.clock()
    return bson_date(now - now % HOUR)


async def in_transaction(
    log: Log, work: Callable[[Session, Document], Awaitable[None]], *, new_term: bool = False
) -> None:
    """Do the work in one transaction, isolated from batches and from other recounts.

    `work` gets the checkpoint's document from before the transaction, and may be called again. With `new_term` the
    ingester has to start again, without its cached heads. Raises Unavailable when the log is too busy, or MongoDB is
    away.
    """
    inc: Document = {"recounts": 1, **({"term": 1} if new_term else {})}
    change: Document = {"$inc": inc, "$unset": {recount_session.MEMBER: ""}}
    async with log.mongo.session() as session:
        try:
            with translate_errors(2 * log.question_seconds):
                for attempt in range(TRIES):
                    try:
                        announced = await recount_session.announce(log, checkpoint.ID, session.session_id)
                        with pymongo.timeout(log.question_seconds):
                            if await _transact(log, session, work, announced, change):
                                return
                    except PyMongoError as error:
                        if error.timeout or not any(map(error.has_error_label, TRANSIENT)):
                            raise
                    await asyncio.sleep(PAUSE * (attempt % 4) / 4)
        except BaseException:
            # The driver does not abort a transaction whose time is over, and the session may be used again.
            with suppress(EventscopeError), translate_errors(2.0):
                await log.mongo.end_session(session.session_id)
            raise
    raise Unavailable("the log is too busy to be corrected now")


async def _transact(
    log: Log, session: Session, work: Callable[[Session, Document], Awaitable[None]], at: Document, change: Document
) -> bool:
    """Whether it was done: not if another recount has announced itself since."""
    async with log.mongo.transaction(session):
        before = await log.meta.find_one_and_update(at, change, session=session)
        if before is None:
            if await log.meta.find_one({"_id": checkpoint.ID}, {"_id": 1}, session=session) is not None:
                return False
            await checkpoint.require_empty(log)
        await work(session, before or {})
    return True


def _printable(name: str) -> str:
    # the text may come from anybody, and must not contain control sequences for terminals
    return name[:MOST_NAME] if name.isprintable() else ascii(name[:MOST_NAME])


def _value(document: Document, name: str) -> str:
    value = document.get(name)
    if isinstance(value, str):
        return repr(value[:MOST_NAME])
    return "none" if name not in document else "null" if value is None else _printable(str(value))


def _of(key: Document) -> str:
    return "" if key["aggregateType"] is None else f" ({_printable(key['aggregateType'])})"


def _until(expiry: datetime | None) -> str:
    return "" if expiry is None or expiry.year == datetime.max.year else f" until {expiry:%Y-%m-%d %H:%M}"
