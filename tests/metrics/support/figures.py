"""The figures that processes report, an ingester with a metrics port of its own, and messages for it to count."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from nats.aio.client import Client
from prometheus_client.parser import text_string_to_metric_families

from eventscope.background import end
from eventscope.processes.ports import free
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from tests.support.api_server import RunningApi
from tests.support.until import until

UNKNOWN = "unknown"


HOST = "127.0.0.1"


FEED = "subscription { events(from: BEGINNING) { __typename ... on Event { id } } }"


class Figures:
    """The metrics that an address reports."""

    def __init__(self, text: str) -> None:
        self.samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, *labels: str) -> float | str | None:
        value = self.samples.get((f"eventscope_{name}", *sorted(labels)))
        return UNKNOWN if value is not None and math.isnan(value) else value

    def total(self, name: str) -> float:
        """The sum over all labels."""
        return sum(value for (sample, *_), value in self.samples.items() if sample == f"eventscope_{name}")


async def figures(address: str) -> Figures:
    async with httpx.AsyncClient(timeout=60.0) as http:
        answer = await http.get(f"{address}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return Figures(answer.text)


@asynccontextmanager
async def ingester(settings: Settings) -> AsyncIterator[str]:
    """Runs an ingester with metrics; gives their address."""
    own = settings.model_copy(update={"ingest_port": free()})
    task = asyncio.create_task(ingest(own))
    try:
        yield f"http://{HOST}:{own.ingest_port}"
    finally:
        await end(task)


async def state(address: str) -> tuple[int, Mapping[str, Any]]:
    async with httpx.AsyncClient() as http:
        with suppress(httpx.TransportError):
            answer = await http.get(f"{address}/readyz")
            return answer.status_code, answer.json()
    return 0, {}


async def becomes(address: str, status: str) -> None:
    async def is_so() -> bool:
        return (await state(address))[1].get("status") == status

    await until(is_so)


def address(api: RunningApi) -> str:
    return str(api.http.base_url).rstrip("/")


async def publish(client: Client, prefix: str, *messages: bytes, headers: dict[str, str] | None = None) -> None:
    for message in messages:
        await client.jetstream().publish(f"{prefix}.user.updated", message, headers=headers)
