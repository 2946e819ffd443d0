"""Whether the ingester's memory stays constant while very many events go through."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.events import payload
from benchmarks.stage import Servers, scene
from eventscope.processes.ports import HOST, free

EVERY: Final = 50_000
WARM: Final = 0.2  # of the events, until caches and pools are full
MIB: Final = 1024 * 1024
METRIC: Final = "process_resident_memory_bytes"


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in MiB by events stored."""

    samples: tuple[tuple[int, float], ...]

    @property
    def slope(self) -> float:
        """Growth in MiB per million events, by least squares over all but the first fifth of the events."""
        last = self.samples[-1][0]
        late = [(events, mib) for events, mib in self.samples if events > last * WARM]
        middle = sum(events for events, _ in late) / len(late), sum(mib for _, mib in late) / len(late)
        across = sum((events - middle[0]) ** 2 for events, _ in late)
        along = sum((events - middle[0]) * (mib - middle[1]) for events, mib in late)
        return along / across * 1_000_000 if across else 0.0

    @property
    def table(self) -> Iterator[tuple[str, str]]:
        """The samples as text: events, memory."""
        for events, mib in self.samples:
            yield f"{events:,}", f"{mib:.1f} MiB"


async def memory(servers: Servers, events: int, name: str) -> Memory:
    """Ingest `events` events, and sample the ingester's memory every fifty thousand."""
    port, samples = free(), list[tuple[int, float]]()
    async with scene(servers, name) as at, at.ingester(port), httpx.AsyncClient() as http:
        for first in range(0, events, EVERY):
            end = min(first + EVERY, events)
            for number in range(first, end):
                await at.publish(payload(number))
            await at.client.flush()
            await at.reaches(end, pause=0.05)
            samples.append((end, await _resident(http, port)))
    return Memory(tuple(samples))


async def _resident(http: httpx.AsyncClient, port: int) -> float:
    text = (await http.get(f"http://{HOST}:{port}/metrics", timeout=30)).text
    for family in text_string_to_metric_families(text):
        if family.name == METRIC:
            return family.samples[0].value / MIB
    raise RuntimeError("this system does not report the memory of a process")
