"""What the tests of examinations share: an ingester that holds the lease."""

import pytest

from eventscope.store.log import Log
from tests.support.ingesters import has_lease
from tests.support.until import until


@pytest.fixture
async def at_work(log: Log, ingesting: None) -> None:
    """An ingester holds the lease."""
    await until(lambda: has_lease(log))
