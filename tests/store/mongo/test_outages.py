"""While MongoDB is down, hangs or was never there, every query reports so in time, and afterwards all is as before."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from eventscope.background import beside
from eventscope.dev.servers import Mongod, ready
from eventscope.errors import QuestionTimedOut, Unavailable
from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import free
from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria
from eventscope.store.events import pages, types
from eventscope.store.filters.filter import EVERYTHING, TypePatterns
from eventscope.store.log import Log, open_log, prepare, server_version, synchronise
from eventscope.store.mongo.driver import Driver
from eventscope.store.rejected import messages
from eventscope.store.state import checkpoint, lease
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
    "lease": lambda log: lease.acquire(log, "other", 1),
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


@pytest.mark.processes
async def test_a_mongodb_that_hangs_does_not_hold_up_the_end_of_a_process_or_its_event_loop(
    own: OwnMongod, driver: Driver, swept: None
) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.05)

    async with beside(beat()), asyncio.timeout(12):  # motor's own way blocks for over 20 seconds
        async with open_log(own.url, "test", driver) as log:
            await checkpoint.head(log)
            own.freeze()
            before = beats
        assert beats > before + 5
