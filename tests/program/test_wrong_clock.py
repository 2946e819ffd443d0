"""An ingester on a machine whose clock is wrong by weeks: everything is stored, and nothing expires before its time."""

import orjson
import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.recount.whole import recount
from eventscope.store.rejected import messages
from eventscope.store.state import checkpoint
from eventscope.store.stats import counts, expiry
from eventscope.store.stats.counts import Scope
from eventscope.store.values import moment
from eventscope.store.values.moment import DAY
from tests.support.ingesters import ingester
from tests.support.until import until


@pytest.mark.parametrize("days", [-40, 40])
async def test_a_wrong_clock_loses_nothing_and_falsifies_no_count(
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    days: int,
) -> None:
    settings = settings.model_copy(update={"lease_seconds": 0.6})

    async def store(first: int, last: int) -> None:
        for n in range(first, last):
            content = {"aggregateType": "user", "aggregateId": str(n), "messageId": str(n)}
            await client.jetstream().publish(f"{subject_prefix}.{'ab'[n % 2]}", orjson.dumps(content))

        async def stored() -> bool:
            return await checkpoint.head(log) == last

        await until(stored)

    async with ingester(settings):
        await store(0, 10)
    right = moment.now
    with monkeypatch.context() as patch:
        patch.setattr(moment, "now", lambda: right() + days * DAY)
        async with ingester(settings):
            await store(10, 15)
            await until(lambda: "counts of expired events are not tidied up" in caplog.text)
    async with ingester(settings):
        await store(15, 17)

    assert await messages.count(log) == 0
    assert sum(cell.n for cell in await counts.cells(log, Scope())) == 17
    assert await counts.aggregates(log, Scope()) == 17
    assert await expiry.expired_through(log, EVERYTHING) == 0
    assert (await recount(log, lambda *_: None, repair=False)).wrong == []
