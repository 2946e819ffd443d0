"""Whether the collections of the log agree: nothing is written while one was lost, or restored without the others."""

from typing import Any, Final

from eventscope.errors import Blocked
from eventscope.store.driver import Document, translated
from eventscope.store.log import Log
from eventscope.store.moment import HOUR
from eventscope.store.query import bson_date

# only ever written together with the checkpoint
OF_EVENTS: Final = ("events", "aggregates", "rollups", "populations")
RESTORE: Final = "restore them all from one backup, or drop the database to have the stream read into a new log"


async def no_log(log: Log) -> None:
    """Raise Blocked unless the collections are as empty as those of a new log."""
    with translated(log.question_seconds):
        for name in OF_EVENTS:
            if await log.mongo.collection(name).find_one({}, {"_id": 1}) is not None:
                raise Blocked(
                    f"the collection {name} is not empty, though the collection meta says that nothing was stored yet:"
                    f" {RESTORE}"
                )


async def check(log: Log, head: int, rejected_head: int) -> None:
    """Raise Blocked when the collections say otherwise than the checkpoint, which stands at these.

    For the holder of the lease, before anything is written.
    """
    if head == 0:
        await no_log(log)
    with translated(log.question_seconds):
        event = await _last(log, "events", "_id", {"aggregateType": 1, "aggregateId": 1, "version": 1})
        position = _position("events", event.get("_id", 0))
        aggregate = await _last(log, "aggregates", "last.position", {"last.position": 1})
        rejection = await _last(log, "rejected", "_id", {"_id": 1})
        for name, reached, known in (
            ("events", position, head),
            ("aggregates", _position("aggregates", aggregate.get("last", {}).get("position", 0)), head),
            ("rejected", _position("rejected", rejection.get("_id", 0)), rejected_head),
        ):
            if reached > known:
                raise Blocked(
                    f"the collection {name} reaches to {reached}, and by the checkpoint in meta to {known}:"
                    f" remove what is not Eventscope's, or {RESTORE}"
                )
        if position < head and await _should_be_there(log, position):
            raise Blocked(
                f"the collection events ends at position {position}, though the checkpoint in meta stands at {head}"
                f" and later ones have not expired: {RESTORE}"
            )
        if (version := event.get("version")) is not None:
            id = {"type": event["aggregateType"], "id": event["aggregateId"]}
            known_head = await log.aggregates.find_one({"_id": id}, {"version": 1})
            if known_head is None or known_head.get("version", 0) < version:
                raise Blocked(
                    f"the collection aggregates does not know version {version} of {id['type']} {id['id']}, which is at"
                    f" position {position} of events: {RESTORE}"
                )


async def _last(log: Log, name: str, key: str, fields: Document) -> Document:
    found = await log.mongo.collection(name).find({}, fields).sort(key, -1).limit(1).to_list(None)
    return found[0] if found else {}


def _position(name: str, value: Any) -> int:
    if not isinstance(value, int):
        raise Blocked(f"the document {str(value)[:200]} of the collection {name} is not Eventscope's: remove it")
    return value


async def _should_be_there(log: Log, position: int) -> bool:
    """Whether events after that position were not to expire, by the counts of them; or nothing is known of any."""
    # what is about to expire may be gone by MongoDB's clock
    kept = {"$not": {"$lte": bson_date(log.clock() + HOUR)}}
    later = {"_id.hour": {"$exists": True}, "_id.expireAt": kept, "lastPosition": {"$gt": position}}
    if await log.rollups.find_one(later, {"_id": 1}) is not None:
        return True
    empty = [await one.find_one({}, {"_id": 1}) is None for one in (log.events, log.rollups, log.expirations)]
    return all(empty)
