"""A client of server-sent events that reads line by line, according to the specification and the protocol."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

EVENTS = "text/event-stream"
SECONDS = 60.0


@dataclass
class Stream:
    """One stream that is open."""

    response: httpx.Response
    lines: AsyncIterator[str]
    comments: int = 0
    last_id: str | None = None
    heard: list[tuple[str, Any]] = field(default_factory=list)

    async def hear(self) -> tuple[str, Any]:
        """The next event: its name and its data. EOFError when the stream has ended."""
        event, data = "", []
        async with asyncio.timeout(SECONDS):
            async for line in self.lines:
                name, _, value = line.partition(":")
                match name:
                    case "event":
                        event = value.strip()
                    case "id":
                        self.last_id = value.strip()
                    case "data":
                        data.append(value.removeprefix(" "))
                    case "" if line:
                        self.comments += 1
                    case "" if event:
                        text = "\n".join(data)
                        self.heard.append((event, orjson.loads(text) if text else None))
                        return self.heard[-1]
        raise EOFError

    async def next(self) -> Any:
        """The data of the next result, which has no errors."""
        event, result = await self.hear()
        assert event == "next", result
        assert "errors" not in result, result
        return result["data"]


@asynccontextmanager
async def open_stream(
    http: httpx.AsyncClient,
    query: str,
    *,
    accept: str = EVENTS,
    method: str = "POST",
    path: str = "/graphql",
    headers: Any = None,  # names and values; a mapping could not be distinguished from variables that are spread
    **variables: object,
) -> AsyncIterator[Stream]:
    """The stream of an operation, for the length of the block."""
    asked: Mapping[str, Any] = {"query": query, "variables": variables}
    sent = {"accept": accept, **(headers or {})}
    if method == "GET":
        address = httpx.URL(path, params={"query": query, "variables": orjson.dumps(variables).decode()})
        request = http.build_request("GET", address, headers=sent)
    else:
        request = http.build_request("POST", path, json=asked, headers=sent)
    response = await http.send(request, stream=True)
    try:
        yield Stream(response, response.aiter_lines())
    finally:
        await response.aclose()
