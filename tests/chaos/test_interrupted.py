"""MongoDB fails a command in the middle of a batch: the outcome is unknown, but the batch is stored exactly once."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from eventscope.dev.servers import Mongod, ready
from eventscope.errors import LeaseLost, QuestionTimedOut, Unavailable
from eventscope.processes.ports import free
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Driver
from eventscope.store.state import checkpoint
from eventscope.store.values.message import MessageBatch, StreamPosition
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import Writer, writing
from tests.chaos.program import Program
from tests.store.support.appender import CREATED, NOON, STREAM, Clock, event

pytestmark = pytest.mark.processes

INTERRUPTED = {"code": 11601, "codeName": "Interrupted", "errmsg": "operation was interrupted"}
TIMED_OUT = {"code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting for replication timed out"}


@pytest.fixture(params=["motor", "pymongo"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    """A log in a MongoDB that fails on request."""
    server = Mongod(tmp_path, free())
    command = lambda: [*server.command(), "--setParameter", "enableTestCommands=1"]  # noqa: E731
    program = Program("mongod", command, tmp_path / "log", {})
    await program.start()
    try:
        await ready(server, lambda: program.runs)
        async with open_log(server.url, "test", cast("Driver", request.param), clock=Clock()) as log:
            await prepare(log)
            yield log
    finally:
        await program.close()


async def test_a_command_that_fails_within_a_batch_leaves_the_log_as_it_was_or_with_all_of_it(log: Log) -> None:
    failures: list[tuple[str, dict[str, Any]]] = [
        ("commitTransaction", {"writeConcernError": INTERRUPTED}),
        ("commitTransaction", {"writeConcernError": TIMED_OUT}),
        ("commitTransaction", {"errorCode": 11601}),
        ("commitTransaction", {"closeConnection": True}),
        ("find", {"errorCode": 11601}),
        ("find", {"closeConnection": True}),
        ("update", {"errorCode": 11601}),
        ("update", {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}),
        ("insert", {"errorCode": 11601}),
        ("insert", {"closeConnection": True}),
        ("insert", {"errorCode": 10107}),
    ]
    for number, (command, failure) in enumerate(failures, start=1):
        with suppress(Unavailable, QuestionTimedOut, LeaseLost):
            async with writing(log, Retention({}), "first", 60) as writer:
                assert writer is not None
                await _fail(log, command, failure)
                try:
                    await _append(writer, number)
                finally:
                    await _fail(log, command, None)
        # at once, because the writer that failed has released the lease
        async with writing(log, Retention({}), "second", 60) as writer:
            assert writer is not None
            if writer.at.head < number:
                await _append(writer, number)
        stored = [row["messageId"] async for row in log.events.find({}).sort("_id", 1)]
        assert stored == [f"m{one}" for one in range(1, number + 1)], (command, failure)
        assert await log.rejected.count_documents({}) == 0


async def test_what_exists_although_it_was_not_visible_is_not_called_unstorable(log: Log) -> None:
    """This happens after a change of primaries, when a read may be older than a write."""
    async with writing(log, Retention({}), "first", 60) as writer:
        assert writer is not None
        await log.events.insert_one({"_id": 1, "messageId": "unseen"})
        with pytest.raises(LeaseLost):
            await _append(writer, 1)
    assert (await checkpoint.read(log)).head == 0


async def _append(writer: Writer, number: int) -> None:
    message = event(id=f"m{number}", of=("user", "ada"), at=NOON)
    await writer.append(MessageBatch((message,), StreamPosition(STREAM, CREATED, number, NOON + number)))


async def _fail(log: Log, command: str, failure: dict[str, Any] | None) -> None:
    more = (
        {"mode": "off"} if failure is None else {"mode": {"times": 1}, "data": {"failCommands": [command], **failure}}
    )
    await log.mongo.client.admin.command({"configureFailPoint": "failCommand", **more})
