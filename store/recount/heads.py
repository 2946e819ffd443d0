"""The heads of aggregates, compared with their events, in the order of their names."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pymongo import DeleteOne, ReplaceOne

from eventscope.store.heads import AggregateName
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document, Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.shapes import HEADS, TEXT, is_event, is_head, sound
from eventscope.store.recount.difference import Difference, Progress, foreign, in_transaction, past_hour, soon
from eventscope.store.recount.proof import proven_head
from eventscope.store.recount.rows import present
from eventscope.store.recount.tally import OURS
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument, Head

SECONDS: Final = 240.0
SNAPSHOT_SECONDS: Final = 20.0  # MongoDB ends a snapshot after a minute
PART: Final = 50  # heads that are corrected in one transaction
MOST_FOREIGN: Final = 1_000  # documents that are reported at once
FIELDS: Final = dict.fromkeys(("type", "timestamp", "aggregateType", "aggregateId", "version", "expireAt"), 1)
LASTING: Final = (
    "the head is damaged, and none of its events is left to rebuild it from: restore it from a backup, or remove it;"
    " the versions of that aggregate then start at 1 again"
)
NO_HEAD: Final = "find out what it is, and remove it: a recount cannot know whether somebody needs it"
BY_VERSION: Final = [("aggregateType", 1), ("aggregateId", 1), ("version", 1)]
"""The order of the unique index, in which the events of an aggregate are adjacent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An aggregate: its head, if it has one, and its events, by version."""

    name: AggregateName
    head: Head | None
    events: list[EventDocument]


async def differences(log: Log, report: Progress) -> list[Difference]:
    """The heads that contradict their events, and documents that are not heads."""
    wrong = await _foreign(log)
    after: AggregateName | None = None
    count, total = 0, await log.aggregates.estimated_document_count()
    while True:
        start = asyncio.get_running_loop().time()
        with translate_errors(SECONDS):
            async with log.mongo.snapshot() as session:
                head = checkpoint.head_of(await log.meta.find_one({"_id": checkpoint.ID}, session=session))
                async for entry in _entries(log, after, session):
                    if (one := await difference(log, entry, head, session)) is not None:
                        wrong.append(one)
                    count, after = count + 1, entry.name
                    if count % 1000 == 0:
                        report("head", count, max(count, total))
                        if asyncio.get_running_loop().time() - start > SNAPSHOT_SECONDS:
                            break  # go on after this name in a new snapshot, before MongoDB drops this one
                else:
                    return wrong


async def repair(log: Log, wrong: Sequence[Difference]) -> None:
    """Correct these heads to match their events now; the ingester then reads them again."""
    all_names = [(one.key["type"], one.key["id"]) for one in wrong if not one.advice]
    for start in range(0, len(all_names), PART):
        names = all_names[start : start + PART]

        async def work(session: Session, before: Document, names: Sequence[AggregateName] = names) -> None:
            writes: list[ReplaceOne[Document] | DeleteOne] = []
            # everything is read again: a batch may have moved these heads since they were found to be wrong
            for name in names:
                entry = await entry_of(log, name, session=session)
                wrong_head = await difference(log, entry, checkpoint.head_of(before), session)
                if wrong_head is not None and not wrong_head.advice:
                    key = {"_id": wrong_head.key}
                    right = wrong_head.counted
                    writes.append(DeleteOne(key) if right is None else ReplaceOne(key, right, upsert=True))
            if writes:
                await log.aggregates.bulk_write(writes, ordered=False, session=session)

        await in_transaction(log, work, new_term=True)


async def entry_of(log: Log, name: AggregateName, **options: Any) -> Entry:
    """The aggregate with that name."""
    head = await log.aggregates.find_one({"_id": {"type": name[0], "id": name[1]}}, **options)
    query = {"aggregateType": name[0], "aggregateId": name[1], "version": {"$exists": True}}
    events = await fetch_all(log.events.find(query, FIELDS, **options).sort(BY_VERSION))
    return Entry(name, cast("Head | None", head), cast("list[EventDocument]", list(filter(is_event, events))))


async def difference(log: Log, entry: Entry, head: int, session: Session) -> Difference | None:
    """What is wrong with the head of the aggregate, in a log that ends at position `head`; None if nothing is."""
    existing = {event["_id"] for event in entry.events}
    if entry.head is not None and entry.events:
        marks = {mark["position"] for name, mark in sound(entry.head).items() if name in ("first", "last")}
        if not marks <= existing:
            existing |= await present(log, marks - existing, head, session=session)
    right = proven_head(entry.name, entry.head, entry.events, soon(log), past_hour(log), existing)
    key = {"type": entry.name[0], "id": entry.name[1]}
    if right != entry.head or (entry.head is not None and right is not None and is_head(right) != is_head(entry.head)):
        return Difference("head", key, cast("Document | None", entry.head), cast("Document | None", right))
    if entry.head is None or is_head(entry.head):
        return None
    return Difference("head", key, cast("Document", entry.head), None, LASTING)


async def _entries(log: Log, after: AggregateName | None, session: Session) -> AsyncIterator[Entry]:
    """All aggregates after `after` by name: those with a head and those with events, merged."""
    heads = _heads(log, after, session)
    groups = _groups(log, after, session)
    head, group = await anext(heads, None), await anext(groups, None)
    while head is not None or group is not None:
        head_name = None if head is None else (head["_id"]["type"], head["_id"]["id"])
        group_name = None if group is None else group[0]
        name = min(key for key in (head_name, group_name) if key is not None)
        yield Entry(
            name, head if head_name == name else None, group[1] if group is not None and group_name == name else []
        )
        head = await anext(heads, None) if head_name == name else head
        group = await anext(groups, None) if group_name == name else group


async def _heads(log: Log, after: AggregateName | None, session: Session) -> AsyncIterator[Head]:
    query = HEADS.copy()
    if after is not None:
        query["_id"] = {"$gt": {"type": after[0], "id": after[1]}}
    async for head in log.aggregates.find(query, session=session).sort("_id", 1):
        yield cast("Head", head)


async def _groups(
    log: Log, after: AggregateName | None, session: Session
) -> AsyncIterator[tuple[AggregateName, list[EventDocument]]]:
    query: Document = {"version": {"$exists": True}, **OURS, "aggregateType": TEXT, "aggregateId": TEXT}
    if after is not None:
        same_type = {"aggregateType": after[0], "aggregateId": {"$gt": after[1]}}
        query["$or"] = [same_type, {"aggregateType": {"$gt": after[0]}}]
    name: AggregateName | None = None
    events: list[EventDocument] = []
    async for event in log.events.find(query, FIELDS, session=session).sort(BY_VERSION):
        if not is_event(event):
            continue
        event_name = (event["aggregateType"], event["aggregateId"])
        if event_name != name:
            if name is not None:
                yield name, events
            name, events = event_name, []
        events.append(cast("EventDocument", event))
    if name is not None:
        yield name, events


async def _foreign(log: Log) -> list[Difference]:
    """The documents that are not heads. The log never reads them, but one may be all that is left of a head."""
    with translate_errors(SECONDS):
        documents = await fetch_all(log.aggregates.find({"$nor": [HEADS]}).limit(MOST_FOREIGN))
    return [foreign("aggregates", document, NO_HEAD) for document in documents]
