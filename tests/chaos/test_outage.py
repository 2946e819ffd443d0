"""MongoDB or NATS is out of reach for longer than any time limit, or takes no writes: ingest waits, and says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from eventscope.subscriptions.ingest.ingester import BACKOFF
from tests.chaos.checker import check
from tests.chaos.ingester_state import Said, said
from tests.chaos.network import locked, silent
from tests.chaos.stage import RECOVERY_SECONDS, Stage, staged
from tests.chaos.stored_log import kept
from tests.support.until import until

pytestmark = pytest.mark.processes

RATE = 200.0
SOME = 200  # events, by which all is well again


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """All at work, under load."""
    async with staged(tmp_path, seed=1, rate=RATE) as stage:
        await _grows(stage)
        for line in stage.lines:  # the standby may still be about to prepare the log
            await _said(line.watch, lambda one: one.ready)
        yield stage


@pytest.mark.timeout(300)
async def test_while_mongodb_is_out_of_reach_ingest_waits_with_backoff_says_so_and_loses_nothing(stage: Stage) -> None:
    """Packets vanish, and the connections of before stay silent for ever: nothing tells of it but our own limits."""
    clock = asyncio.get_running_loop().time
    async with silent([line.mongo for line in stage.lines], forgotten=True):
        begin, accepted = clock(), stage.load.ledger.acknowledged
        told = [await _said(line.watch, lambda one: not one.ready) for line in stage.lines]
        # the question that hung, the one that found no server in time, and all the pauses up to the longest
        for line in stage.lines:
            await _said(line.watch, lambda one: {"timeout", "unavailable"} <= set(one.errors))
        ends = [await _said(line.watch, lambda one: one.failures > len(BACKOFF) + 1) for line in stage.lines]
        waited = clock() - begin
        assert stage.load.ledger.acknowledged > accepted  # publishers need only NATS
    for one in (*told, *ends):
        assert one.reason
        assert one.samples["ingest_active"] == one.samples["log_up"] == 0
        # no more tries than the pauses between them allow; one may have failed before, when the other had the lease
        assert one.failures <= 1 + len(BACKOFF) + waited / max(BACKOFF)
    await _well_again(stage)


@pytest.mark.timeout(300)
async def test_while_nats_is_out_of_reach_ingest_says_so_and_comes_back_by_itself(stage: Stage) -> None:
    """Half-open connections too: NATS goes on for others, and only pings can find out that it is gone for us."""
    async with silent([line.nats for line in stage.lines], forgotten=True):
        accepted = stage.load.ledger.acknowledged
        told = [await _said(line.watch, lambda one: not one.ready) for line in stage.lines]
        await until(lambda: stage.load.ledger.acknowledged > accepted + SOME)
    for one in told:
        assert "NATS" in one.reason, one.reason
        assert one.samples["ingest_active"] == 0 and one.samples["log_up"] == 1
    await _well_again(stage)


@pytest.mark.timeout(300)
async def test_a_mongodb_that_refuses_writes_is_waited_for_and_can_still_be_asked(stage: Stage) -> None:
    admin = stage.log.mongo.client.admin
    await admin.command({"replSetStepDown": 600, "secondaryCatchUpPeriodSecs": 0, "force": True})
    told = [await _said(line.watch, lambda one: not one.ready) for line in stage.lines]
    assert await stage.head()
    await admin.command({"replSetFreeze": 0})  # or it would be no primary for ten minutes
    await until(stage.mongod.server.answers, RECOVERY_SECONDS)
    for one in told:
        assert one.reason and set(one.errors) <= {"unavailable", "timeout", "lease_lost"}, one.errors
    await _well_again(stage)


@pytest.mark.timeout(300)
async def test_a_mongodb_whose_writes_hang_is_waited_for(stage: Stage) -> None:
    async with locked(stage):
        told = [await _said(line.watch, lambda one: not one.ready) for line in stage.lines]
        assert await stage.head()
    for one in told:
        assert one.reason and one.samples["log_up"] == 1
    await _well_again(stage)


async def _well_again(stage: Stage) -> None:
    """All is ready and at work, what waited is stored, no ingester had to be started again, and nothing is missing."""
    await _grows(stage)
    for line in stage.lines:
        await _said(line.watch, lambda one: one.ready)
    await stage.load.end()
    await stage.settled()
    for program in stage.ingesters:
        assert program.starts == 1
        await program.close()
    report = check(stage.load.ledger.published(), await kept(stage.log))
    assert [str(finding) for finding in report.findings] == []
    assert str(report) == "lost 0, twice 0, out of order 0"
    assert report.lost_by_nats == 0


async def _grows(stage: Stage) -> None:
    async def reached() -> bool:
        return (await stage.head() or 0) >= before + SOME

    before = await until(stage.head, RECOVERY_SECONDS) or 0
    await until(reached, RECOVERY_SECONDS)


async def _said(port: int, wanted: Callable[[Said], bool]) -> Said:
    """What the ingester says as soon as it says what is wanted."""

    async def look() -> Said | None:
        one = await said(port)
        return one if one is not None and wanted(one) else None

    wait: Callable[[], Awaitable[Said | None]] = look
    found = await until(wait, RECOVERY_SECONDS)
    assert found is not None
    return found
