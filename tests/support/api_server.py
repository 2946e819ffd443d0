"""An API as in production, served by uvicorn in the loop of the test, and a client for it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import httpx
import uvicorn

from eventscope.app import build, services
from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.http.uvicorn.listen import listen
from eventscope.schema.context import Services
from eventscope.server.api import config
from eventscope.settings import Settings
from eventscope.store.search_limits import SearchLimits
from tests.support.until import until

JSON: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunningApi:
    """A running API: its HTTP client, and the parts that it consists of."""

    http: httpx.AsyncClient
    services: Services

    @property
    def socket_url(self) -> str:
        """The address for WebSockets."""
        return str(self.http.base_url).replace("http", "ws", 1).rstrip("/") + "/graphql"

    async def answer(self, query: str, **variables: object) -> JSON:
        """The whole answer, with data and errors."""
        response = await self.http.post("/graphql", json={"query": query, "variables": variables})
        body: JSON = response.json()
        return body

    async def ask(self, query: str, **variables: object) -> JSON:
        """The data of an answer without errors."""
        answer = await self.answer(query, **variables)
        assert "errors" not in answer, answer["errors"]
        data: JSON = answer["data"]
        return data

    async def refusal(self, query: str, **variables: object) -> JSON:
        """The one error of an answer."""
        answer = await self.answer(query, **variables)
        assert "errors" in answer, answer
        [error] = answer["errors"]
        told: JSON = error
        return told


@asynccontextmanager
async def running_api(
    settings: Settings, search: SearchLimits | None = None, http_limits: HttpLimits | None = None
) -> AsyncIterator[RunningApi]:
    """An API with these settings, for the length of the block; it has the usual limits or those given."""
    async with services(settings) as given:
        if search is not None:
            given = replace(given, log=replace(given.log, search=search))
        with listen("127.0.0.1", 0) as listener:
            # asyncio omits it on sockets that were created without a protocol, and each answer then waits 40 ms
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = uvicorn.Server(config(build(settings, given, http_limits=http_limits)))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await until(lambda: server.started)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with httpx.AsyncClient(base_url=url, timeout=60.0) as http:
                yield RunningApi(http, given)
            server.should_exit = True
            await serving
