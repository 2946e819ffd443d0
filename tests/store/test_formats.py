"""Logs that earlier versions wrote are read, counted and continued; one of a later format is refused in a sentence."""

import logging
from pathlib import Path
from typing import Any, Final

import pytest
from bson.json_util import loads

from eventscope.errors import Blocked, LeaseLost
from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria
from eventscope.store.catalogue import counting
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING, Among
from eventscope.store.log import Log
from eventscope.store.recount import checkpoint_repair
from eventscope.store.recount.whole import recount
from eventscope.store.rejected import messages
from eventscope.store.state import checkpoint, lease
from eventscope.store.state.checkpoint_members import FORMAT
from eventscope.store.stats import counts
from eventscope.store.stats.counts import Scope
from eventscope.store.values.moment import HOUR
from eventscope.store.write.writer import writing
from tests.store.support.appender import Appender, Clock, event
from tests.store.support.format_sample import FOLDER, RETENTION, documents, saved

FORMATS: Final = range(1, FORMAT + 1)
GUIDE: Final = Path(__file__).parent.parent.parent / "docs" / "upgrading.md"


@pytest.fixture(params=FORMATS)
async def restored(request: pytest.FixtureRequest, log: Log, clock: Clock) -> list[dict[str, Any]]:
    """A log in an earlier format, or the present one; its events."""
    stored = list(saved(request.param))
    for name, document in stored:
        await log.mongo.collection(name).insert_one(document)
    events = [document for name, document in stored if name == "events"]
    clock.now = max(one["recordedAt"] for one in events) + HOUR
    return events


def test_there_is_a_log_of_each_format() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == [f"{format}.jsonl" for format in FORMATS]


def test_the_guide_says_of_each_format_what_it_changed() -> None:
    rows = [line.split("|")[1].strip() for line in GUIDE.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert rows[1:] == [str(format) for format in FORMATS]


async def test_the_log_of_the_present_format_is_what_this_version_writes(log: Log, clock: Clock) -> None:
    """If this fails, the format has changed: raise FORMAT, and say in docs/upgrading.md what changed."""
    written = await documents(log, clock)
    kept = (FOLDER / f"{FORMAT}.jsonl").read_text("utf-8").splitlines()
    assert list(map(_members, written)) == list(map(_members, kept))


async def test_everything_in_it_is_read(log: Log, restored: list[dict[str, Any]]) -> None:
    assert [one["_id"] for one in await pages.events(log, EVERYTHING, limit=100)] == [one["_id"] for one in restored]
    for one in restored:
        found = await pages.event(log, one["messageId"])
        assert found is not None
        assert {**found, "_id": one["_id"]} == one
    users = Among("aggregateType", ("user",))
    expected = [one["_id"] for one in restored if one.get("aggregateType") == "user"]
    assert [one["_id"] for one in await pages.events(log, users, limit=100)] == expected
    assert sum(cell.n for cell in await counts.cells(log, Scope())) == len(restored)
    heads = await aggregates.aggregates(log, AggregateCriteria(), limit=100)
    names = {(one["aggregateType"], one["aggregateId"]) for one in restored if "version" in one}
    assert {(one.type, one.id) for one in heads} == names
    assert [one.code for one in await messages.rejections(log, limit=100)] == [
        "ID_REUSED",
        "INVALID_JSON",
        "VERSION_CONFLICT",
    ]
    assert await counting.counted_to(log) == len(restored)


async def test_what_is_derived_in_it_agrees_with_its_events(log: Log, restored: list[dict[str, Any]]) -> None:
    report = await recount(log, lambda *_: None, repair=False)
    assert (report.wrong, report.beyond) == ([], [])


async def test_it_is_continued(log: Log, restored: list[dict[str, Any]]) -> None:
    async with writing(log, RETENTION, "successor", 600) as writer:
        assert writer is not None
        appender = Appender(log, writer.at, RETENTION)
        last = max(one["version"] for one in restored if one.get("aggregateId") == "new")
        stored = await appender.store(event("vendor.updated", "later", of=("vendor", "new")))
        assert (stored.head, stored.events[0]["version"]) == (len(restored) + 1, last + 1)
        [at] = [one["timestamp"] for one in restored if one["messageId"] == "g1"]
        repeated = await appender.store(event("vendor.created", "g1", of=("vendor", "new"), at=at))
        assert (repeated.duplicates, repeated.head) == (1, len(restored) + 1)
    document = await log.meta.find_one({"_id": checkpoint.ID})
    assert document is not None
    assert document["format"] == FORMAT
    assert (await recount(log, lambda *_: None, repair=False)).wrong == []


async def test_a_log_without_a_number_is_the_first_format(log: Log, appender: Appender) -> None:
    await appender.store(event())
    await log.meta.update_one({"_id": checkpoint.ID}, {"$unset": {"format": ""}})
    assert await checkpoint.head(log) == 1
    assert await lease.acquire(log, "first", 600) is not None


async def test_a_log_of_a_later_format_is_refused_by_everything_in_one_sentence(
    log: Log, appender: Appender, caplog: pytest.LogCaptureFixture
) -> None:
    await appender.store(event())
    await log.meta.update_one({"_id": checkpoint.ID}, {"$set": {"format": FORMAT + 1}})
    refused = (
        checkpoint.head(log),
        checkpoint.read(log),
        lease.acquire(log, "first", 600),
        recount(log, lambda *_: None, repair=True),
        checkpoint_repair.accept_loss(log),
    )
    said = f"the log has format {FORMAT + 1}, which a later version of Eventscope wrote"
    for one in refused:
        with pytest.raises(Blocked, match=said):
            await one
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
    document = await log.meta.find_one({"_id": checkpoint.ID})
    assert document is not None
    assert document["format"] == FORMAT + 1


async def test_a_batch_that_is_ready_when_a_later_version_takes_over_is_not_stored(
    log: Log, appender: Appender
) -> None:
    await appender.store(event())
    await log.meta.update_one({"_id": checkpoint.ID}, {"$set": {"format": FORMAT + 1}, "$inc": {"term": 1}})
    with pytest.raises(LeaseLost):
        await appender.store(event())
    assert await log.events.count_documents({}) == 1


def _members(line: str) -> object:
    """The names and types of everything in a line, without values that differ in each run."""

    def form(value: object) -> object:
        if isinstance(value, dict):
            return {name: form(inner) for name, inner in value.items()}
        return [form(one) for one in value] if isinstance(value, list) else type(value).__name__

    one = loads(line)
    return one["collection"], form(one["document"])
