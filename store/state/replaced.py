"""Collections that are no longer those the log was written to: whether they hold all that they must, or lost it."""

from collections.abc import Iterable, Mapping
from typing import Final

from eventscope.errors import Blocked
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log, collections
from eventscope.store.mongo.driver import Collection, Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.state import agreement, checkpoint
from eventscope.store.state.agreement import MEND
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.moment import HOUR

SECONDS: Final = 240.0
TEXT: Final[Document] = {"$type": "string"}  # which foreign documents have not


def names(at: LogCheckpoint, found: Mapping[str, object]) -> frozenset[str]:
    """The collections that are others than the checkpoint knows; none where an older version wrote it.

    `found` holds their identities as they are now, and nothing where MongoDB does not let us ask.
    """
    known = at.collections
    return frozenset(name for name, id in found.items() if name in known and known[name] != id)


def ours(found: Mapping[str, object]) -> dict[str, object]:
    """What the checkpoint notes of these: all but its own collection."""
    return {name: id for name, id in found.items() if name != "meta"}


async def empty(log: Log) -> frozenset[str]:
    """Which of the counts are empty though there is something to count: they were emptied, or not restored."""
    pairs: tuple[tuple[Collection, Document, Collection], ...] = (
        (log.rollups, {"_id.hour": {"$exists": True}}, log.events),
        (log.populations, {}, log.aggregates),
    )
    with translate_errors(log.question_seconds):
        return frozenset(
            [
                counts.name
                for counts, ours, counted in pairs
                if await counts.find_one(ours, {"_id": 1}) is None
                and await counted.find_one({}, {"_id": 1}) is not None
            ]
        )


async def certain(log: Log, name: str) -> None:
    """Raise Blocked when that collection is not the one that the log was written to: what it lacks is no fact."""
    known, found = (await checkpoint.read(log)).collections, await collections(log)
    if found and name in known and found.get(name) != known[name]:
        raise Blocked(f"the collection {name} was dropped or replaced: see what the ingester or the doctor says of it")


async def to_recount(
    log: Log, at: LogCheckpoint, replaced: Iterable[str], *, all_there: bool | None = None
) -> frozenset[str]:
    """Which of the counts must be made anew, as they were lost: of "rollups" and "populations".

    Restored collections are others than before too, so it is what they hold that decides: as many events and aggregates
    as were counted, whatever has expired since. Raises Blocked when less is there; not for heads of aggregates where it
    is known that `all_there` are of the events, which give them. For the holder of the lease, or while nobody writes.
    """
    replaced = frozenset(replaced)
    wrong: set[str] = set()
    with translate_errors(SECONDS):
        if replaced & {"events", "rollups"}:
            kept, counted = await _kept(log, log.events, {"_id": {"$gt": 0}}), await _counted(log, "rollups")
            if "events" in replaced:
                await _events(log, at, kept, counted)
            if kept != counted:
                wrong.add("rollups")
        if replaced & {"aggregates", "populations"}:
            kept, counted = await _kept(log, log.aggregates, {"_id.type": TEXT}), await _counted(log, "populations")
            if "aggregates" in replaced and kept < counted and not all_there:
                raise Blocked(
                    f"the collection aggregates was lost or replaced, and holds {kept} of {counted} aggregates that"
                    f" were counted: {await agreement.of_heads(log, at.head, all_there)}"
                )
            if kept != counted:
                wrong.add("populations")
    return frozenset(wrong)


async def _events(log: Log, at: LogCheckpoint, kept: int, counted: int) -> None:
    """Raise Blocked unless it is certain that every event is there that has not expired."""
    if kept < counted:
        raise Blocked(
            f"the collection events was lost or replaced, and holds {kept} of {counted} events that were counted and"
            f" have not expired: {MEND}"
        )
    first, last = await _end(log, 1), await _end(log, -1)
    if kept > counted and await log.events.count_documents({"_id": {"$gte": first, "$lte": last}}) <= last - first:
        raise Blocked(
            f"the collections events and rollups were lost or replaced, and disagree: {kept} events are there, and"
            f" {counted} were counted: {MEND}"
        )
    missing = [first - 1] if first > 1 else []
    missing += [at.head] if last < at.head else []
    for position in missing:
        if position > at.accepted and not await _expired(log, position):
            raise Blocked(
                f"the collection events was lost or replaced, and reaches from position {first} to {last}, though the"
                f" event at {position} is not known to have expired: {MEND}"
            )


async def _expired(log: Log, position: int) -> bool:
    """Whether an event at that position or after it is known to have expired."""
    soon = bson_date(log.clock() + HOUR)
    row: Document = {"_id.hour": {"$exists": True}, "_id.expireAt": {"$lte": soon}, "lastPosition": {"$gte": position}}
    if await log.rollups.find_one(row, {"_id": 1}) is not None:
        return True
    return await log.expirations.find_one({"through": {"$gte": position}}, {"_id": 1}) is not None


async def _end(log: Log, direction: int) -> int:
    found = await log.events.find({"_id": {"$gt": 0}}, {"_id": 1}).sort("_id", direction).limit(1).to_list(None)
    return int(found[0]["_id"]) if found else 0


async def _kept(log: Log, collection: Collection, all: Document) -> int:
    """How many documents do not expire soon. An index gives both numbers, and none the difference of them."""
    expiring: Document = {"expireAt": {"$lte": bson_date(log.clock() + HOUR)}, **all}
    before = await collection.count_documents(expiring)
    while True:
        there = await collection.count_documents(all)
        after = await collection.count_documents(expiring)
        if before == after:  # else MongoDB was deleting some of them
            return there - before
        before = after


async def _counted(log: Log, name: str) -> int:
    later: Document = {"_id.expireAt": {"$not": {"$lte": bson_date(log.clock() + HOUR)}}}
    later |= {"_id.hour": {"$exists": True}} if name == "rollups" else {"_id.aggregateType": TEXT}
    sum: list[Document] = [{"$match": later}, {"$group": {"_id": None, "n": {"$sum": "$n"}}}]
    found = await log.mongo.aggregate(log.mongo.collection(name), sum)
    return int(found[0]["n"]) if found else 0
