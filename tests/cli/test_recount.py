"""`eventscope recount` reports and corrects whatever was derived wrongly, while events come in."""

import asyncio
import sys
from dataclasses import dataclass

import httpx
import orjson
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from eventscope.settings import Settings
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.stats import expiry
from tests.support.processes import environment
from tests.support.until import until

STATS = "{ stats { totalEvents uniqueAggregates eventTypes } events(first: 1) { totalCount { exact } } }"


@dataclass(frozen=True, slots=True)
class Done:
    """How the command ended, and what it printed."""

    code: int
    said: str


async def recount(settings: Settings, *arguments: str) -> Done:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "recount", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(settings) | {"COLUMNS": "200"},
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode())


async def publish(js: JetStreamContext, prefix: str, first: int, last: int) -> None:
    for n in range(first, last):
        content = {"aggregateType": "user", "aggregateId": str(n), "messageId": str(n)}
        await js.publish(f"{prefix}.{'ab'[n % 2]}", orjson.dumps(content))


async def stats(api: str) -> list[int]:
    """How many events, aggregates and types there are, and the number of events again, computed another way."""
    async with httpx.AsyncClient() as http:
        answer = (await http.post(f"{api}/graphql", json={"query": STATS})).json()
    assert "errors" not in answer, answer
    found = answer["data"]["stats"]
    names = ("totalEvents", "uniqueAggregates", "eventTypes")
    return [*(int(found[name]) for name in names), int(answer["data"]["events"]["totalCount"]["exact"])]


async def as_a_wrong_clock_left_it(log: Log) -> None:
    """What an older version did in ten seconds with its clock forty days ahead: it treated everything as expired."""
    for type, through in (("a", 9), ("b", 10)):
        await log.expirations.insert_one({"_id": type, "through": through})
    await log.rollups.delete_many({"_id.minute": {"$exists": False}})
    await log.populations.delete_many({})


async def test_a_document_that_is_not_a_head_is_named_with_advice_and_left_there(
    settings: Settings, log: Log, ten: None
) -> None:
    foreign = {"_id": {"id": "a", "type": "user"}, "version": 1}
    await log.aggregates.insert_one(foreign)
    await log.populations.insert_one({"_id": {"aggregateType": "user"}, "n": None})
    done = await recount(settings)
    assert done.code == 1
    assert "the document {'id': 'a', 'type': 'user'} of the collection aggregates: find out what it is" in done.said
    assert "the document {'aggregateType': 'user'} of the collection populations is not Eventscope's" in done.said
    assert "Repaired: 1 foreign documents." in done.said
    again = await recount(settings)
    assert (again.code, "All other derived data agrees with the events." in again.said) == (1, True)
    assert await log.aggregates.find({"_id.id": "a"}).to_list(None) == [foreign]


@pytest.mark.parametrize("dry", [("--dry-run",), ()])
async def test_without_the_checkpoint_nothing_is_counted_and_the_remedy_is_reported(
    settings: Settings, log: Log, ten: None, dry: tuple[str, ...]
) -> None:
    before = await log.rollups.find({}).to_list(None)
    await log.meta.drop()
    done = await recount(settings, *dry)
    assert (done.code, await log.rollups.find({}).to_list(None)) == (2, before)
    assert "the collection events is not empty, but the collection meta says that nothing was stored" in done.said
    assert "`eventscope recount --accept-loss`" in done.said


async def test_the_ingester_continues_once_the_loss_of_its_checkpoint_is_accepted(
    settings: Settings, log: Log, client: Client, api: str, ten: None, subject_prefix: str
) -> None:
    await log.meta.drop()
    async with httpx.AsyncClient() as http:
        answer = (await http.post(f"{api}/graphql", json={"query": "{ events(first: 1) { nodes { type } } }"})).json()
    assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert await recount(settings, "--accept-loss") == Done(0, "All derived data agrees with the events.\n")
    await publish(client.jetstream(), subject_prefix, 9, 12)  # the first of which is recognized

    async def counted() -> bool:
        return await stats(api) == [12, 12, 2, 12]

    await until(counted)
    assert [event["_id"] async for event in log.events.find({}).sort("_id", 1)] == list(range(1, 13))


@pytest.fixture
async def ten(log: Log, client: Client, ingesting: None, subject_prefix: str) -> None:
    """Ten events are stored."""
    await publish(client.jetstream(), subject_prefix, 0, 10)

    async def stored() -> bool:
        return await checkpoint.head(log) == 10

    await until(stored)


async def test_the_damage_of_a_wrong_clock_is_repaired_while_the_ingester_runs(
    settings: Settings, log: Log, client: Client, api: str, ten: None, subject_prefix: str
) -> None:
    await as_a_wrong_clock_left_it(log)
    await publish(client.jetstream(), subject_prefix, 10, 12)

    async def stored() -> bool:
        return await checkpoint.head(log) == 12

    await until(stored)
    assert await stats(api) == [2, 2, 2, 2]

    looked = await recount(settings, "--dry-run")
    assert looked.code == 1
    assert "expired events of type a: through is 9, should be none" in looked.said
    assert "Nothing was changed" in looked.said
    assert await expiry.expired_through(log, EVERYTHING) == 10

    done = await recount(settings)
    assert (done.code, "Repaired: " in done.said) == (0, True)
    assert await stats(api) == [12, 12, 2, 12]
    assert await expiry.expired_through(log, EVERYTHING) == 0
    assert await recount(settings, "--dry-run") == Done(0, "All derived data agrees with the events.\n")

    await publish(client.jetstream(), subject_prefix, 12, 13)

    async def counted() -> bool:
        return await stats(api) == [13, 13, 2, 13]

    await until(counted)


async def test_a_head_that_the_ingester_remembers_is_read_again(
    settings: Settings, log: Log, client: Client, ten: None, subject_prefix: str
) -> None:
    await log.aggregates.update_one({"_id": {"type": "user", "id": "3"}}, {"$set": {"version": 7, "deleted": True}})
    done = await recount(settings)
    assert done.code == 0
    assert "aggregate user 3: version is 7, should be 1; deleted is True, should be False" in done.said
    content = {"aggregateType": "user", "aggregateId": "3", "messageId": "next"}
    await client.jetstream().publish(f"{subject_prefix}.a", orjson.dumps(content))

    async def next_version() -> object:
        found = await log.events.find_one({"messageId": "next"})
        return None if found is None else found["version"]

    assert await until(next_version) == 2
    assert (await recount(settings, "--dry-run")).code == 0


async def test_concurrent_recounts_and_one_that_is_killed_do_no_harm(
    settings: Settings, log: Log, client: Client, ten: None, subject_prefix: str
) -> None:
    await as_a_wrong_clock_left_it(log)
    sending = asyncio.create_task(publish(client.jetstream(), subject_prefix, 10, 300))
    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "recount"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(settings),
    )

    async def begun() -> bool:
        at = await log.meta.find_one({"_id": checkpoint.ID})
        return at is not None and "recounts" in at

    await until(begun)
    killed.kill()
    await killed.wait()
    await asyncio.gather(recount(settings), recount(settings))
    await sending

    async def stored() -> bool:
        return await checkpoint.head(log) == 300

    await until(stored)
    last = await recount(settings)
    assert last.code == 0, last.said
    assert (await recount(settings, "--dry-run")).code == 0
