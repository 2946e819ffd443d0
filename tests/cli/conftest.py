"""What the tests of `eventscope rejected` share: the command, and four messages that were rejected."""

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.values.message import EXPECTED_VERSION
from tests.cli.support.rejected_commands import OF_42, Shell, has_rejected
from tests.support.until import until


@pytest.fixture
def run_rejected(settings: Settings) -> Shell:
    """Runs `eventscope rejected` on the servers of the test."""
    return Shell(settings)


@pytest.fixture
async def rejected_messages(
    log: Log, client: Client, subject_prefix: str, ingesting: None
) -> AsyncIterator[list[bytes]]:
    """Four rejected messages, numbered 1 to 4."""
    sent = [
        (b"no json", {}),
        (OF_42, {EXPECTED_VERSION: "1"}),
        (b"\xff\x00\x1b[2J", {}),
        (OF_42, {EXPECTED_VERSION: "2"}),
    ]
    for raw, headers in sent:
        await client.jetstream().publish(f"{subject_prefix}.user.updated", raw, headers={"Trace": "t1"} | headers)
    await until(lambda: has_rejected(log, 4))
    yield [raw for raw, _ in sent]
