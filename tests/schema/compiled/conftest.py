"""What the tests of compiled execution share: twin APIs, of which one compiles, over a log and over broken rows."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from eventscope.app import services
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.context import Services
from eventscope.schema.limits.limits import Limits
from eventscope.settings import Settings
from tests.schema.support.broken_rows import BROKEN, GOOD
from tests.schema.support.twin_apis import TwinApis, twin_apis
from tests.support.sample_log import SampleApi


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def twins(sample: SampleApi) -> AsyncIterator[TwinApis]:
    """APIs over the sample log."""
    with pytest.MonkeyPatch.context() as patch:
        # compiled at once, and not when it is repeated
        patch.setattr(CompiledExecutor, "warm", 1)
        yield twin_apis(sample.settings, sample.api.services)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broken_services(sample: SampleApi) -> AsyncIterator[tuple[Settings, Services]]:
    """A log of broken rows."""
    chosen = sample.settings.model_copy(update={"mongo_database": f"{sample.settings.mongo_database}_broken"})
    async with services(chosen) as found:
        rows = [{"_id": n, **GOOD, "messageId": f"broken {n}", **row} for n, row in enumerate(BROKEN, start=1)]
        await found.log.events.insert_many(rows)
        await found.log.meta.insert_one({"_id": "checkpoint", "head": len(rows)})
        # with such a small budget, one answer fits and two do not
        yield chosen, replace(found, limits=Limits(entries=1500))
        await found.log.mongo.client.drop_database(chosen.mongo_database)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broken_twins(twins: TwinApis, broken_services: tuple[Settings, Services]) -> TwinApis:
    """APIs over a log of broken rows."""
    return twin_apis(*broken_services)
