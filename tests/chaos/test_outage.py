"""MongoDB or NATS is unreachable for longer than any time limit, or accepts no writes: ingest waits, and reports it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from eventscope.subscriptions.ingest.limits import IngestLimits
from tests.chaos.checker import check
from tests.chaos.ingester_state import IngesterState, read_state
from tests.chaos.network import locked, silent
from tests.chaos.stage import RECOVERY_SECONDS, Stage, staged
from tests.chaos.stored_log import read_log
from tests.support.until import until

pytestmark = pytest.mark.processes

RATE = 200.0
SOME = 200  # events, after which everything works again


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """The stage under load, with both ingesters ready."""
    async with staged(tmp_path, seed=1, rate=RATE) as stage:
        await _grows(stage)
        for line in stage.lines:  # the standby may still be about to prepare the log
            await _state(line.watch, lambda one: one.ready)
        yield stage


@pytest.mark.timeout(300)
async def test_while_mongodb_is_unreachable_ingest_waits_with_backoff_reports_it_and_loses_nothing(
    stage: Stage,
) -> None:
    """Packets vanish, and old connections stay silent forever: only our own time limits can notice it."""
    clock, backoff = asyncio.get_running_loop().time, IngestLimits().backoff
    async with silent([line.mongo for line in stage.lines], forgotten=True):
        begin, accepted = clock(), stage.load.ledger.acknowledged
        states = [await _state(line.watch, lambda one: not one.ready) for line in stage.lines]
        # the read that hung, the one that found no server in time, and all pauses up to the longest
        for line in stage.lines:
            await _state(line.watch, lambda one: {"timeout", "unavailable"} <= set(one.errors))
        ends = [await _state(line.watch, lambda one: one.failures > len(backoff) + 1) for line in stage.lines]
        waited = clock() - begin
        assert stage.load.ledger.acknowledged > accepted  # publishers need only NATS
    for one in (*states, *ends):
        assert one.reason
        assert one.samples["ingest_active"] == one.samples["log_up"] == 0
        # no more attempts than the pauses allow; one may have failed before, while the other ingester had the lease
        assert one.failures <= 1 + len(backoff) + waited / max(backoff)
    await _well_again(stage)


@pytest.mark.timeout(300)
async def test_while_nats_is_unreachable_ingest_reports_it_and_recovers_by_itself(stage: Stage) -> None:
    """Half-open connections too: NATS still serves others, and only pings can show that we cannot reach it."""
    async with silent([line.nats for line in stage.lines], forgotten=True):
        accepted = stage.load.ledger.acknowledged
        states = [await _state(line.watch, lambda one: not one.ready) for line in stage.lines]
        await until(lambda: stage.load.ledger.acknowledged > accepted + SOME)
    for one in states:
        assert "NATS" in one.reason, one.reason
        assert one.samples["ingest_active"] == 0 and one.samples["log_up"] == 1
    await _well_again(stage)


@pytest.mark.timeout(300)
async def test_ingest_waits_for_a_mongodb_that_refuses_writes_and_queries_still_work(stage: Stage) -> None:
    admin = stage.log.mongo.client.admin
    await admin.command({"replSetStepDown": 600, "secondaryCatchUpPeriodSecs": 0, "force": True})
    states = [await _state(line.watch, lambda one: not one.ready) for line in stage.lines]
    assert await stage.head()
    await admin.command({"replSetFreeze": 0})  # otherwise it would not become primary for ten minutes
    await until(stage.mongod.server.answers, RECOVERY_SECONDS)
    for one in states:
        assert one.reason and set(one.errors) <= {"unavailable", "timeout", "lease_lost"}, one.errors
    await _well_again(stage)


@pytest.mark.timeout(300)
async def test_ingest_waits_for_a_mongodb_whose_writes_hang(stage: Stage) -> None:
    async with locked(stage):
        states = [await _state(line.watch, lambda one: not one.ready) for line in stage.lines]
        assert await stage.head()
    for one in states:
        assert one.reason and one.samples["log_up"] == 1
    await _well_again(stage)


async def _well_again(stage: Stage) -> None:
    """Asserts that everything is ready and at work, all messages are stored, and no ingester was restarted."""
    await _grows(stage)
    for line in stage.lines:
        await _state(line.watch, lambda one: one.ready)
    await stage.load.end()
    await stage.settled()
    for program in stage.ingesters:
        assert program.starts == 1
        await program.close()
    report = check(stage.load.ledger.published(), await read_log(stage.log))
    assert [str(finding) for finding in report.findings] == []
    assert str(report) == "lost 0, twice 0, out of order 0"
    assert report.lost_by_nats == 0


async def _grows(stage: Stage) -> None:
    async def reached() -> bool:
        return (await stage.head() or 0) >= before + SOME

    before = await until(stage.head, RECOVERY_SECONDS) or 0
    await until(reached, RECOVERY_SECONDS)


async def _state(port: int, condition: Callable[[IngesterState], bool]) -> IngesterState:
    """The ingester's state, as soon as it meets the condition."""

    async def look() -> IngesterState | None:
        one = await read_state(port)
        return one if one is not None and condition(one) else None

    wait: Callable[[], Awaitable[IngesterState | None]] = look
    found = await until(wait, RECOVERY_SECONDS)
    assert found is not None
    return found
