"""Whether the collections of the log agree. Nothing is written while one is lost, or restored without the others."""

from typing import Any, Final

from eventscope.errors import Blocked
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.values.moment import HOUR

# only ever written together with the checkpoint
OF_EVENTS: Final = ("events", "aggregates", "rollups", "populations")
ADVICE: Final = "restore them all from one backup, or accept the loss for good with `eventscope recount --accept-loss`"
REBUILD: Final = "run `eventscope recount`, which rebuilds it: all events are there, so nothing is lost"
REBUILD_FROM_REST: Final = (
    "restore them all from one backup, or rebuild it from the events that are left with `eventscope recount"
    " --accept-loss`: an aggregate that has lost its newest events then assigns their versions again"
)


async def no_log(log: Log, **options: Any) -> None:
    """Raise Blocked unless the collections are as empty as those of a new log."""
    with translate_errors(log.question_seconds):
        for name in OF_EVENTS:
            if await log.mongo.collection(name).find_one({}, {"_id": 1}, **options) is not None:
                raise Blocked(
                    f"the collection {name} is not empty, but the collection meta says that nothing was stored yet:"
                    f" {ADVICE}"
                )


async def check(
    log: Log,
    head: int,
    rejected_head: int,
    *,
    accepted: int = 0,
    all_there: bool | None = None,
    **options: Any,
) -> None:
    """Raise Blocked when the collections contradict the checkpoint, which has these heads.

    The loss of events up to the position `accepted` is already accepted. If `all_there` is True, no event is missing:
    heads of aggregates can be rebuilt and are not checked. None means unknown; an estimate then picks the advice.
    Call it as the holder of the lease before anything is written, or in a session that reads a snapshot.
    """
    only_ours = all_there is not None  # a recount skips documents with impossible positions, and reports them
    if head == 0:
        await no_log(log, **options)
    with translate_errors(log.question_seconds):
        event = await _last(
            log, "events", "_id", {"aggregateType": 1, "aggregateId": 1, "version": 1}, options, only_ours
        )
        position = _position("events", event.get("_id", 0))
        rejection = await _last(log, "rejected", "_id", {"_id": 1}, options, only_ours)
        _reaches("events", position, head)
        _reaches("rejected", _position("rejected", rejection.get("_id", 0)), rejected_head)
        if position < head and await _should_be_there(log, position, head > accepted, options):
            raise Blocked(
                f"the collection events ends at position {position}, but the checkpoint in meta stands at {head}, and"
                f" later events have not expired: {ADVICE}"
            )
        if all_there:
            return
        aggregate = await _last(log, "aggregates", "last.position", {"last.position": 1}, options, only_ours)
        _reaches("aggregates", _position("aggregates", aggregate.get("last", {}).get("position", 0)), head)
        if (version := event.get("version")) is not None:
            id = {"type": event["aggregateType"], "id": event["aggregateId"]}
            known_head = await log.aggregates.find_one({"_id": id}, {"version": 1}, **options)
            if known_head is None or known_head.get("version", 0) < version:
                raise Blocked(
                    f"the collection aggregates lacks version {version} of {id['type']} {id['id']}, which is at"
                    f" position {position} of events: {await advice_on_heads(log, head, all_there)}"
                )


async def advice_on_heads(log: Log, head: int, all_there: bool | None) -> str:
    """What to do about lost heads of aggregates."""
    if all_there is None:
        all_there = await log.events.estimated_document_count() >= head
    return REBUILD if all_there else REBUILD_FROM_REST


async def has_all(log: Log, head: int, **options: Any) -> bool:
    """Whether no event up to that position has expired or was lost: then all heads can be rebuilt from the events."""
    return await log.events.count_documents({"_id": {"$gte": 1, "$lte": head}}, **options) == head


async def _last(log: Log, name: str, key: str, fields: Document, options: Document, only_ours: bool) -> Document:
    query: Document = {key: {"$gt": 0}} if only_ours else {}
    documents = await fetch_all(log.mongo.collection(name).find(query, fields, **options).sort(key, -1).limit(1))
    return documents[0] if documents else {}


def _position(name: str, value: Any) -> int:
    if not isinstance(value, int):
        raise Blocked(f"the document {str(value)[:200]} of the collection {name} is not Eventscope's: remove it")
    return value


def _reaches(name: str, last: int, expected: int) -> None:
    if last > expected:
        raise Blocked(
            f"the collection {name} reaches to {last}, but the checkpoint in meta stands at {expected}:"
            f" remove what is not Eventscope's, or {ADVICE}"
        )


async def _should_be_there(log: Log, position: int, unaccepted: bool, options: Document) -> bool:
    """Whether an unexpired event after that position was counted, or nothing is left that could show it."""
    # events that are about to expire may be gone already, by MongoDB's clock
    not_expiring = {"$not": {"$lte": bson_date(log.clock() + HOUR)}}
    later = {"_id.hour": {"$exists": True}, "_id.expireAt": not_expiring, "lastPosition": {"$gt": position}}
    if await log.rollups.find_one(later, {"_id": 1}, **options) is not None:
        return True
    remains = [await one.find_one({}, {"_id": 1}, **options) for one in (log.events, log.rollups, log.expirations)]
    return unaccepted and not any(remains)
