"""Two ingesters at once: the lease says which should write, but only the fence in each transaction makes it safe."""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from eventscope.background import end
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint, lease
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.subscriptions.ingest import ingester
from eventscope.subscriptions.ingest.limits import IngestLimits
from tests.chaos.checker import check
from tests.chaos.stage import publishing, settled
from tests.chaos.stored_log import read_log
from tests.support.until import until

EVENTS = 3000
COLLISIONS = 20


async def test_two_ingesters_that_both_hold_the_lease_store_everything_once_and_in_order(
    settings: Settings,
    log: Log,
    client: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both ingesters ignore the lease and have the same name, so that only the fence keeps them apart."""

    async def ignore_lease(
        log: Log, holder: str, seconds: float, session_id: object = None, *, at_work: bool = True
    ) -> LogCheckpoint:
        found = await checkpoint.read(log)
        return replace(found, holder="both", term=1, lease_held=True)

    async def release_nothing(log: Log, holder: str) -> None:
        pass

    monkeypatch.setattr(lease, "acquire", ignore_lease)
    monkeypatch.setattr(lease, "release", release_nothing)
    await log.meta.insert_one({"_id": checkpoint.ID, "head": 0, "term": 1, "holder": "both"})
    settings = settings.model_copy(update={"batch": 20})
    with caplog.at_level(logging.WARNING, ingester.__name__):
        async with AsyncExitStack() as stack:
            load = await stack.enter_async_context(publishing(settings, seed=1, rate=800))
            writers = [asyncio.create_task(ingest(settings, IngestLimits(backoff=(0.01,)))) for _ in range(2)]
            await until(lambda: _fought(log, caplog))
            await load.end()
            await settled(settings, log)
            await end(*writers)
    report = check(load.ledger.published(), await read_log(log))
    assert [str(finding) for finding in report.findings] == []
    assert report.events >= EVENTS


async def _fought(log: Log, caplog: pytest.LogCaptureFixture) -> bool:
    collisions = sum("ingest stopped" in record.message for record in caplog.records)
    return collisions >= COLLISIONS and await checkpoint.head(log) >= EVENTS
