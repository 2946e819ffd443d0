"""Subscribers of a chaos run: each has a random filter, leaves, stalls and reconnects to one API or another.

Whatever happens to them, they continue after the last cursor they received, and record all that they receive.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from eventscope.background import cancel
from eventscope.resolvers import cursor
from tests.chaos.connections import Connection, Ended, socket_to, stream_from
from tests.chaos.live_checker import Anomaly, Delivery, Entry, Gap, Signal, Transcript
from tests.chaos.messages import AGGREGATES, REGIONS, USERS

FIELDS: Final = ("data type version", "data", *(" ".join(f"d{n}: data" for n in range(12)),))
QUERY: Final = """subscription Live($filter: EventFilter, $after: String, $from: StartFrom) {
  events(filter: $filter, after: $after, from: $from) {
    __typename ... on Event { id cursor FIELDS } ... on RetentionGap { after through }
    ... on CaughtUp { cursor } ... on FellBehind { cursor } ... on Checkpoint { cursor } } }"""
OUTAGES: Final = frozenset({"UNAVAILABLE", "TIMEOUT"})
PEACE_SECONDS: Final = 4.0  # on average, until a subscriber leaves, disconnects or stalls
STALL_SECONDS: Final = (0.2, 6.0)
LONG_STALL: Final = 13.0  # longer than the server waits for a client
AWAY_SECONDS: Final = 1.0
LATE_SECONDS: Final = 20.0  # until the last of the late subscribers starts
END_SECONDS: Final = 60.0
STREAMS: Final = 0.25  # of the subscribers get server-sent events
SAME: Final = 0.4  # of them repeat another one's operation

Choice = Callable[[random.Random], Any]

CONDITIONS: Final[Sequence[Choice]] = (
    lambda chance: {"path": "number", "gte": chance.randrange(2000)},
    lambda chance: {"path": "number", "lt": chance.randrange(2000), "ne": 7},
    lambda chance: {"path": "from", "in": chance.sample(["service0", "service1", "confirmed4", "confirmed5"], 2)},
    lambda chance: {"path": "from", "startsWith": chance.choice(["service", "confirmed", "x"])},
    lambda chance: {"path": "note", "contains": "x" * chance.randrange(150)},
    lambda chance: {"path": "index", "eq": chance.randrange(2)},
    lambda chance: {"path": "index.of", "exists": chance.random() < 0.5},
)
PARTS: Final[Mapping[str, Choice]] = {
    "eventTypes": lambda chance: chance.sample(["user.*", "*.created", "us*ted", "user.deleted", "*", "vendor.*"], 2),
    "aggregateType": lambda chance: chance.choice(["user", "user", "user", "vendor"]),
    "aggregateId": lambda chance: str(chance.randrange(AGGREGATES)),
    "aggregateIds": lambda chance: [str(chance.randrange(AGGREGATES)) for _ in range(20)],
    "userId": lambda chance: f"u{chance.randrange(USERS)}",
    "fromVersion": lambda chance: chance.randrange(100),
    "fromPosition": lambda chance: chance.randrange(5000),
    "toPosition": lambda chance: chance.randrange(20_000),
    "data": lambda chance: [chance.choice(CONDITIONS)(chance)],
    "metadata": lambda chance: [{"path": "region", chance.choice(["eq", "ne"]): chance.choice(REGIONS)}],
}


def any_filter(chance: random.Random, depth: int = 2) -> dict[str, Any]:
    """A filter as a client writes it."""
    names = chance.sample(list(PARTS), chance.choice((0, 1, 1, 2)))
    filter = {name: PARTS[name](chance) for name in names}
    if depth and chance.random() < 0.5:
        match chance.choice(("and", "or", "not")):
            case "not":
                filter["not"] = any_filter(chance, depth - 1) | {"userId": f"u{chance.randrange(USERS)}"}
            case several:
                filter[several] = [any_filter(chance, depth - 1) for _ in range(2)]
    return filter


@dataclass(slots=True)
class Subscriber:
    """Follows the log after position `first` (None for its end), until it has everything up to `through`."""

    name: str
    addresses: Sequence[str]
    chance: random.Random
    filter: Mapping[str, Any]
    query: str
    streams: bool
    first: int | None
    delay: float = 0.0
    entries: list[Entry] = field(default_factory=list)
    cursor: str | None = None
    connections: int = 0
    stalls: int = 0
    through: int | None = None
    """The position at which it may stop; None while it must go on."""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it must no longer leave or stall."""

    @property
    def transcript(self) -> Transcript:
        """All that it received."""
        return Transcript(self.name, self.filter, self.first, self.entries)

    @property
    def done(self) -> bool:
        """Whether it has everything up to the position at which it may stop."""
        return self.through is not None and self.cursor is not None and self._position() >= self.through

    async def run(self) -> None:
        """Follow, leave and come back."""
        await self._pause(self.delay)
        while not self.done:
            self.connections += 1
            try:
                async with self._connection() as connection:
                    await self._follow(connection)
            except Ended as ended:
                if ended.anomaly:
                    self.entries.append(Anomaly(ended.anomaly))
            await asyncio.sleep(self.chance.uniform(0, AWAY_SECONDS))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ending.wait(), seconds)

    def _connection(self) -> Any:
        after = self.cursor if self.cursor or self.first is None else cursor.encode("e", self.first, tag=None)
        connect = stream_from if self.streams else socket_to
        return connect(
            self.chance.choice(self.addresses), self.query, {"filter": self.filter, "after": after, "from": "NOW"}
        )

    async def _follow(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        peace = loop.time() + self.chance.expovariate(1 / PEACE_SECONDS)
        while not self.done:
            try:
                async with asyncio.timeout_at(None if self.ending.is_set() else peace):
                    self._receive(await connection.result())
            except TimeoutError:
                pass
            if loop.time() >= peace and not self.ending.is_set():
                if not await self._stays(connection):
                    return
                peace = loop.time() + self.chance.expovariate(1 / PEACE_SECONDS)

    async def _stays(self, connection: Connection) -> bool:
        """Leave, disconnect or stall; returns whether the connection is still used after that."""
        match self.chance.choice(("leave", "break off", "stall", "stall", "stall for long")):
            case "leave":
                return False
            case "break off":
                connection.transport.abort()
                return False
            case how:
                self.stalls += 1
                seconds = LONG_STALL if how == "stall for long" else self.chance.uniform(*STALL_SECONDS)
                connection.transport.pause_reading()
                await self._pause(seconds)
                connection.transport.resume_reading()
                return self.chance.random() < 0.7

    def _receive(self, result: Any) -> None:
        if errors := result.get("errors"):
            codes = {error.get("extensions", {}).get("code") for error in errors}
            raise Ended("" if codes <= OUTAGES else f"received {errors}")
        item = result["data"]["events"]
        match item["__typename"]:
            case "Event":
                self.cursor = item["cursor"]
                self.entries.append(Delivery(self._position(), item["id"]))
            case "RetentionGap":
                self.cursor = item["through"]
                self.entries.append(Gap(cursor.decode("e", item["after"], "after").position, self._position()))
            case signal:
                self.cursor = item["cursor"]
                self.entries.append(Signal(signal, self._position()))

    def _position(self) -> int:
        return cursor.decode("e", self.cursor or "", "cursor").position


@dataclass(frozen=True, slots=True)
class Crowd:
    """The running subscribers."""

    members: Sequence[Subscriber]
    work: Sequence[asyncio.Task[None]]

    async def end(self, head: int) -> list[Transcript]:
        """Let each receive everything through `head`, within a time limit; returns what they received."""
        for member in self.members:
            member.through = head
            member.ending.set()
        done, _ = await asyncio.wait(self.work, timeout=END_SECONDS)
        for task in done:
            task.result()
        return [member.transcript for member in self.members]

    @property
    def connections(self) -> int:
        """The number of all connections."""
        return sum(member.connections for member in self.members)

    @property
    def stalls(self) -> int:
        """How often one of them stopped reading."""
        return sum(member.stalls for member in self.members)


@asynccontextmanager
async def subscribed(addresses: Sequence[str], seed: int, count: int, head: int) -> AsyncIterator[Crowd]:
    """`count` subscribers to these APIs, for the length of the block; the log has at least `head` events."""
    chance = random.Random(f"{seed}/subscribers")
    operations: list[tuple[dict[str, Any], str]] = []
    members = []
    for number in range(count):
        if not operations or chance.random() >= SAME:
            operations.append((any_filter(chance), QUERY.replace("FIELDS", chance.choice(FIELDS))))
        filter, query = chance.choice(operations)
        own, streams = random.Random(f"{seed}/subscriber/{number}"), chance.random() < STREAMS
        first = chance.choice((0, None, chance.randint(0, head)))
        delay = chance.choice((0.0, chance.uniform(0, LATE_SECONDS)))
        members.append(Subscriber(f"subscriber{number}", addresses, own, filter, query, streams, first, delay))
    crowd = Crowd(members, [asyncio.create_task(one.run(), name=one.name) for one in members])
    try:
        yield crowd
    finally:
        await cancel(*crowd.work)
