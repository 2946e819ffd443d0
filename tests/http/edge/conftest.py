"""What the tests of the edge share: an API that is served under a name, behind a proxy, to a page of another site."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.http.support.gate_requests import OURS
from tests.support.sample_log import SampleApi, sample_api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    """A served log; its API has a name, trusts a proxy and lists a page of another site."""
    more = {"hosts": ("api.example.org",), "origins": (OURS,), "proxies": ("192.0.2.7",)}
    async with sample_api(mongo_url, nats_url, **more) as sample:
        yield sample


@pytest.fixture(scope="module")
def http(sample: SampleApi) -> httpx.AsyncClient:
    """A client of it."""
    return sample.api.http
