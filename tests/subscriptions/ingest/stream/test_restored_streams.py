"""A stream that comes back without its last messages assigns sequences again: what is new is stored or recorded."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.subscriptions.nats.stream import ensure
from tests.subscriptions.support.ingest_state import until_at
from tests.support.ingesters import ingester, publish
from tests.support.killable_servers import killable_nats


@dataclass(frozen=True)
class Stage:
    """A log, and a NATS of its own that can be restored to an earlier state."""

    settings: Settings
    log: Log
    folder: Path

    @property
    def prefix(self) -> str:
        """The first word of the subjects."""
        return self.settings.subjects[0].removesuffix(".>")

    @property
    def saved(self) -> Path:
        """The folder of the copy."""
        return self.folder.with_name("saved")

    @asynccontextmanager
    async def nats(self) -> AsyncIterator[Client]:
        """Run NATS for the length of the block."""
        async with killable_nats(self.folder, int(self.settings.nats_url.rpartition(":")[2])):
            client = await nats.connect(self.settings.nats_url)
            yield client
            await client.close()

    def save(self) -> None:
        """Copy the stream as it is; NATS must not run."""
        shutil.copytree(self.folder, self.saved)

    def restore(self) -> None:
        """Put the copy back."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.saved, self.folder)

    async def take(self, sequence: int) -> LogCheckpoint:
        """The checkpoint after an ingester has read up to that sequence."""
        async with ingester(self.settings):
            await until_at(self.log, sequence)
        return await checkpoint.read(self.log)

    async def stored(self, first: int, count: int) -> list[int]:
        """Which of the messages with these numbers are stored."""
        found = self.log.events.find({"data": {"$gte": first, "$lt": first + count}}).sort("data", 1)
        return [event["data"] async for event in found]


@pytest.fixture
async def stage(settings: Settings, log: Log, tmp_path: Path) -> Stage:
    settings = settings.model_copy(update={"nats_url": f"nats://127.0.0.1:{free()}"})
    own = Stage(settings, log, tmp_path / "nats")
    async with own.nats() as client:
        await ensure(client.jetstream(), settings.stream, settings.subjects)
    return own


def ranges(at: LogCheckpoint) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in at.lost]


async def delete(client: Client, stage: Stage, sequences: Sequence[int]) -> None:
    for sequence in sequences:
        await client.jetstream().delete_msg(stage.settings.stream, sequence)


@pytest.mark.parametrize("removed", [(), (25,), (24, 25)], ids=["none", "the one", "the last two"])
async def test_after_a_hole_at_the_end_new_messages_with_its_sequences_are_stored(
    removed: Sequence[int], stage: Stage
) -> None:
    """The checkpoint is at a sequence whose message nobody has ever read."""
    async with stage.nats() as client:
        await publish(client, stage.prefix, 15)
        await stage.take(15)
    stage.save()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 10, 100)
        await client.jetstream().purge_stream(stage.settings.stream)
        assert ranges(await stage.take(25)) == [(16, 25)]
    stage.restore()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 20, 200)
        await delete(client, stage, removed)
        at = await stage.take(35)
    assert at.source_resets == 1
    assert await stage.stored(200, 20) == [n for n in range(200, 220) if n - 200 + 16 not in removed]
    assert ranges(at)[1:] == ([(removed[0], removed[-1])] if removed else [])


async def test_after_a_first_start_on_a_purged_stream_new_messages_with_its_sequences_are_stored(stage: Stage) -> None:
    async with stage.nats() as client:
        await publish(client, stage.prefix, 5)
    stage.save()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 5, 100)
        await client.jetstream().purge_stream(stage.settings.stream)
        assert ranges(await stage.take(10)) == []
    stage.restore()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 20, 200)
        at = await stage.take(25)
    assert (at.source_resets, at.lost_count) == (1, 0)
    assert await stage.stored(200, 20) == list(range(200, 220))


async def test_the_removal_of_the_message_at_the_checkpoint_does_not_hide_a_loss_of_the_last_ones(stage: Stage) -> None:
    async with stage.nats() as client:
        await publish(client, stage.prefix, 10)
        await stage.take(10)
    stage.save()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 10, 100)
        await stage.take(20)
    stage.restore()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 20, 200)
        await delete(client, stage, [20])
        at = await stage.take(30)
    assert at.source_resets == 1
    assert ranges(at) == [(20, 20)]
    assert await stage.stored(200, 20) == [n for n in range(200, 220) if n != 209]


REMOVED = {
    "between new ones": ([35, 36, 37, 38, 39], [(35, 39)]),
    "the first new ones": ([31, 32], [(31, 32)]),
    "the last new ones": ([44, 45], [(44, 45)]),
    "all new ones": (list(range(31, 46)), [(31, 45)]),
    "old ones": ([3, 4, 29], []),
    "old and new ones": ([1, 2, 29, 30, 31, 45], [(29, 31), (45, 45)]),
}


@pytest.mark.parametrize(("removed", "lost"), REMOVED.values(), ids=REMOVED)
async def test_messages_removed_from_a_stream_that_had_lost_its_last_ones_are_recorded_if_they_were_new(
    removed: list[int], lost: list[tuple[int, int]], stage: Stage
) -> None:
    """If old and new messages were removed next to each other, nothing distinguishes them: all of them may be lost."""
    async with stage.nats() as client:
        await publish(client, stage.prefix, 30)
        await stage.take(30)
    stage.save()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 20, 100)
        await stage.take(50)
    stage.restore()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 15, 200)
        await delete(client, stage, removed)
        at = await stage.take(45)
        assert at.source_resets == 1
        assert ranges(at) == lost
        # everything from now on is new, although its sequences were read before
        await publish(client, stage.prefix, 3, 300)
        await delete(client, stage, [47])
        at = await stage.take(48)
    assert ranges(at) == [*lost, (47, 47)]
    assert at.source_resets == 1
    assert await stage.stored(200, 15) == [n for n in range(200, 215) if n - 200 + 31 not in removed]


async def test_if_nothing_is_left_from_before_this_is_logged_and_one_loss_is_certain(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.nats() as client:
        await publish(client, stage.prefix, 10)
        await stage.take(10)
    stage.save()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 10, 100)
        await stage.take(20)
    stage.restore()
    async with stage.nats() as client:
        await publish(client, stage.prefix, 5, 200)
        await client.jetstream().purge_stream(stage.settings.stream)
        at = await stage.take(15)
    assert ranges(at) == [(15, 15)]
    assert "it is unknown which of those before sequence 16, which are gone, were never read" in caplog.text
