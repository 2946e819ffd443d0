"""Collections that were replaced since the log was last written: whether they still hold everything they must."""

from collections.abc import Iterable, Mapping
from typing import Final

from eventscope.errors import Blocked
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log, collections
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Collection, Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.state import agreement, checkpoint
from eventscope.store.state.agreement import ADVICE
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.moment import HOUR

SECONDS: Final = 240.0
TEXT: Final[Document] = {"$type": "string"}  # foreign documents lack it


def names(at: LogCheckpoint, ids: Mapping[str, object]) -> frozenset[str]:
    """The collections whose ids differ from those in the checkpoint; none if an older version wrote it.

    `ids` are their present ids; empty if the user may not list collections.
    """
    expected = at.collections
    return frozenset(name for name, id in ids.items() if name in expected and expected[name] != id)


def ours(ids: Mapping[str, object]) -> dict[str, object]:
    """The ids that the checkpoint records: all but that of its own collection."""
    return {name: id for name, id in ids.items() if name != "meta"}


async def empty(log: Log) -> frozenset[str]:
    """Which counts are empty although there is something to count: they were emptied, or not restored."""
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


async def require_original(log: Log, name: str) -> None:
    """Raise Blocked when the collection was replaced: then a missing document does not mean that there is none."""
    expected, ids = (await checkpoint.read(log)).collections, await collections(log)
    if ids and name in expected and ids.get(name) != expected[name]:
        raise Blocked(
            f"the collection {name} was dropped or replaced: `eventscope doctor` or the ingester's log says what to do"
        )


async def to_recount(
    log: Log, at: LogCheckpoint, replaced: Iterable[str], *, all_there: bool | None = None
) -> frozenset[str]:
    """Which counts were lost and must be made again, of "rollups" and "populations".

    A restored collection has a new id too, so only the contents decide: there must be as many events and aggregates as
    were counted, without those that have expired since. Blocked when there are fewer; but not for heads of aggregates
    if `all_there` says that every event is there to rebuild them. Call it as the holder of the lease, or while nobody
    writes.
    """
    replaced = frozenset(replaced)
    wrong: set[str] = set()
    with translate_errors(SECONDS):
        if replaced & {"events", "rollups"}:
            present, counted = (
                await _unexpired_count(log, log.events, {"_id": {"$gt": 0}}),
                await _total_count(log, "rollups"),
            )
            if "events" in replaced:
                await _require_all_events(log, at, present, counted)
            if present != counted:
                wrong.add("rollups")
        if replaced & {"aggregates", "populations"}:
            present, counted = (
                await _unexpired_count(log, log.aggregates, {"_id.type": TEXT}),
                await _total_count(log, "populations"),
            )
            if "aggregates" in replaced and present < counted and not all_there:
                raise Blocked(
                    f"the collection aggregates was lost or replaced, and holds {present} of the {counted} aggregates"
                    f" that were counted: {await agreement.advice_on_heads(log, at.head, all_there)}"
                )
            if present != counted:
                wrong.add("populations")
    return frozenset(wrong)


async def _require_all_events(log: Log, at: LogCheckpoint, present: int, counted: int) -> None:
    """Raise Blocked unless every unexpired event is certain to be there."""
    if present < counted:
        raise Blocked(
            f"the collection events was lost or replaced, and holds {present} of the {counted} events that were counted"
            f" and have not expired: {ADVICE}"
        )
    first, last = await _end(log, 1), await _end(log, -1)
    if present > counted and await log.events.count_documents({"_id": {"$gte": first, "$lte": last}}) <= last - first:
        raise Blocked(
            f"the collections events and rollups were lost or replaced, and disagree: {present} events are there, and"
            f" {counted} were counted: {ADVICE}"
        )
    missing = [first - 1] if first > 1 else []
    missing += [at.head] if last < at.head else []
    for position in missing:
        if position > at.accepted and not await _has_expired(log, position):
            raise Blocked(
                f"the collection events was lost or replaced, and reaches from position {first} to {last}, but the"
                f" event at {position} is not known to have expired: {ADVICE}"
            )


async def _has_expired(log: Log, position: int) -> bool:
    """Whether an event at that position or after it is known to have expired."""
    soon = bson_date(log.clock() + HOUR)
    row: Document = {"_id.hour": {"$exists": True}, "_id.expireAt": {"$lte": soon}, "lastPosition": {"$gte": position}}
    if await log.rollups.find_one(row, {"_id": 1}) is not None:
        return True
    return await log.expirations.find_one({"through": {"$gte": position}}, {"_id": 1}) is not None


async def _end(log: Log, direction: int) -> int:
    found = await fetch_all(log.events.find({"_id": {"$gt": 0}}, {"_id": 1}).sort("_id", direction).limit(1))
    return int(found[0]["_id"]) if found else 0


async def _unexpired_count(log: Log, collection: Collection, query: Document) -> int:
    """How many documents do not expire soon: the difference of two counts, each of which an index gives."""
    expiring: Document = {"expireAt": {"$lte": bson_date(log.clock() + HOUR)}, **query}
    before = await collection.count_documents(expiring)
    while True:
        total = await collection.count_documents(query)
        after = await collection.count_documents(expiring)
        if before == after:  # otherwise MongoDB deleted some in between
            return total - before
        before = after


async def _total_count(log: Log, name: str) -> int:
    later: Document = {"_id.expireAt": {"$not": {"$lte": bson_date(log.clock() + HOUR)}}}
    later |= {"_id.hour": {"$exists": True}} if name == "rollups" else {"_id.aggregateType": TEXT}
    sum: list[Document] = [{"$match": later}, {"$group": {"_id": None, "n": {"$sum": "$n"}}}]
    found = await log.mongo.aggregate(log.mongo.collection(name), sum)
    return int(found[0]["n"]) if found else 0
