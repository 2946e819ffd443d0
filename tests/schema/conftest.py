"""What the tests of queries share: one log that all of them read."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.sample_log import SampleApi, sample_api


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    """A served log of a few hundred events, which nobody changes; tests that use it run in its loop.

    None of the events is kept in memory: many tests check what is read from MongoDB.
    """
    async with sample_api(mongo_url, nats_url, tail_events=0) as sample:
        yield sample
