"""Time limits: no query takes longer than an operation may, over HTTP or WebSocket; subscriptions continue."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from eventscope.dev.servers import Mongod
from eventscope.processes.ports import free
from eventscope.schema import direct, extensions
from eventscope.settings import Settings
from eventscope.store.log import open_log, prepare
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.websocket import open_socket, subscribe
from tests.support.killable_servers import freeze
from tests.support.processes import mongod_process

LONG = 60.0  # seconds that the store would wait
SHORT = 0.3  # seconds that an operation may take
QUESTIONS = ["{ log { head } }", '{ event(id: "x") { id } stats { totalEvents } }']
SAID = {"message": f"the answer took longer than {LONG:g} seconds; narrow the query"}


@asynccontextmanager
async def frozen(settings: Settings, folder: Path) -> AsyncIterator[tuple[RunningApi, Any]]:
    """An API on a MongoDB that can be frozen."""
    server = Mongod(folder, free())
    own = settings.model_copy(update={"mongo_url": server.url, "question_seconds": LONG})
    async with mongod_process(server) as mongod:
        async with open_log(own.mongo_url, own.mongo_database) as log:
            await prepare(log)
        async with running_api(own) as api:
            await api.ask(QUESTIONS[1])
            yield api, mongod
            mongod.send_signal(signal.SIGCONT)


async def test_an_operation_ends_in_time_whatever_it_waits_for(
    settings: Settings, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert extensions.GRACE_SECONDS == 1.0
    async with frozen(settings, tmp_path) as (api, mongod), open_socket(api.socket_url) as socket:
        await socket.say(subscribe("s", "subscription { events { __typename } }"))
        assert (await socket.hear())["payload"]["data"]["events"]["__typename"] == "CaughtUp"
        freeze(mongod.pid)
        for module in (extensions, direct):
            monkeypatch.setattr(module, "GRACE_SECONDS", SHORT - LONG)
        for question in QUESTIONS:
            answer = await api.answer(question)
            assert answer["data"] is None
            [error] = answer["errors"]
            assert error == SAID | {"extensions": {"code": "TIMEOUT"}}

            await socket.say(subscribe("q", question))
            message = await socket.hear()
            assert (message["id"], message["type"]) == ("q", "error")
            assert [error["extensions"]["code"] for error in message["payload"]] == ["TIMEOUT"]

        # starting a subscription has the same limit as a query, but a running one may last for ever
        await socket.say(subscribe("t", "subscription { events { __typename } }"))
        message = await socket.hear()
        assert (message["id"], message["type"]) == ("t", "error")
        assert [error["extensions"]["code"] for error in message["payload"]] == ["TIMEOUT"]
        assert await socket.is_open()
        assert api.services.feed.subscribers == 1

        monkeypatch.undo()
        mongod.send_signal(signal.SIGCONT)
        await api.ask(QUESTIONS[1])
