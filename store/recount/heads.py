"""The heads of aggregates, held against their events, in the order of their names."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pymongo import DeleteOne, ReplaceOne

from eventscope.store import checkpoint
from eventscope.store.documents import Event, Head
from eventscope.store.driver import Document, Session, translated
from eventscope.store.heads import Name
from eventscope.store.log import Log
from eventscope.store.recount.proof import settled
from eventscope.store.recount.rows import present
from eventscope.store.recount.tally import OURS
from eventscope.store.recount.wrong import Progress, Wrong, fenced, past_hour, soon

SECONDS: Final = 240.0
TEXT: Final[Document] = {"$type": "string"}  # which foreign documents have not
SNAPSHOT_SECONDS: Final = 60.0  # MongoDB keeps a snapshot for some minutes only
PART: Final = 50  # heads that are put right at once
FIELDS: Final = dict.fromkeys(("type", "timestamp", "aggregateType", "aggregateId", "version", "expireAt"), 1)
BY_VERSION: Final = [("aggregateType", 1), ("aggregateId", 1), ("version", 1)]
"""As in the index, by which the events of an aggregate lie beside each other."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An aggregate: its head, if there is one, and its events, by version."""

    name: Name
    head: Head | None
    events: list[Event]


async def differences(log: Log, tell: Progress) -> list[Wrong]:
    """The heads that are not as their events prove them to be."""
    wrong: list[Wrong] = []
    after: Name | None = None
    seen, all = 0, await log.aggregates.estimated_document_count()
    while True:
        began = asyncio.get_running_loop().time()
        with translated(SECONDS):
            async with log.mongo.session(snapshot=True) as session:
                at = await log.meta.find_one({"_id": checkpoint.ID}, {"head": 1}, session=session)
                head = 0 if at is None else at["head"]
                async for entry in _entries(log, after, session):
                    if (one := await look(log, entry, head, session)) is not None:
                        wrong.append(one)
                    seen, after = seen + 1, entry.name
                    if seen % 1000 == 0:
                        tell("head", seen, max(seen, all))
                        if asyncio.get_running_loop().time() - began > SNAPSHOT_SECONDS:
                            break
                else:
                    return wrong


async def mend(log: Log, wrong: Sequence[Wrong]) -> None:
    """Make these heads what they must be by now; the ingester reads them again."""
    for start in range(0, len(wrong), PART):
        names = [(one.key["type"], one.key["id"]) for one in wrong[start : start + PART]]

        async def work(session: Session, before: Document, names: Sequence[Name] = names) -> None:
            writes: list[ReplaceOne[Document] | DeleteOne] = []
            for name in names:
                entry = await named(log, name, session=session)
                found = await look(log, entry, before.get("head", 0), session)
                if found is not None:
                    key = {"_id": found.key}
                    right = found.counted
                    writes.append(DeleteOne(key) if right is None else ReplaceOne(key, right, upsert=True))
            if writes:
                await log.aggregates.bulk_write(writes, ordered=False, session=session)

        await fenced(log, work, new_term=True)


async def named(log: Log, name: Name, **options: Any) -> Entry:
    """The aggregate of that name."""
    head = await log.aggregates.find_one({"_id": {"type": name[0], "id": name[1]}}, **options)
    asked = {"aggregateType": name[0], "aggregateId": name[1], "version": {"$exists": True}}
    events = await log.events.find(asked, FIELDS, **options).sort(BY_VERSION).to_list(None)
    return Entry(name, cast("Head | None", head), cast("list[Event]", events))


async def look(log: Log, entry: Entry, head: int, session: Session) -> Wrong | None:
    """What is wrong with the head of that aggregate, in a log that ends at position `head`."""
    here = {event["_id"] for event in entry.events}
    if entry.head is not None and entry.events:
        marks = {entry.head[name].get("position", 0) for name in ("first", "last")}
        if not marks <= here:
            here |= await present(log, marks - here, head, session=session)
    right = settled(entry.name, entry.head, entry.events, soon(log), past_hour(log), here)
    if right == entry.head:
        return None
    key = {"type": entry.name[0], "id": entry.name[1]}
    return Wrong("head", key, cast("Document | None", entry.head), cast("Document | None", right))


async def _entries(log: Log, after: Name | None, session: Session) -> AsyncIterator[Entry]:
    """All aggregates after that one, by name: those that have a head and those that have events."""
    heads = _heads(log, after, session)
    groups = _groups(log, after, session)
    head, group = await anext(heads, None), await anext(groups, None)
    while head is not None or group is not None:
        here = None if head is None else (head["_id"]["type"], head["_id"]["id"])
        there = None if group is None else group[0]
        name = min(key for key in (here, there) if key is not None)
        yield Entry(name, head if here == name else None, group[1] if group is not None and there == name else [])
        head = await anext(heads, None) if here == name else head
        group = await anext(groups, None) if there == name else group


async def _heads(log: Log, after: Name | None, session: Session) -> AsyncIterator[Head]:
    asked: Document = {"_id.type": TEXT, "_id.id": TEXT}
    if after is not None:
        asked["_id"] = {"$gt": {"type": after[0], "id": after[1]}}
    async for head in log.aggregates.find(asked, session=session).sort("_id", 1):
        yield cast("Head", head)


async def _groups(log: Log, after: Name | None, session: Session) -> AsyncIterator[tuple[Name, list[Event]]]:
    asked: Document = {"version": {"$exists": True}, **OURS, "aggregateType": TEXT, "aggregateId": TEXT}
    if after is not None:
        same = {"aggregateType": after[0], "aggregateId": {"$gt": after[1]}}
        asked["$or"] = [same, {"aggregateType": {"$gt": after[0]}}]
    name: Name | None = None
    events: list[Event] = []
    async for event in log.events.find(asked, FIELDS, session=session).sort(BY_VERSION):
        its = (event["aggregateType"], event["aggregateId"])
        if its != name:
            if name is not None:
                yield name, events
            name, events = its, []
        events.append(cast("Event", event))
    if name is not None:
        yield name, events
