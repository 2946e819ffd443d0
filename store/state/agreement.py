"""Whether the collections of the log agree: nothing is written while one was lost, or restored without the others."""

from typing import Any, Final

from eventscope.errors import Blocked
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.values.moment import HOUR

# only ever written together with the checkpoint
OF_EVENTS: Final = ("events", "aggregates", "rollups", "populations")
MEND: Final = (
    "restore them all from one backup, or go on for good with what is left by `eventscope recount --accept-loss`"
)
MAKE_ANEW: Final = "run `eventscope recount`, which makes it anew: all events are there, so nothing is lost by that"
MAKE_OF_THE_REST: Final = (
    "restore them all from one backup, or make it anew of the events that are left by `eventscope recount"
    " --accept-loss`: an aggregate that has lost its newest events gives their versions a second time"
)


async def no_log(log: Log, **options: Any) -> None:
    """Raise Blocked unless the collections are as empty as those of a new log."""
    with translate_errors(log.question_seconds):
        for name in OF_EVENTS:
            if await log.mongo.collection(name).find_one({}, {"_id": 1}, **options) is not None:
                raise Blocked(
                    f"the collection {name} is not empty, though the collection meta says that nothing was stored yet:"
                    f" {MEND}"
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
    """Raise Blocked when the collections say otherwise than the checkpoint, which stands at these.

    Events that are missing up to the position `accepted` are known to be. Where it is known that `all_there` are, the
    heads of aggregates can be made anew and are not looked at; None asks for an estimate, for the advice alone.
    For the holder of the lease before anything is written, or within a session that reads a snapshot.
    """
    ours = all_there is not None  # a recount passes over documents that no event can stand behind, and names them
    if head == 0:
        await no_log(log, **options)
    with translate_errors(log.question_seconds):
        event = await _last(log, "events", "_id", {"aggregateType": 1, "aggregateId": 1, "version": 1}, options, ours)
        position = _position("events", event.get("_id", 0))
        rejection = await _last(log, "rejected", "_id", {"_id": 1}, options, ours)
        _reaches("events", position, head)
        _reaches("rejected", _position("rejected", rejection.get("_id", 0)), rejected_head)
        if position < head and await _should_be_there(log, position, head > accepted, options):
            raise Blocked(
                f"the collection events ends at position {position}, though the checkpoint in meta stands at {head}"
                f" and later ones have not expired: {MEND}"
            )
        if all_there:
            return
        aggregate = await _last(log, "aggregates", "last.position", {"last.position": 1}, options, ours)
        _reaches("aggregates", _position("aggregates", aggregate.get("last", {}).get("position", 0)), head)
        if (version := event.get("version")) is not None:
            id = {"type": event["aggregateType"], "id": event["aggregateId"]}
            known_head = await log.aggregates.find_one({"_id": id}, {"version": 1}, **options)
            if known_head is None or known_head.get("version", 0) < version:
                raise Blocked(
                    f"the collection aggregates does not know version {version} of {id['type']} {id['id']}, which is at"
                    f" position {position} of events: {await of_heads(log, head, all_there)}"
                )


async def of_heads(log: Log, head: int, all_there: bool | None) -> str:
    """What to do about heads of aggregates that are lost."""
    if all_there is None:
        all_there = await log.events.estimated_document_count() >= head
    return MAKE_ANEW if all_there else MAKE_OF_THE_REST


async def has_all(log: Log, head: int, **options: Any) -> bool:
    """Whether no event up to that position has expired or was lost: then they give all heads of aggregates."""
    return await log.events.count_documents({"_id": {"$gte": 1, "$lte": head}}, **options) == head


async def _last(log: Log, name: str, key: str, fields: Document, options: Document, ours: bool) -> Document:
    asked: Document = {key: {"$gt": 0}} if ours else {}
    found = await log.mongo.collection(name).find(asked, fields, **options).sort(key, -1).limit(1).to_list(None)
    return found[0] if found else {}


def _position(name: str, value: Any) -> int:
    if not isinstance(value, int):
        raise Blocked(f"the document {str(value)[:200]} of the collection {name} is not Eventscope's: remove it")
    return value


def _reaches(name: str, reached: int, known: int) -> None:
    if reached > known:
        raise Blocked(
            f"the collection {name} reaches to {reached}, and by the checkpoint in meta to {known}:"
            f" remove what is not Eventscope's, or {MEND}"
        )


async def _should_be_there(log: Log, position: int, unaccepted: bool, options: Document) -> bool:
    """Whether events after that position were not to expire, by the counts of them; or nothing is known of any."""
    # what is about to expire may be gone by MongoDB's clock
    kept = {"$not": {"$lte": bson_date(log.clock() + HOUR)}}
    later = {"_id.hour": {"$exists": True}, "_id.expireAt": kept, "lastPosition": {"$gt": position}}
    if await log.rollups.find_one(later, {"_id": 1}, **options) is not None:
        return True
    left = [await one.find_one({}, {"_id": 1}, **options) for one in (log.events, log.rollups, log.expirations)]
    return unaccepted and not any(left)
