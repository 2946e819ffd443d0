"""A log of a few hundred events that tests read and nobody changes, and the same events as a plain list."""

import random
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from pymongo import AsyncMongoClient

from eventscope.settings import Settings
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.state import checkpoint, lease
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.message import Arrival, MessageBatch, StreamPosition
from eventscope.store.values.moment import DAY, HOUR
from eventscope.store.write.append import append
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.messages.parse import parse_message
from tests.support.api_server import RunningApi, running_api

STREAM = "SAMPLE"
START = moment.from_text("2026-03-02T00:00:00Z")  # a Monday
RETENTION = {"*": 0.0, "websocket.*": 30.0, "session.*": 1.0}

TYPES = {
    "user": ["user.created", "user.updated", "user.updated", "user.deleted", "user.integration.deleted"],
    "vendor": ["vendor.created", "vendor.updated", "vendor.location.updated", "websocket.vendor.connected"],
    "file": ["file.created", "file.updated", "file.deleted"],
    None: ["system.started", "session.opened", "websocket.user.connected"],
}
# among them ids that would be an operator, a pattern or a path elsewhere
IDS = {
    "user": [f"u{n}" for n in range(8)],
    "vendor": [f"v{n}" for n in range(5)],
    "file": ["src/main.py", '{"$gt": ""}', ".*", "größe\0.txt", "$where"],
}
REJECTED = [b"no json", b"[1]", b"{}", b'{"type": "two words"}', b'{"type": "user.created", "timestamp": 5}']


@dataclass(frozen=True, slots=True)
class SampleApi:
    """A served log and its content: `events` in log order, without those that have expired."""

    api: RunningApi
    settings: Settings
    events: list[EventDocument]
    rejected: list[bytes]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("the sample")  # hypothesis would print every event

    @property
    def log(self) -> Log:
        """The log as the API reads it."""
        return self.api.services.log

    def those(self, wanted: Callable[[EventDocument], bool] = lambda _: True) -> list[str]:
        """The ids of the events that meet the condition, in log order."""
        return [event["messageId"] for event in self.events if wanted(event)]


@asynccontextmanager
async def sample_api(mongo_url: str, nats_url: str, **more: Any) -> AsyncIterator[SampleApi]:
    """An API over the sample log, in a database of its own, for the length of the block, with `more` settings."""
    settings = Settings(
        mongo_url=mongo_url,
        mongo_database=f"sample_{uuid.uuid4().hex[:12]}",
        nats_url=nats_url,
        stream=STREAM,
        retention=RETENTION,
        **more,
    )
    events = await _fill(settings)
    async with running_api(settings) as api:
        yield SampleApi(api, settings, events, REJECTED)
    async with AsyncMongoClient[dict[str, Any]](mongo_url) as client:
        await client.drop_database(settings.mongo_database)


async def name_log(log: Log, name: str) -> None:
    """Give the log its name in advance, which otherwise is random."""
    await log.meta.insert_one({"_id": checkpoint.ID, "head": 0, "term": 0, "log": name})


async def fill(log: Log, messages: Sequence[bytes], retention: Mapping[str, float]) -> list[EventDocument]:
    """Store the messages as an ingester does, by the clock of the log; returns their events."""
    at = await lease.acquire(log, "filler", 60.0)
    assert at is not None
    start = 0 if at.stream_position is None else at.stream_position.sequence
    arrivals = [
        Arrival("events", {"Trace": f"t{n}"}, raw, start + n, log.clock() + n * 1000)
        for n, raw in enumerate(messages, start=1)
    ]
    stored: list[EventDocument] = []
    for first in range(0, len(arrivals), 80):
        batch = arrivals[first : first + 80]
        position = StreamPosition(STREAM, "2026-01-01T00:00:00Z", batch[-1].sequence, batch[-1].recorded_at)
        taken = tuple(parse_message(one, STREAM, None) for one in batch)
        outcome, at = await append(log, Retention(retention), at, MessageBatch(taken, position))
        stored.extend(outcome.events)
    await lease.release(log, "filler")
    return stored


async def _fill(settings: Settings) -> list[EventDocument]:
    messages = [orjson.dumps(message) for message in _messages(random.Random(7))]
    messages[100:100] = REJECTED[:3]
    messages[200:200] = REJECTED[3:]
    # recorded two days ago, by a clock of that time: sessions have expired since, and nothing else has
    past = moment.now() - 2 * DAY
    async with open_log(settings.mongo_url, settings.mongo_database, clock=lambda: past) as log:
        await prepare(log)
        stored = await fill(log, messages, settings.retention)
    return [event for event in stored if not event["type"].startswith("session.")]


def _messages(dice: random.Random) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for n in range(300):
        kind = dice.choice(["user", "user", "vendor", "file", None])
        message: dict[str, Any] = {
            "messageId": f"m{n:03}",
            "type": dice.choice(TYPES[kind]),
            # roughly in order, as from many clocks; some at the same moment, some on the hour
            "timestamp": moment.to_text(START + n * DAY // 10 + dice.choice([0, -HOUR, HOUR, dice.randrange(DAY)])),
            "data": {"n": n, "name": dice.choice(["Ada", "Grace", "größe"]), "nested": {"list": [1, 2.5, None]}},
        }
        if kind is not None:
            message |= {"aggregateType": kind, "aggregateId": dice.choice(IDS[kind])}
        if dice.random() < 0.7:
            message["userId"] = dice.choice(["alice", "bob", "alice@example.org"])
        if dice.random() < 0.8:
            message["correlationId"] = f"c{dice.randrange(20)}"
        if messages and dice.random() < 0.6:
            message["causationId"] = dice.choice(["command-1", dice.choice(messages)["messageId"]])
        if dice.random() < 0.3:
            message["metadata"] = {"source": "test", "ip": "192.0.2.1"}
        if dice.random() < 0.1:
            message["region"] = "eu"
        # as from a publisher that counts by itself; no further random numbers, so that the log stays the same
        if n % 5 == 0:
            message["version"] = [1, n, -n, 2**63 - 1, "2.1"][n // 5 % 5]
        messages.append(message)
    return messages
