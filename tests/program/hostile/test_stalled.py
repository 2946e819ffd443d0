"""Hundreds of clients that stop reading, at an API that is a process of its own."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

import orjson
from nats.aio.client import Client

from eventscope.processes.ports import HOST, free
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.program.hostile.stalled_subscribers import Follower, answers, figures, followers, memory, stalled, text
from tests.support import processes
from tests.support.until import until

STALLED: Final = 200
READING: Final = 5
BYTES: Final = 5_000  # of an event
CLIENT_BYTES: Final = 64 * 1024  # that wait for one client
CHUNK: Final = 40
FILL_SECONDS: Final = 60
MORE: Final = 4
GROWTH: Final = 1.10


async def test_clients_that_stop_reading_hold_bounded_memory_delay_nobody_and_recover_completely(
    settings: Settings, log: Log, client: Client, ingesting: None, subject_prefix: str
) -> None:
    """What is waiting for them fills the memory that they may use; sending as much again adds nothing to it."""
    port = free()
    address = f"{HOST}:{port}"
    small = settings.model_copy(update={"port": port, "live_client_bytes": CLIENT_BYTES})
    async with processes.eventscope_process(small, "serve", "--no-ingest"), AsyncExitStack() as stack:
        await until(lambda: answers(address))
        reading, crowd = followers(address, READING), followers(address, STALLED)
        for member in reading:
            stack.push_async_callback(member.leave)
        total = 0

        async def chunk() -> None:
            nonlocal total
            for _ in range(CHUNK):
                total += 1
                message = {"type": "thing.happened", "messageId": f"m{total}", "data": text(BYTES)}
                await client.publish(f"{subject_prefix}.thing.happened", orjson.dumps(message))
            await asyncio.gather(*(member.read(total) for member in reading))

        async def delivered() -> float:
            return (await figures(address))["eventscope_delivered_events_total"]

        async def fill() -> None:
            """Publish until only those that read are sent anything; systems differ in how much their sockets take."""
            async with asyncio.timeout(FILL_SECONDS):
                before = after = 0.0
                while after - before != READING * CHUNK:
                    before = await delivered()
                    await chunk()
                    after = await delivered()

        async with stalled(crowd):
            await fill()
            # what is read from the log for those that fell behind takes memory too, once
            await asyncio.gather(*(recover(member, total, again=False) for member in crowd))
            for member in crowd:
                member.pause()
            await fill()
            full = await memory(address)
            later = []
            for _ in range(MORE):
                await chunk()
                later.append(await memory(address))
            assert max(later) < GROWTH * full
            assert (await figures(address))["eventscope_slowest_lag_events"] > CHUNK
            await asyncio.gather(*(recover(member, total, again=n % 4 < 2) for n, member in enumerate(crowd)))
            assert {member.position for member in crowd} == {total}
            assert sum(member.behind for member in crowd) > 0


async def recover(member: Follower, through: int, *, again: bool) -> None:
    """Continue, or reconnect over a new connection; either way the rest must arrive in order."""
    if again:
        await member.leave()
    member.wake()
    await member.read(through)
