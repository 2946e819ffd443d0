"""The two drivers behind one interface, their errors translated into ours, while MongoDB is down, slow or unfit."""

import asyncio
import gc
import signal
import subprocess
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pymongo import MongoClient
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from eventscope.dev.servers import Mongod, ready, run_server
from eventscope.errors import CannotStart, QuestionTimedOut, TooLargeTogether, Unavailable, Unstorable
from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import free
from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria
from eventscope.store.events import pages, types
from eventscope.store.filters.filter import EVERYTHING, TypePatterns
from eventscope.store.log import Log, open_log, prepare, server_version, synchronise
from eventscope.store.mongo.driver import Document, Driver, connect
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.failure import refuses
from eventscope.store.rejected import messages
from eventscope.store.state import checkpoint
from eventscope.store.stats import counts, expiry
from eventscope.store.stats.counts import Scope
from eventscope.store.values.moment import HOUR
from tests.store.support.appender import NOON, Appender, event
from tests.support.killable_servers import freeze
from tests.support.until import until

QUESTIONS: dict[str, Callable[[Log], Coroutine[Any, Any, object]]] = {
    "events": lambda log: pages.events(log, EVERYTHING, limit=10),
    "events of a pattern": lambda log: pages.events(log, TypePatterns(("*",)), limit=10),
    "event": lambda log: pages.event(log, "a"),
    "count": lambda log: pages.count(log, EVERYTHING),
    "types": types.types,
    "cells": lambda log: counts.cells(log, Scope(low=NOON + 1)),
    "unique aggregates": lambda log: counts.aggregates(log, Scope(types=TypePatterns(("a",)))),
    "aggregates": lambda log: aggregates.aggregates(log, AggregateCriteria(), limit=10),
    "an aggregate": lambda log: aggregates.by_name(log, [("a", "b")]),
    "how many aggregates": lambda log: aggregates.count(log, AggregateCriteria(), 10),
    "rejected": lambda log: messages.rejections(log, limit=10),
    "how many rejected": messages.count,
    "checkpoint": checkpoint.read,
    "head": checkpoint.head,
    "lease": lambda log: checkpoint.acquire(log, "other", 1),
    "housekeeping": expiry.tidy,
    "version": server_version,
}


