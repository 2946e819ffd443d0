"""Serving: one command runs an API with an ingester, which ends with the API in any case, and restarts on its own."""

import os
import signal
from collections.abc import Callable

import httpx
import orjson
import pytest
from nats.aio.client import Client

from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.support.processes import eventscope_process
from tests.support.until import until

Alive = Callable[[int], bool]


@pytest.fixture
def served(settings: Settings) -> Settings:
    return settings.model_copy(update={"port": free(), "lease_seconds": 0.5})


async def test_the_one_command_also_stores_what_is_published(
    served: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with eventscope_process(served, "serve"):
        await until(lambda: _ready(served))
        await client.publish(f"{subject_prefix}.user.created", orjson.dumps({"data": {"name": "Ada"}}))
        await until(lambda: _total(served, 1))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_the_ingester_ends_with_the_api(end: int, served: Settings, log: Log, alive: Alive) -> None:
    async with eventscope_process(served, "serve") as api:
        await until(lambda: _ready(served))
        ingester = await _ingester(log)
        os.kill(api.pid, end)
        assert await api.wait() == (0 if end == signal.SIGTERM else -end)
        await until(lambda: not alive(ingester))
    # one that ended on a signal has released its lease, and nobody has to wait for it
    assert (await checkpoint.read(log)).holder is None or end == signal.SIGKILL


async def test_an_ingester_that_is_killed_is_restarted(
    served: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with eventscope_process(served, "serve"):
        await until(lambda: _ready(served))
        os.kill(await _ingester(log), signal.SIGKILL)
        await client.publish(f"{subject_prefix}.user.created", b"{}")
        await until(lambda: _total(served, 1))


async def _ready(served: Settings) -> bool:
    try:
        async with httpx.AsyncClient() as asking:
            return (await asking.get(f"http://127.0.0.1:{served.port}/readyz")).is_success
    except httpx.TransportError:
        return False


async def _total(served: Settings, events: int) -> bool:
    async with httpx.AsyncClient() as asking:
        found = (await asking.get(f"http://127.0.0.1:{served.port}/events/stats")).json()
    return bool(found["totalEvents"] == events)


async def _ingester(log: Log) -> int:
    """The process that holds the lease."""
    holder = (await checkpoint.read(log)).holder
    assert holder is not None
    return int(holder.split(":")[1])
