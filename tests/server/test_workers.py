"""Workers: several processes behind one address, each of which may die, and all of which end together."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
import pytest
from nats.aio.client import Client

from eventscope.processes.ports import free
from eventscope.server.workers import WorkerSlot
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.processes import eventscope_process
from tests.support.until import until

Alive = Callable[[int], bool]
WORKERS = ("serve", "--no-ingest", "--workers", "2")


@pytest.fixture
def served(settings: Settings) -> Settings:
    return settings.model_copy(update={"port": free(), "lease_seconds": 0.5})


async def test_both_workers_answer(served: Settings, log: Log, client: Client) -> None:
    async with eventscope_process(served, *WORKERS):
        await until(lambda: _both(served))


async def test_the_one_ingester_beside_them_stores_what_is_published(
    served: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with eventscope_process(served, "serve", "--workers", "2"):
        await until(lambda: _both(served))
        await client.publish(f"{subject_prefix}.user.created", orjson.dumps({"data": {}}))
        await until(lambda: _stored(served))


async def test_a_worker_that_is_killed_is_restarted_and_queries_are_answered_meanwhile(
    served: Settings, log: Log, client: Client
) -> None:
    async with eventscope_process(served, *WORKERS) as keeper:
        await until(lambda: _both(served))
        first, second = _children(keeper.pid)
        os.kill(first, signal.SIGKILL)
        # connections to the socket of the dead worker wait until it is back, and are not refused
        answers = await asyncio.gather(*(_asked(served, "/healthz") for _ in range(20)))
        assert [answer.status_code for answer in answers] == [200] * 20
        await until(lambda: _both(served))
        assert len(_children(keeper.pid)) == 2
        assert second in _children(keeper.pid)
        assert first not in _children(keeper.pid)


async def test_a_worker_that_does_not_answer_is_replaced_and_the_other_is_left_alone(
    served: Settings, log: Log, client: Client, alive: Alive
) -> None:
    async with eventscope_process(served.model_copy(update={"worker_seconds": 1.0}), *WORKERS) as keeper:
        await until(lambda: _both_heard(served))
        first, second = _children(keeper.pid)
        os.kill(first, signal.SIGSTOP)
        await until(lambda: not alive(first))
        await until(lambda: _both(served))
        assert second in _children(keeper.pid)
        text = (await _asked(served, "/metrics")).text
        assert 'eventscope_workers_replaced_total{name="worker 1",worker="keeper"} 1.0' in text
        assert 'name="worker 2"' not in text


async def test_no_worker_is_replaced_after_the_whole_machine_stood_still(
    served: Settings, log: Log, client: Client
) -> None:
    async with eventscope_process(served.model_copy(update={"worker_seconds": 1.0}), *WORKERS) as keeper:
        await until(lambda: _both(served))
        children = _children(keeper.pid)
        everybody = [*children, keeper.pid]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        await until(lambda: time.monotonic() > stopped + 4.0)  # there is no other sign that a machine was suspended
        for pid in reversed(everybody):
            os.kill(pid, signal.SIGCONT)
        await until(lambda: _both(served))
        assert _children(keeper.pid) == children


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_the_workers_end_with_their_keeper(
    end: int, served: Settings, log: Log, client: Client, alive: Alive
) -> None:
    async with eventscope_process(served, *WORKERS) as keeper:
        await until(lambda: _both(served))
        children = _children(keeper.pid)
        os.kill(keeper.pid, end)
        assert await keeper.wait() == (-end if end == signal.SIGKILL else 0)
        await until(lambda: not any(map(alive, children)))


async def test_any_worker_returns_the_metrics_of_all_and_those_of_the_log_once(
    served: Settings, log: Log, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")  # which makes no difference between siblings
    async with eventscope_process(served, *WORKERS):
        monkeypatch.delenv("ALL_PROXY")
        await until(lambda: _both(served))
        for _ in range(10):
            lines = (await _asked(served, "/metrics")).text.splitlines()
            memory = [line for line in lines if line.startswith("process_resident_memory_bytes{")]
            assert [line.partition("}")[0].partition("{")[2] for line in memory] == ['worker="1"', 'worker="2"']
            assert sum(line.startswith("eventscope_log_head ") for line in lines) == 1


async def test_a_missing_server_is_reported_once_and_nothing_is_kept_running(served: Settings) -> None:
    async with eventscope_process(
        served.model_copy(update={"nats_url": f"nats://127.0.0.1:{free()}"}), *WORKERS
    ) as keeper:
        assert await keeper.wait() == 2


@pytest.mark.parametrize("place", [WorkerSlot(1, 7, Path("/tmp/x")), WorkerSlot(12, 3, Path("/tmp/a:b"))])
def test_a_slot_is_parsed_as_it_was_written(place: WorkerSlot) -> None:
    assert WorkerSlot.parse(str(place)) == place


async def _asked(served: Settings, path: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as asking:  # a connection of its own, so that any worker may get it
        return await asking.get(f"http://127.0.0.1:{served.port}{path}")


async def _both(served: Settings) -> bool:
    """Whether both workers are running, according to the metrics."""
    try:
        text = (await _asked(served, "/metrics")).text
    except httpx.TransportError:
        return False
    return all(f'worker="{number}"' in text for number in (1, 2))


async def _both_heard(served: Settings) -> bool:
    """Whether the keeper has had an answer from both; before the first one, a worker has longer to start."""
    return await _both(served) and (
        'eventscope_workers_answering{worker="keeper"} 2.0' in (await _asked(served, "/metrics")).text
    )


async def _stored(served: Settings) -> bool:
    return bool((await _asked(served, "/events/stats")).json()["totalEvents"] == 1)


def _children(pid: int) -> list[int]:
    """The processes that this one has started, oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
