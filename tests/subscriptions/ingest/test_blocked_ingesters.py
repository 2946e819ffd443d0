"""An ingester that cannot work never looks as if it did, however often it tries; one that works shows it at once."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy
from nats.js.errors import APIError, BadRequestError, NotFoundError

from eventscope.dev.servers import Nats, run_server
from eventscope.errors import Unavailable
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.subscriptions.ingest.buffer import Buffer
from eventscope.subscriptions.ingest.resume import start_of
from eventscope.subscriptions.nats.single import message_at
from eventscope.subscriptions.observer import UNOBSERVED
from tests.support.api_server import running_api
from tests.support.ingesters import has_lease, ingester, publish, wait_for_events
from tests.support.until import until

Block = Callable[[JetStreamContext, Log, Settings], Coroutine[Any, Any, object]]


async def _replace(js: JetStreamContext, settings: Settings, **more: Any) -> None:
    """Replace the stream by another one, although the ingester creates a stream when there is none."""
    while True:
        with suppress(NotFoundError):
            await js.delete_stream(settings.stream)
        with suppress(BadRequestError):
            await js.add_stream(name=settings.stream, subjects=list(settings.subjects), **more)
            return


async def _work_queue(js: JetStreamContext, log: Log, settings: Settings) -> None:
    await _replace(js, settings, retention=RetentionPolicy.WORK_QUEUE)


async def _taken(js: JetStreamContext, log: Log, settings: Settings) -> None:
    await js.update_stream(name=settings.stream, subjects=[f"{settings.stream}.none"])
    await js.add_stream(name=f"{settings.stream}_2", subjects=list(settings.subjects))
    await js.delete_stream(settings.stream)


async def _no_consumers(js: JetStreamContext, log: Log, settings: Settings) -> None:
    while True:
        await _replace(js, settings, max_consumers=1)
        with suppress(APIError):  # the ingester was faster, and has created the only one
            await js.add_consumer(settings.stream, durable_name="theirs")
            return


async def _capped(js: JetStreamContext, log: Log, settings: Settings) -> None:
    # MongoDB accepts no document of a transaction in a capped collection
    await log.rejected.drop()
    await log.mongo.database.command({"create": "rejected", "capped": True, "size": 1_000_000})
    await js.publish(settings.subjects[0].replace(">", "a.b"), b"no JSON")


BLOCKS: dict[str, Block] = {
    "work queue": _work_queue,
    "subjects taken": _taken,
    "no consumers": _no_consumers,
    "capped": _capped,
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
async def test_a_blocked_ingester_never_seems_to_be_at_work(
    block: Block, settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    js = client.jetstream()

    def tries() -> int:
        return sum("ingest stopped" in one.message for one in caplog.records)

    async with running_api(settings) as api, ingester(settings):
        await publish(client, subject_prefix, 2)
        await wait_for_events(log, 2)
        await until(lambda: has_lease(log))
        assert (await api.http.get("/readyz")).status_code == 200
        await block(js, log, settings)
        await until(lambda: tries() >= 2)
        seen: set[bool] = set()
        while tries() < 5:
            seen.add(await has_lease(log))
        assert seen == {False}
        assert (await api.http.get("/readyz")).status_code == 503
        assert await api.ask("{ log { ingesting } }") == {"log": {"ingesting": False}}
        assert "eventscope_log_ingesting 0.0" in (await api.http.get("/metrics")).text
    if block is _taken:
        await js.delete_stream(f"{settings.stream}_2")


class Plain(Nats):
    """A NATS without JetStream."""

    def command(self) -> list[str]:
        command = super().command()
        file = Path(command[-1])
        config = orjson.loads(file.read_bytes())
        del config["jetstream"]
        file.write_bytes(orjson.dumps(config))
        return command

    async def answers(self) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        return False


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Plain, tmp_path_factory.mktemp("plain")) as server:
        yield server.url


async def _silence() -> None:
    pass


LOOKS: dict[str, Callable[[Client], Coroutine[Any, Any, object]]] = {
    "at the stream": lambda client: start_of(client, "S", None),
    "at its state": lambda client: Buffer(client.jetstream(), "S", ["s.>"], 0, 24.0, UNOBSERVED).prepare(_silence),
    "at a message": lambda client: message_at(client, "S", 1),
}


@pytest.mark.processes
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
async def test_a_server_without_jetstream_is_not_reported_as_silent(
    look: Callable[[Client], Coroutine[Any, Any, object]], plain: str
) -> None:
    client = await nats.connect(plain)
    try:
        with pytest.raises(
            Unavailable, match=r"NATS is there, but its JetStream is not .*; start nats-server with -js"
        ):
            await look(client)
    finally:
        await client.close()
