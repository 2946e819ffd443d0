"""Health while a server is away: every answer says so, nothing hangs, and everything recovers by itself."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from eventscope.dev.servers import Mongod, ready
from eventscope.errors import TO_MEND
from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.state import checkpoint, lease, stopped
from eventscope.subscriptions.nats import stream
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.websocket import open_socket, subscribe
from tests.support.killable_servers import freeze, killable_nats
from tests.support.until import until

HELD = 600.0  # seconds: no ingester is needed to hold the lease
QUESTION = "{ log { head } }"


async def readiness(api: RunningApi) -> tuple[int, Any]:
    response = await api.http.get("/readyz")
    return response.status_code, response.json()


async def is_alive(api: RunningApi) -> bool:
    response = await api.http.get("/healthz")
    return (response.status_code, response.json()) == (200, {"status": "ok"})


async def becomes_ready(api: RunningApi) -> None:
    async def is_ready() -> bool:
        return await readiness(api) == (200, {"status": "ready"})

    await until(is_ready)


async def test_without_an_ingester_the_api_is_alive_but_not_ready(settings: Settings, log: Log, client: Client) -> None:
    async with running_api(settings) as api:
        assert await is_alive(api)
        reasons = ["no ingester is at work: new events wait in NATS"]
        assert await readiness(api) == (503, {"status": "not ready", "reasons": reasons})


async def test_the_reason_that_a_stopped_ingester_leaves_is_reported_for_a_minute(
    settings: Settings, log: Log, client: Client
) -> None:
    await stopped.report(log, "ann", "the collection events was lost: restore it")
    async with running_api(settings) as api:
        reasons = [
            "the ingester ann cannot continue: the collection events was lost: restore it; new events wait in NATS"
        ]
        assert await readiness(api) == (503, {"status": "not ready", "reasons": reasons})
        await log.meta.update_one({"_id": stopped.ID}, [{"$set": {"at": {"$subtract": ["$at", stopped.RECENT]}}}])
        assert (await readiness(api))[1]["reasons"] == ["no ingester is at work: new events wait in NATS"]
        await stopped.report(log, "ann", "again")
        await lease.acquire(log, "bob", HELD)
        await becomes_ready(api)


async def test_with_an_ingester_it_is_ready_and_without_it_no_longer(
    settings: Settings, log: Log, client: Client, ingesting: None
) -> None:
    async with running_api(settings) as api:
        await becomes_ready(api)
    await lease.release(log, str((await checkpoint.read(log)).holder))


async def test_while_nats_is_down_it_is_not_ready_but_still_answers(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    await lease.acquire(log, "somebody", HELD)
    async with AsyncExitStack() as stack:
        async with killable_nats(tmp_path) as server:
            own = settings.model_copy(update={"nats_url": server.url})
            client = await stream.connect(server.url, "test")
            await stream.ensure(client.jetstream(), own.stream, own.subjects)
            await client.close()
            api = await stack.enter_async_context(running_api(own))
            await becomes_ready(api)
        await until(lambda: not api.services.nats_connected())
        assert await readiness(api) == (503, {"status": "not ready", "reasons": ["NATS does not answer"]})
        assert await is_alive(api)
        assert await api.ask(QUESTION) == {"log": {"head": 0}}
        assert await api.ask("{ log { ingestLag { events } } }") == {"log": {"ingestLag": None}}
        async with killable_nats(tmp_path, server.port):
            await becomes_ready(api)


@asynccontextmanager
async def own_mongod(folder: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A mongod on that folder for the length of the block."""
    server = Mongod(folder, port)
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *guard_command(server.command()), stdin=lifeline(), stdout=silent, stderr=silent
    )
    try:
        await ready(server, lambda: process.returncode is None)
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_while_mongodb_is_frozen_queries_time_out_and_while_it_is_down_they_report_it(
    settings: Settings, client: Client, tmp_path: Path
) -> None:
    port = free()
    own = settings.model_copy(update={"mongo_url": Mongod(tmp_path, port).url, "question_seconds": 0.7})
    async with AsyncExitStack() as stack:
        async with own_mongod(tmp_path, port) as mongod:
            async with open_log(own.mongo_url, own.mongo_database) as log:
                await prepare(log)
                await lease.acquire(log, "somebody", HELD)
            api = await stack.enter_async_context(running_api(own))
            hasty = await stack.enter_async_context(running_api(own, http_limits=HttpLimits(look_seconds=0.1)))
            await becomes_ready(api)
            freeze(mongod.pid)
            message, reason = "the answer took longer than 0.7 seconds; narrow the query", "within 0.7 seconds"
            await questions_fail(api, "TIMEOUT", message, 504, f"MongoDB did not answer {reason}")
            assert (await readiness(hasty))[1]["reasons"] == ["MongoDB did not answer within 0.1 seconds"]
            mongod.send_signal(signal.SIGCONT)
            await becomes_ready(api)
            assert await api.ask(QUESTION) == {"log": {"head": 0}}
        message = "MongoDB does not answer now"
        await questions_fail(api, "UNAVAILABLE", message, 503, f"the log cannot be read: {message}")
        async with own_mongod(tmp_path, port):
            await becomes_ready(api)
            assert await api.ask(QUESTION) == {"log": {"head": 0}}


async def questions_fail(api: RunningApi, code: str, message: str, status: int, reason: str) -> None:
    """Every kind of request gets the code, none hangs, and the process stays alive."""
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", QUESTION))
        over_http, over_rest, over_socket, ready = await asyncio.gather(
            api.refusal(QUESTION), api.http.get("/events/history"), socket.hear(), readiness(api)
        )
        assert await socket.hear() == {"id": "1", "type": "complete"}
        await socket.say(subscribe("2", "subscription { events { __typename } }"))
        followed = await socket.hear()
    assert over_rest.status_code == status
    assert followed["type"] == "error"
    for error in (
        over_http,
        over_rest.json()["errors"][0],
        over_socket["payload"]["errors"][0],
        followed["payload"][0],
    ):
        assert (error["message"], error["extensions"]) == (message, {"code": code})
    assert ready == (503, {"status": "not ready", "reasons": [reason]})
    assert await is_alive(api)


async def test_what_somebody_has_to_repair_is_unavailable_to_clients_and_a_sentence_to_operators(
    settings: Settings, log: Log, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await lease.acquire(log, "somebody", HELD)
    async with running_api(settings) as api:
        await becomes_ready(api)
        await log.meta.update_one({"_id": "checkpoint"}, {"$set": {"head": "x", "place": {"stream": "secret"}}})
        trouble = (
            "the checkpoint in meta is damaged, Eventscope never wrote this value of head: restore meta and the other"
            " collections of the log from one backup, or rebuild it from what is left with `eventscope recount"
            " --accept-loss`"
        )
        await questions_fail(api, "UNAVAILABLE", TO_MEND, 503, f"the log cannot be read: {trouble}")
    assert any("the checkpoint in meta is damaged" in record.getMessage() for record in caplog.records)
    assert all(record.exc_info is None for record in caplog.records)