class OwnMongod:
    """A MongoDB that the test may kill and freeze."""

    def __init__(self, folder: Path) -> None:
        self.server = Mongod(folder, free())
        self.url = self.server.url
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        process = self._launch()
        self._process = process
        await ready(self.server, lambda: process.poll() is None)

    def _launch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            guard_command(self.server.command()), stdin=lifeline(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def freeze(self) -> None:
        if self._process is not None:
            freeze(self._process.pid)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def swept() -> Iterator[None]:
    """Collects garbage after a test: pymongo's async client forgets its socket if it is closed while connecting."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
async def own(tmp_path: Path, swept: None) -> AsyncIterator[OwnMongod]:
    own = OwnMongod(tmp_path)
    await own.start()
    yield own
    own.signal(signal.SIGCONT)
    own.kill()


@pytest.fixture
async def own_log(own: OwnMongod, driver: Driver) -> AsyncIterator[Log]:
    """A log on that MongoDB; a query may take a second."""
    async with open_log(own.url, "test", driver, question_seconds=1.0) as log:
        await prepare(log)
        await (await Appender.of(log)).store(event("a", id="a", of=("a", "b"), at=NOON + HOUR))
        yield log


class Standalone(Mongod):
    """A MongoDB that is not a member of a replica set."""

    def command(self) -> list[str]:
        command = super().command()
        place = command.index("--replSet")
        return command[:place] + command[place + 2 :]

    async def answers(self) -> bool:
        return await asyncio.to_thread(self._pings)

    def _pings(self) -> bool:
        with MongoClient[dict[str, Any]](self.url, serverSelectionTimeoutMS=100) as client:
            try:
                return bool(client.admin.command("ping")["ok"])
            except PyMongoError:
                return False


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Standalone, tmp_path_factory.mktemp("standalone")) as server:
        yield server.url


@pytest.mark.processes
async def test_a_mongodb_that_is_not_a_replica_set_is_refused_with_the_reason(standalone: str, driver: Driver) -> None:
    async with open_log(standalone, "test", driver) as log:
        with pytest.raises(CannotStart, match="MongoDB is not a replica set, and transactions need one"):
            await prepare(log)
        assert await log.mongo.database.list_collection_names() == []


@pytest.mark.processes
async def test_a_transaction_on_a_standalone_mongodb_reports_that_a_replica_set_is_missing(
    standalone: str, driver: Driver
) -> None:
    async with open_log(standalone, "test", driver) as log:
        await synchronise(log)
        await log.meta.delete_many({})
        appender = await Appender.of(log)
        with pytest.raises(CannotStart, match="is not a replica set"):
            await appender.store(event())


class Guarded(Standalone):
    """A MongoDB that requires authentication."""

    def command(self) -> list[str]:
        return [*super().command(), "--auth"]


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Guarded, tmp_path_factory.mktemp("guarded")) as server:
        yield server.url


@pytest.mark.processes
@pytest.mark.parametrize("user", ["", "ada:secret@"])
async def test_a_user_without_rights_gets_an_error_without_the_password(
    guarded_url: str, user: str, driver: Driver
) -> None:
    async with open_log(guarded_url.replace("//", f"//{user}", 1), "test", driver) as log:
        with pytest.raises(CannotStart, match="MongoDB refuses the user of EVENTSCOPE_MONGO_URL: ") as refused:
            await synchronise(log)
            await pages.first_position(log)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1", "mongodb://", "mongodb://host:port/", "mongodb://a:b:c@host/"])
async def test_an_address_that_cannot_be_read_is_refused_at_the_start(url: str, driver: Driver) -> None:
    with pytest.raises(CannotStart, match="EVENTSCOPE_MONGO_URL cannot be used: "):
        async with connect(url, "test", driver):
            pass


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile", "tlsCRLFile"])
async def test_a_missing_file_in_the_address_is_refused_in_a_sentence(option: str, driver: Driver) -> None:
    with pytest.raises(CannotStart, match="EVENTSCOPE_MONGO_URL names a file that cannot be read: No such file"):
        async with connect(f"mongodb://127.0.0.1/?tls=true&{option}=/not/there", "test", driver):
            pass


async def test_a_fault_in_an_address_that_only_the_first_call_finds_makes_mongodb_unavailable(
    driver: Driver, swept: None
) -> None:
    async with open_log("mongodb+srv://me:hunter2@nohost.invalid/", "test", driver, question_seconds=5) as log:
        with pytest.raises(Unavailable, match=r"nohost\.invalid") as told:
            await synchronise(log)
        assert "hunter2" not in str(told.value)


async def test_opening_a_log_waits_for_no_server(driver: Driver, swept: None) -> None:
    async with open_log(f"mongodb://127.0.0.1:{free()}", "test", driver):
        pass


async def test_a_server_that_was_never_running_is_unavailable(driver: Driver, swept: None) -> None:
    async with open_log(f"mongodb://127.0.0.1:{free()}", "test", driver, question_seconds=0.5) as log:
        with pytest.raises(Unavailable, match="MongoDB does not answer now"):
            await synchronise(log)


@pytest.mark.processes
async def test_while_a_server_is_down_every_query_is_unavailable(own: OwnMongod, own_log: Log) -> None:
    before = {name: await question(own_log) for name, question in QUESTIONS.items()}
    appender = Appender(own_log, await checkpoint.read(own_log))
    own.kill()
    asked = [question(own_log) for question in (*QUESTIONS.values(), synchronise, prepare)]
    outcomes = await asyncio.gather(*asked, appender.store(event(), seconds=1.0), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}

    await own.start()
    assert {name: await question(own_log) for name, question in QUESTIONS.items()} == before
    assert (await appender.store(event())).head == 2


@pytest.mark.processes
async def test_a_server_that_is_down_is_reported_long_before_a_query_times_out(own: OwnMongod, driver: Driver) -> None:
    async with open_log(own.url, "test", driver, question_seconds=300.0) as log:
        await prepare(log)
        own.kill()
        for _ in range(2):
            async with asyncio.timeout(60):
                with pytest.raises(Unavailable, match="MongoDB does not answer now"):
                    await pages.first_position(log)


@pytest.mark.processes
async def test_on_a_server_that_hangs_every_query_times_out(own: OwnMongod, own_log: Log) -> None:
    await synchronise(own_log)
    own.freeze()
    asked = [question(own_log) for question in QUESTIONS.values()]
    outcomes = await asyncio.gather(*asked, synchronise(own_log), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {QuestionTimedOut, Unavailable}
    assert QuestionTimedOut in {type(outcome) for outcome in outcomes}

    own.signal(signal.SIGCONT)

    async def well() -> bool:
        try:
            return await pages.event(own_log, "a") is not None
        except (QuestionTimedOut, Unavailable):
            return False

    await until(well)


# ten billion rows from one: nobody waits for the last
MANY = {"$range": [0, 100_000]}
SLOW_PIPELINE: list[Document] = [
    {"$project": {"n": MANY}},
    {"$unwind": "$n"},
    {"$project": {"n": MANY}},
    {"$unwind": "$n"},
    {"$count": "n"},
]
SLOW: dict[str, Callable[[Log], Any]] = {
    "a search": lambda log: log.events.find({"$where": "while (true) {}"}).to_list(None),
    "a pipeline": lambda log: log.mongo.aggregate(log.events, SLOW_PIPELINE),
}


@pytest.mark.parametrize("question", SLOW.values(), ids=SLOW.keys())
async def test_a_query_that_takes_mongodb_too_long_is_ended_there_too(
    log: Log, appender: Appender, question: Callable[[Log], Any]
) -> None:
    await appender.store(event())
    said = r"longer than 0\.5 seconds; narrow the query"
    with pytest.raises(QuestionTimedOut, match=said) as late, translate_errors(0.5):
        await question(log)
    assert late.value.seconds == 0.5

    async def ended() -> bool:
        run_server = {"currentOp": 1, "ns": f"{log.mongo.database.name}.events", "active": True}
        return not (await log.mongo.client.admin.command(run_server))["inprog"]

    await until(ended)


async def test_a_document_that_mongodb_refuses_is_unstorable(log: Log, appender: Appender) -> None:
    for data in ({"nul\0": 1}, 2**63, "x" * 17_000_000, object(), {1: 2}):
        with pytest.raises(Unstorable):
            await appender.store(hostile(data))
        assert await checkpoint.read(log) == appender.at
    assert (await appender.store(event())).head == 1


def hostile(data: object) -> Any:
    """A message with data that JSON cannot express, as only a bug of ours could create it."""
    message = event()
    return type(message)(message.arrival, {**message.fields, "data": data}, message.expected_version)


async def test_errors_that_are_our_own_fault_are_not_translated(log: Log) -> None:
    with pytest.raises(OperationFailure, match=r"unknown operator: \$nonsense"), translate_errors(1.0):
        await log.events.find_one({"type": {"$nonsense": 1}})


TOO_LARGE: Final = {"code": 388, "errmsg": "-31800: transaction is too large and will not fit"}


@pytest.mark.parametrize(
    "error",
    [
        OperationFailure("too large", 388, TOO_LARGE),
        OperationFailure("too large", 257, {"code": 257, "errmsg": "Total size of all transaction operations"}),
        BulkWriteError({"writeErrors": [{"index": 5, **TOO_LARGE}]}),
    ],
)
def test_a_transaction_that_is_too_large_is_not_the_fault_of_its_content(error: OperationFailure) -> None:
    assert not refuses(error)
    with pytest.raises(TooLargeTogether), translate_errors(1.0):
        raise error


async def test_writes_wait_for_a_majority_and_its_journal(log: Log) -> None:
    concern = log.events.write_concern.document
    assert (concern["w"], concern["j"]) == ("majority", True)
    assert log.events.read_concern.level == "majority"


async def test_the_server_reports_its_version(log: Log) -> None:
    await synchronise(log)
    assert [part.isdigit() for part in (await server_version(log)).split(".")] == [True, True, True]
