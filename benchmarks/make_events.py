"""Fills a log with lifelike events: those of the sample business, stored by the store's own writer, without NATS.

    python -m benchmarks.make_events --mongo mongodb://… --database lifelike --events 1000000 --seed 1

The same seed gives the same log, because its clock is the business's own: it starts at the beginning of 2026, and a
million events take about 23 days. Nothing expires.
Events already in the log stay, so a run can be interrupted and repeated.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import orjson
import uvloop
from rich.progress import Progress

from eventscope.errors import CannotStart
from eventscope.sample.play import business
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.values import moment
from eventscope.store.values.message import Arrival, MessageBatch, StreamPosition
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import writing
from eventscope.subscriptions.messages.parse import parse_message

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
BATCH: Final = 1000
STREAM: Final = "EVENTS"
LEASE_SECONDS: Final = 60.0


async def fill(log: Log, events: int, seed: int, progress: Progress) -> None:
    """Fill the log up to `events` events of that business; CannotStart if another process writes to it."""
    await prepare(log)
    async with writing(log, Retention({"*": 0.0}), "make_events", LEASE_SECONDS) as writer:
        if writer is None:
            raise CannotStart("another process writes to this log")
        bar = progress.add_task("events", total=events, completed=writer.at.head)
        remaining = islice(arrivals(seed), writer.at.head, events)
        renewed = time.monotonic()
        while some := list(islice(remaining, BATCH)):
            last = some[-1]
            position = StreamPosition(STREAM, START.isoformat(), last.sequence, last.recorded_at)
            await writer.append(MessageBatch(tuple(parse_message(one, STREAM, None) for one in some), position))
            progress.update(bar, completed=writer.at.head)
            if time.monotonic() - renewed > LEASE_SECONDS / 3:
                await writer.renew()
                renewed = time.monotonic()


def arrivals(seed: int) -> Iterator[Arrival]:
    """The events of the business, endlessly, as if JetStream had received each at the moment it happened."""
    for sequence, message in enumerate(business(seed, START), start=1):
        recorded_at = moment.from_text(message["timestamp"])
        yield Arrival(f"events.{message['type']}", {}, orjson.dumps(message), sequence, recorded_at)


async def make(mongo: str, database: str, events: int, seed: int) -> None:
    """Fill the log in that database of the MongoDB at `mongo`."""
    with Progress() as progress:
        async with open_log(mongo, database, "pymongo") as log:
            await fill(log, events, seed, progress)


def main() -> None:
    """Fill the log, and print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mongo", required=True, help="the address of MongoDB")
    parser.add_argument("--database", default="lifelike")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    began = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(make(args.mongo, args.database, args.events, args.seed))
    print(f"{args.events:,} events in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
