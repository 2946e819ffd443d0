"""What the tests of publishers share: a NATS that may be killed, a connection, and subjects without a stream."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from eventscope.subscriptions.nats.stream import connect
from tests.subscriptions.support.own_nats import OwnNats


@pytest.fixture
async def own_nats(tmp_path: Path) -> AsyncIterator[OwnNats]:
    """A NATS that the test may kill and freeze."""
    server = OwnNats(tmp_path / "nats")
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def bare_client(nats_url: str) -> AsyncIterator[Client]:
    """A connection to NATS; there is no stream yet."""
    async with await connect(nats_url, "test") as client:
        yield client


@pytest.fixture
def subjects(subject_prefix: str) -> list[str]:
    """Subjects that no stream has yet."""
    return [f"{subject_prefix}.>"]
