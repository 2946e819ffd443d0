"""What the tests of GraphQL over WebSocket share: the sample log, served."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.sample_log import SampleApi, sample_api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    """A served log of a few hundred events."""
    async with sample_api(mongo_url, nats_url) as sample:
        yield sample


@pytest.fixture(scope="module")
def url(sample: SampleApi) -> str:
    """The address of its WebSockets."""
    return sample.api.socket_url
