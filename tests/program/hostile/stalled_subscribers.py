"""Subscribers to all events that read, stop reading, and continue or reconnect; and the memory of the API."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.connections import Connection, Ended, socket_to

QUERY: Final = """subscription ($filter: EventFilter, $after: String) { events(filter: $filter, after: $after) {
  __typename ... on Event { id position cursor data } ... on CaughtUp { cursor } ... on FellBehind { cursor }
  ... on Checkpoint { cursor } } }"""


@dataclass(slots=True)
class Follower:
    """One subscriber; it asserts all along that positions come in order, without gaps."""

    address: str
    filter: dict[str, Any] = field(default_factory=dict)
    position: int = 0
    behind: int = 0
    """How often it received `FellBehind`."""
    connections: int = 0
    delays: list[float] = field(default_factory=list)
    """The age of each event in seconds, by the time at the start of its data."""
    _connection: Connection | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def stall(self) -> None:
        """Read until it is live, or the beginning of a page of history, and then stop reading."""
        if self._connection is None:
            await self._open()
        await self._hear()
        self.pause()

    def pause(self) -> None:
        """Stop reading."""
        if self._connection is not None:
            self._connection.transport.pause_reading()

    def wake(self) -> None:
        """Continue reading, if there is anything left to read."""
        if self._connection is not None:
            self._connection.transport.resume_reading()

    async def leave(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.transport.abort()
            self._connection = None
        await self._stack.aclose()

    async def read(self, through: int) -> None:
        """Read up to that position, over as many connections as necessary."""
        while self.position < through:
            try:
                if self._connection is None:
                    await self._open()
                await self._hear()
            except Ended as ended:
                assert not ended.anomaly, ended.anomaly
                await self.leave()

    async def _open(self) -> None:
        self.connections += 1
        variables = {"filter": self.filter, "after": f"e{self.position:x}"}
        self._connection = await self._stack.enter_async_context(socket_to(self.address, QUERY, variables))

    async def _hear(self) -> None:
        assert self._connection is not None
        result = await self._connection.result()
        assert "errors" not in result, result
        item = result["data"]["events"]
        if item["__typename"] == "Event":
            assert item["position"] == self.position + 1, f"{item['position']} came after {self.position}"
            self.position += 1
            self.delays.append(time.time() - float(item["data"].partition(" ")[0]))
        self.behind += item["__typename"] == "FellBehind"


def followers(address: str, number: int) -> list[Follower]:
    """This many followers: every other one has a filter of its own, so that it shares no texts."""
    return [Follower(address, {"not": {"userId": str(n)}} if n % 2 else {}) for n in range(number)]


@asynccontextmanager
async def stalled(members: Sequence[Follower]) -> AsyncIterator[None]:
    """Let all of them start and then stop reading, for the length of the block."""
    try:
        for start in range(0, len(members), 50):
            await asyncio.gather(*(member.stall() for member in members[start : start + 50]))
        yield
    finally:
        for member in members:
            await member.leave()


async def memory(address: str) -> float:
    """How many bytes of memory the API uses."""
    return (await figures(address))["process_resident_memory_bytes"]


async def figures(address: str) -> dict[str, float]:
    """The metrics of the API, without those that have labels."""
    async with httpx.AsyncClient(timeout=60) as http:
        text = (await http.get(f"http://{address}/metrics")).text
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


async def answers(address: str) -> bool:
    """Whether the API is ready."""
    with suppress(httpx.TransportError):
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://{address}/readyz")).status_code == 200
    return False


def text(bytes: int) -> str:
    """The data of an event: the current time, and text that gives it a certain length."""
    return f"{time.time()} ".ljust(bytes, "x")
