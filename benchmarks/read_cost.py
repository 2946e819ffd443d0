"""What pages cost the server, by their size: CPU per answer, and the resident memory of each worker."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from benchmarks import http_client
from benchmarks.read_pages import CONNECTIONS
from benchmarks.read_questions import EVENTS, cursor
from benchmarks.server_process import ReadServer, children, cpu, is_ready, memory, started
from benchmarks.sheet import Sheet

WARM_SECONDS: Final = 1.0
START_SECONDS: Final = 60
WORKERS: Final = 2


@dataclass(frozen=True, slots=True)
class PageCost:
    """Figures of pages of one size: µs of CPU each, MiB after the first and after many, MiB of the largest worker."""

    place: str
    size: int
    cpu: float
    first: float
    memory: float
    workers: float

    @property
    def page(self) -> str:
        """Which page the figures are of."""
        return f"{self.place}, {self.size} events"


async def costs(
    server: ReadServer, mongo: str, database: str, events: int, sizes: Sequence[int], rounds: int, seconds: float
) -> list[PageCost]:
    """Medians for the newest page and one from the middle, with a new server for each page and round."""
    figures = []
    for place, after in (("newest page", None), ("page from the middle", cursor(events // 2))):
        for size in sizes:
            body = orjson.dumps({"query": EVENTS, "variables": {"first": size, "after": after}})
            rows = []
            for _ in range(rounds):
                alone = await _alone(server, mongo, database, body, seconds)
                rows.append((*alone, await _each(server, mongo, database, body, seconds)))
            figures.append(PageCost(place, size, *map(statistics.median, zip(*rows, strict=True))))
    return figures


async def _alone(
    server: ReadServer, mongo: str, database: str, body: bytes, seconds: float
) -> tuple[float, float, float]:
    with started(server, mongo, database) as (port, process):
        request = http_client.post_request(port, body)
        if not await is_ready(port, request, process):
            raise SystemExit("Eventscope does not start")
        first = memory(process.pid)
        await http_client.rate(port, request, WARM_SECONDS, CONNECTIONS)
        before = cpu(process.pid)
        rate = await http_client.rate(port, request, seconds, CONNECTIONS)
        return (cpu(process.pid) - before) / rate.requests * 1e6, first, memory(process.pid)


async def _each(server: ReadServer, mongo: str, database: str, body: bytes, seconds: float) -> float:
    several = replace(server, command=[*server.command, "--workers", str(WORKERS)])
    with started(several, mongo, database) as (port, process):
        request = http_client.post_request(port, body)
        if not await is_ready(port, request, process):
            raise SystemExit("Eventscope does not start with several workers")
        async with asyncio.timeout(START_SECONDS):
            while len(workers := children(process.pid)) < WORKERS:
                await asyncio.sleep(0.05)
        await http_client.rate(port, request, seconds, CONNECTIONS * WORKERS)
        return max(map(memory, workers))


def show(costs: Sequence[PageCost], sheet: Sheet) -> None:
    """Add two rows for each page, with the ratios to the smallest page."""
    least = {cost.place: cost for cost in reversed(costs)}
    for cost in costs:
        ratio = cost.cpu / least[cost.place].cpu
        sheet.add(f"CPU: {cost.page}", f"{cost.cpu:,.0f} µs, {cost.cpu / cost.size:.1f} per event", f"{ratio:.1f}")
    for cost in costs:
        figure = (
            f"{cost.memory:.0f} MiB, {cost.first:.0f} after the first; each of {WORKERS} workers {cost.workers:.0f}"
        )
        sheet.add(f"memory after many: {cost.page}", figure, f"{cost.memory / least[cost.place].memory:.1f}")
    sheet.notes.append(
        f"Cost: CPU and resident memory of the server's process, {CONNECTIONS} requests at a time (per worker"
        f" with {WORKERS} workers, of which the largest counts); the ratio is to the smallest page. Each page has a"
        " server of its own."
    )
