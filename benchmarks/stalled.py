"""A crowd of WebSocket clients that stop reading: the memory they cost, the delays of others, and their recovery.

    python -m benchmarks.stalled --stalled 1000 --seconds 120

The server disconnects a client that reads nothing for 10 s; disconnected clients come back, and stop reading again.
Half of them have a filter of their own, so they share no buffers. In the end all of them read, or come back and read:
each must receive every event, in order.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Final

import orjson

from benchmarks.sheet import RESULTS, Sheet
from benchmarks.stage import Scene, Servers, scene, serving
from eventscope.background import cancel
from eventscope.settings import variable
from tests.chaos.connections import Ended
from tests.program.hostile.stalled_subscribers import Follower, followers, memory, stalled, text

READING: Final = 5
QUIET_SECONDS: Final = 10.0
AGAIN_SECONDS: Final = 15.0
FULL: Final = 0.25  # of the time, after which buffers are full
TOGETHER: Final = 50
BAR: Final = 1.10


@dataclass(slots=True)
class Load:
    """Events at a steady rate, until `stop` is set."""

    at: Scene
    rate: float
    bytes: int
    published: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Publish until `stop` is set."""
        begin = perf_counter()
        while not self.stop.is_set():
            while self.published < (perf_counter() - begin) * self.rate:
                self.published += 1
                message = {"type": "thing.happened", "messageId": f"m{self.published}", "data": text(self.bytes)}
                await self.at.publish(orjson.dumps(message))
            await asyncio.sleep(0.5 / self.rate)


async def run(args: argparse.Namespace, at: Scene) -> Sheet:
    """Stall the crowd beside clients that read, let it recover, and return the sheet."""
    command = f"python -m benchmarks.stalled --stalled {args.stalled} --seconds {args.seconds:g}"
    sheet = Sheet("Clients that stop reading", command)
    async with at.ingester(), at.api() as address:
        reading, crowd = followers(address, READING), followers(address, args.stalled)
        load = Load(at, args.rate, args.bytes)
        publishing = asyncio.create_task(load.run())
        following = [asyncio.create_task(member.read(2**62)) for member in reading]
        await asyncio.sleep(QUIET_SECONDS)
        quiet = [delay for member in reading for delay in member.delays[len(member.delays) // 4 :]]
        for member in reading:
            member.delays.clear()
        alone = await memory(address)
        async with stalled(crowd):
            again = asyncio.create_task(stall_again(crowd))
            samples = [await sample(address) for _ in range(int(args.seconds))]
            await cancel(again)
            load.stop.set()
            await publishing
            await at.reaches(load.published)
            delays = [delay for member in reading for delay in member.delays]
            connections = sum(member.connections for member in crowd)
            missed = sum(load.published - member.position for member in crowd)
            began = perf_counter()
            await recovered(crowd, load.published)
            seconds = perf_counter() - began
        await cancel(*following)
        complete = sum(member.position == load.published for member in (*crowd, *reading))
        for member in reading:
            await member.leave()
    full, *later = samples[int(len(samples) * FULL) :]
    sheet.add("memory of the API, no client stalled", mib(alone))
    sheet.add("memory once buffers are full", mib(full))
    sheet.add("maximum after that", mib(max(later)), f"{max(later) / full:.3f}", f"≤ {BAR:g}")
    sheet.add("at the end", mib(samples[-1]), f"{samples[-1] / full:.3f}", f"≤ {BAR:g}")
    sheet.add("published → a client that reads, no client stalled", spread(quiet))
    sheet.add("the same beside the stalled clients", spread(delays))
    sheet.add("clients that received every event, in order", f"{complete} of {len(crowd) + len(reading)}")
    sheet.notes.append(
        f"{args.stalled} stalled for {args.seconds:g} s, over {connections} connections, beside {READING} that read;"
        f" {load.published} events of {args.bytes} bytes, {args.rate:g} a second. What they had missed,"
        f" {missed * args.bytes / 2**30:.1f} GiB, they read in {seconds:.0f} s."
    )
    return sheet


async def sample(address: str) -> float:
    """The memory of the API after one second, in bytes."""
    await asyncio.sleep(1)
    return await memory(address)


async def stall_again(crowd: Sequence[Follower]) -> None:
    """Let disconnected clients come back one by one, for ever; they stop reading at once."""
    while True:
        for member in crowd:
            await asyncio.sleep(AGAIN_SECONDS / len(crowd))
            with suppress(Ended):
                await member.leave()
                await member.stall()


async def recovered(crowd: Sequence[Follower], through: int) -> None:
    """Let every client read, over the connection that it has or over a new one."""

    async def recover(member: Follower, again: bool) -> None:
        if again:
            await member.leave()
        member.wake()
        await member.read(through)

    for start in range(0, len(crowd), TOGETHER):
        await asyncio.gather(*(recover(member, n % 4 < 2) for n, member in enumerate(crowd[start : start + TOGETHER])))


def mib(bytes: float) -> str:
    """The number of bytes, as text."""
    return f"{bytes / 2**20:.0f} MiB"


def spread(delays: Iterable[float]) -> str:
    """The median and the 99th percentile, as text."""
    cuts = statistics.quantiles(delays, n=100)
    return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms"


def main() -> None:
    """Measure, print the sheet and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stalled", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--bytes", type=int, default=4000)
    parser.add_argument("--results", type=Path, default=RESULTS / "stalled.md")
    args = parser.parse_args()
    os.environ[variable("connections_per_address")] = "100000"  # all come from this machine
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch), "pymongo") as servers:
        sheet = asyncio.run(measure(args, servers))
    sheet.show()
    sheet.write(args.results)


async def measure(args: argparse.Namespace, servers: Servers) -> Sheet:
    """Run on a log of its own, and return the sheet."""
    async with scene(servers, "stalled") as at:
        return await run(args, at)


if __name__ == "__main__":
    main()
