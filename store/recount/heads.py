"""The heads of aggregates, held against their events, in the order of their names."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pymongo import DeleteOne, ReplaceOne

from eventscope.store.heads import AggregateName
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document, Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.own import HEADS, TEXT, is_event, is_head, sound
from eventscope.store.recount.proof import proven_head
from eventscope.store.recount.rows import present
from eventscope.store.recount.tally import OURS
from eventscope.store.recount.wrong import Progress, Wrong, foreign, in_transaction, past_hour, soon
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument, Head

SECONDS: Final = 240.0
SNAPSHOT_SECONDS: Final = 60.0  # MongoDB keeps a snapshot for some minutes only
PART: Final = 50  # heads that are put right at once
MOST_FOREIGN: Final = 1_000  # documents that are named; the others when these are gone
FIELDS: Final = dict.fromkeys(("type", "timestamp", "aggregateType", "aggregateId", "version", "expireAt"), 1)
LASTING: Final = (
    "the head is damaged, and none of its events is left to make it anew from: restore it from a backup, or remove it,"
    " which lets the versions of that aggregate begin at 1 again"
)
NO_HEAD: Final = "look what it is, and remove it: a recount cannot tell whether anybody needs it"
BY_VERSION: Final = [("aggregateType", 1), ("aggregateId", 1), ("version", 1)]
"""As in the index, by which the events of an aggregate lie beside each other."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An aggregate: its head, if there is one, and its events, by version."""

    name: AggregateName
    head: Head | None
    events: list[EventDocument]


async def differences(log: Log, tell: Progress) -> list[Wrong]:
    """The heads that are not as their events prove them to be, and what is no head."""
    wrong = await _foreign(log)
    after: AggregateName | None = None
    seen, all = 0, await log.aggregates.estimated_document_count()
    while True:
        began = asyncio.get_running_loop().time()
        with translate_errors(SECONDS):
            async with log.mongo.session(snapshot=True) as session:
                head = checkpoint.head_of(await log.meta.find_one({"_id": checkpoint.ID}, session=session))
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
    known = [(one.key["type"], one.key["id"]) for one in wrong if not one.advice]
    for start in range(0, len(known), PART):
        names = known[start : start + PART]

        async def work(session: Session, before: Document, names: Sequence[AggregateName] = names) -> None:
            writes: list[ReplaceOne[Document] | DeleteOne] = []
            for name in names:
                entry = await entry_of(log, name, session=session)
                found = await look(log, entry, checkpoint.head_of(before), session)
                if found is not None and not found.advice:
                    key = {"_id": found.key}
                    right = found.counted
                    writes.append(DeleteOne(key) if right is None else ReplaceOne(key, right, upsert=True))
            if writes:
                await log.aggregates.bulk_write(writes, ordered=False, session=session)

        await in_transaction(log, work, new_term=True)


async def entry_of(log: Log, name: AggregateName, **options: Any) -> Entry:
    """The aggregate of that name."""
    head = await log.aggregates.find_one({"_id": {"type": name[0], "id": name[1]}}, **options)
    asked = {"aggregateType": name[0], "aggregateId": name[1], "version": {"$exists": True}}
    events = await log.events.find(asked, FIELDS, **options).sort(BY_VERSION).to_list(None)
    return Entry(name, cast("Head | None", head), cast("list[EventDocument]", list(filter(is_event, events))))


async def look(log: Log, entry: Entry, head: int, session: Session) -> Wrong | None:
    """What is wrong with the head of that aggregate, in a log that ends at position `head`."""
    here = {event["_id"] for event in entry.events}
    if entry.head is not None and entry.events:
        marks = {mark["position"] for name, mark in sound(entry.head).items() if name in ("first", "last")}
        if not marks <= here:
            here |= await present(log, marks - here, head, session=session)
    right = proven_head(entry.name, entry.head, entry.events, soon(log), past_hour(log), here)
    key = {"type": entry.name[0], "id": entry.name[1]}
    if right != entry.head or (entry.head is not None and right is not None and is_head(right) != is_head(entry.head)):
        return Wrong("head", key, cast("Document | None", entry.head), cast("Document | None", right))
    if entry.head is None or is_head(entry.head):
        return None
    return Wrong("head", key, cast("Document", entry.head), None, LASTING)


async def _entries(log: Log, after: AggregateName | None, session: Session) -> AsyncIterator[Entry]:
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


async def _heads(log: Log, after: AggregateName | None, session: Session) -> AsyncIterator[Head]:
    asked = HEADS.copy()
    if after is not None:
        asked["_id"] = {"$gt": {"type": after[0], "id": after[1]}}
    async for head in log.aggregates.find(asked, session=session).sort("_id", 1):
        yield cast("Head", head)


async def _groups(
    log: Log, after: AggregateName | None, session: Session
) -> AsyncIterator[tuple[AggregateName, list[EventDocument]]]:
    asked: Document = {"version": {"$exists": True}, **OURS, "aggregateType": TEXT, "aggregateId": TEXT}
    if after is not None:
        same = {"aggregateType": after[0], "aggregateId": {"$gt": after[1]}}
        asked["$or"] = [same, {"aggregateType": {"$gt": after[0]}}]
    name: AggregateName | None = None
    events: list[EventDocument] = []
    async for event in log.events.find(asked, FIELDS, session=session).sort(BY_VERSION):
        if not is_event(event):
            continue
        its = (event["aggregateType"], event["aggregateId"])
        if its != name:
            if name is not None:
                yield name, events
            name, events = its, []
        events.append(cast("EventDocument", event))
    if name is not None:
        yield name, events


async def _foreign(log: Log) -> list[Wrong]:
    """What is no head, which the log never asks for: it may be all that is left of one."""
    with translate_errors(SECONDS):
        found = await log.aggregates.find({"$nor": [HEADS]}).limit(MOST_FOREIGN).to_list(None)
    return [foreign("aggregates", document, NO_HEAD) for document in found]
