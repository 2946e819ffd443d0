"""What a page costs its server by the page's size: CPU for each answer, and resident memory, of each worker."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from benchmarks import asking
from benchmarks.read_pages import CONNECTIONS
from benchmarks.read_questions import EVENTS, cursor
from benchmarks.served import Server, answers, children, cpu, memory, started
from benchmarks.sheet import Sheet

WARM_SECONDS: Final = 1.0
START_SECONDS: Final = 60
WORKERS: Final = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """Of pages of one size: µs of CPU for each, MiB after the first and after many, MiB of each of several workers."""

    place: str
    size: int
    cpu: float
    first: float
    memory: float
    workers: float

    @property
    def page(self) -> str:
        """Which page it is of."""
        return f"{self.place} of {self.size}"


async def costs(
    server: Server, mongo: str, database: str, events: int, sizes: Sequence[int], rounds: int, seconds: float
) -> list[Cost]:
    """Of the newest page and of one from the middle; for each a server of its own in each round; medians."""
    found = []
    for place, after in (("newest page", None), ("page from the middle", cursor(events // 2))):
        for size in sizes:
            body = orjson.dumps({"query": EVENTS, "variables": {"first": size, "after": after}})
            rows = []
            for _ in range(rounds):
                alone = await _alone(server, mongo, database, body, seconds)
                rows.append((*alone, await _each(server, mongo, database, body, seconds)))
            found.append(Cost(place, size, *map(statistics.median, zip(*rows, strict=True))))
    return found


async def _alone(server: Server, mongo: str, database: str, body: bytes, seconds: float) -> tuple[float, float, float]:
    with started(server, mongo, database) as (port, process):
        asked = asking.request(port, body)
        if not await answers(port, asked, process):
            raise SystemExit("Eventscope does not start")
        first = memory(process.pid)
        await asking.rate(port, asked, WARM_SECONDS, CONNECTIONS)
        before = cpu(process.pid)
        rate = await asking.rate(port, asked, seconds, CONNECTIONS)
        return (cpu(process.pid) - before) / rate.requests * 1e6, first, memory(process.pid)


async def _each(server: Server, mongo: str, database: str, body: bytes, seconds: float) -> float:
    several = replace(server, command=[*server.command, "--workers", str(WORKERS)])
    with started(several, mongo, database) as (port, process):
        asked = asking.request(port, body)
        if not await answers(port, asked, process):
            raise SystemExit("Eventscope does not start with several workers")
        async with asyncio.timeout(START_SECONDS):
            while len(workers := children(process.pid)) < WORKERS:
                await asyncio.sleep(0.05)
        await asking.rate(port, asked, seconds, CONNECTIONS * WORKERS)
        return max(map(memory, workers))


def show(costs: Sequence[Cost], sheet: Sheet) -> None:
    """Two rows for each page, and how they grow with its size."""
    least = {cost.place: cost for cost in reversed(costs)}
    for cost in costs:
        ratio = cost.cpu / least[cost.place].cpu
        sheet.add(f"CPU of a {cost.page}", f"{cost.cpu:,.0f} µs, {cost.cpu / cost.size:.1f} an event", f"{ratio:.1f}")
    for cost in costs:
        grown = f"{cost.memory:.0f} MiB, {cost.first:.0f} after the first; each of {WORKERS} workers {cost.workers:.0f}"
        sheet.add(f"memory, many a {cost.page}", grown, f"{cost.memory / least[cost.place].memory:.1f}")
    sheet.notes.append(
        f"Cost: CPU and resident memory of the server's process, {CONNECTIONS} pages asked for at a time (as many for"
        f" each of {WORKERS} workers, of which the largest is told); the ratio is to the smallest page. Each page has a"
        " server of its own."
    )
