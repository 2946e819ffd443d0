"""Whatever is published, even twice or wrongly, and whatever dies meanwhile, the log is what plain Python computes."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.errors import LeaseLost, Unavailable
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Mongo, Session
from eventscope.store.mongo.write import Write
from eventscope.store.state import checkpoint
from eventscope.store.values.message import (
    AcceptedMessage,
    MessageBatch,
    MessageGroup,
    ParsedMessage,
    RejectedMessage,
    StreamPosition,
)
from eventscope.store.write.cache import WriterCache
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import Writer, writing
from tests.chaos import recount
from tests.store.support.appender import CREATED, NOON, STREAM, Clock, event, message_group, rejected_message
from tests.store.support.log_model import Entry, LogModel

Fate = Literal["commit", "dropped", "answer lost"]
Step: TypeAlias = tuple[Literal["publish"], ParsedMessage] | tuple[Literal["ingest"], int, Fate] | tuple[str]

COLLECTIONS = ("events", "aggregates", "rollups", "populations", "rejected", "meta")


def _message(
    id: int, content: int, aggregate: str | None, expected: int | None, claimed: int | None
) -> AcceptedMessage:
    of = None if aggregate is None else ("user", aggregate)
    expected = None if of is None else expected
    return event("user.updated", f"m{id}", of=of, data=content, expected=expected, claimed=claimed)


MESSAGES = st.builds(
    _message,
    st.integers(0, 12),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from(["ada", "bob", None]),
    st.sampled_from([None, None, 0, 1, 2, 3]),
    st.sampled_from([None, 1, 2, 3, -1, 2**63 - 1]),
)
ARRIVALS: st.SearchStrategy[ParsedMessage] = st.one_of(
    MESSAGES,
    MESSAGES,
    st.lists(MESSAGES, min_size=1, max_size=3).map(lambda messages: message_group(*messages)),
    st.builds(rejected_message, st.sampled_from([b"{", b"["])),
)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("publish"), ARRIVALS),
    st.tuples(st.just("publish"), ARRIVALS),
    st.tuples(st.just("ingest"), st.integers(1, 6), st.sampled_from(["commit", "commit", "dropped", "answer lost"])),
    st.tuples(st.sampled_from(["restart", "takeover", "read again"])),
)


class Crash(Unavailable):
    """A crash, of which the writer knows only that no answer came."""


@dataclass(frozen=True)
class Brittle(Mongo):
    """A database whose writer dies at the end of a transaction, right before or right after the commit."""

    fates: list[Fate] = field(default_factory=list)

    async def transact(self, session: Session, writes: Sequence[Write]) -> None:
        fates: list[Fate] = []

        def end(result: Any) -> None:
            writes[-1].verify(result)  # it may fail and be retried
            fates.append(self.fates.pop())
            if fates == ["dropped"]:
                raise Crash

        await Mongo.transact(self, session, [*writes[:-1], replace(writes[-1], verify=end)])
        if fates == ["answer lost"]:
            raise Crash


class World:
    """A stream, the log that is read from it, and the ingesters that come and go."""

    def __init__(self, log: Log, fates: list[Fate]) -> None:
        self.log = log
        self.fates = fates
        self.stream: list[ParsedMessage] = []
        self.holders = 0
        self.furthest = 0
        self.writer: Writer
        self._stack = AsyncExitStack()

    async def play(self, steps: list[Step]) -> None:
        """Take the steps; check the log after each of them, and when everything is ingested."""
        for name in COLLECTIONS:
            await self.log.mongo.collection(name).delete_many({})
        await self._open()
        for step in steps:
            match step:
                case ("publish", message):
                    self._publish(message)
                case ("ingest", size, fate):
                    await self._ingest(size, fate)
                case ("restart",):
                    await self._open()
                case ("takeover",):
                    await self._take_over()
                case ("read again",):
                    await self.writer.start_again(StreamPosition(STREAM, CREATED, 0, 0))
        await self._compare(self.furthest)
        while self._waiting():
            await self._ingest(5, "commit")
        await self._compare(len(self.stream))
        await self._stack.aclose()

    def _publish(self, message: ParsedMessage) -> None:
        sequence = len(self.stream) + 1
        arrival = replace(message.arrival, sequence=sequence, recorded_at=NOON + sequence)
        match message:
            case RejectedMessage():
                self.stream.append(replace(message, arrival=arrival))
            case AcceptedMessage():
                self.stream.append(_placed(message, arrival.sequence))
            case MessageGroup(messages=messages):
                parts = tuple(_placed(one, arrival.sequence) for one in messages)
                self.stream.append(MessageGroup(arrival, parts))

    def _waiting(self, most: int = 1) -> list[ParsedMessage]:
        done = 0 if self.writer.at.stream_position is None else self.writer.at.stream_position.sequence
        return self.stream[done : done + most]

    async def _ingest(self, size: int, fate: Fate) -> None:
        messages = self._waiting(size)
        if not messages:
            return
        self.fates.append(fate)
        with suppress(Crash):
            await self.writer.append(self._batch(messages))
        if fate != "commit":
            await self._open()
        reached = 0 if self.writer.at.stream_position is None else self.writer.at.stream_position.sequence
        self.furthest = max(self.furthest, reached)

    def _batch(self, messages: list[ParsedMessage]) -> MessageBatch:
        last = messages[-1].arrival
        return MessageBatch(tuple(messages), StreamPosition(STREAM, CREATED, last.sequence, last.recorded_at))

    async def _open(self) -> None:
        """An ingester starts; the one before has ended and released the lease."""
        await self._stack.aclose()
        self.holders += 1
        holding = writing(self.log, Retention({"*": 30}), f"ingester{self.holders}", 60)
        writer = await self._stack.enter_async_context(holding)
        assert writer is not None
        writer.cache = WriterCache(most_look_ups=1)  # both ways of finding repeated messages
        self.writer = writer

    async def _take_over(self) -> None:
        """Another ingester takes the expired lease; the one before does not notice, and continues to write."""
        before, kept, self._stack = self.writer, self._stack, AsyncExitStack()
        await self.log.meta.update_one({"_id": checkpoint.ID}, {"$unset": {"leaseUntil": ""}})
        await self._open()
        if messages := self._waiting(3):
            self.fates.append("commit")
            with pytest.raises((LeaseLost, Unavailable)):
                await before.append(self._batch(messages))
            self.fates.clear()
        await kept.aclose()

    async def _compare(self, through: int) -> None:
        model = LogModel()
        for message in self.stream[:through]:
            model.take(message)
        events = await self.log.events.find({}).sort("_id", 1).to_list(None)
        assert [_entry(document) for document in events] == model.events
        rows = await self.log.rejected.find({}).sort("_id", 1).to_list(None)
        assert [(row["source"]["sequence"], row["code"]) for row in rows] == model.rejected
        assert [row["raw"] for row in rows] == [self.stream[place - 1].arrival.raw for place, _ in model.rejected]
        at = await checkpoint.read(self.log)
        assert (at.head, at.rejected_head) == (len(model.events), len(model.rejected))
        derived = [
            await self.log.mongo.collection(name).find({}).to_list(None)
            for name in ("aggregates", "rollups", "populations")
        ]
        assert list(recount.differences(events, *derived)) == []


class Stage:
    """A database with one driver, for one example after the other."""

    def __init__(self, runner: asyncio.Runner, log: Log) -> None:
        self._runner = runner
        self._log = log

    def play(self, steps: list[Step]) -> None:
        """Play on an empty log."""
        mongo = Brittle(self._log.mongo.driver, self._log.mongo.client, self._log.mongo.database)
        self._runner.run(World(replace(self._log, mongo=mongo), mongo.fates).play(steps))


@pytest.fixture(scope="module", params=("motor", "pymongo"))
def stage(request: pytest.FixtureRequest, mongo_url: str) -> Iterator[Stage]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def open_() -> Log:
            name = f"test_{uuid.uuid4().hex[:12]}"
            log = await stack.enter_async_context(open_log(mongo_url, name, request.param, clock=Clock()))
            await prepare(log)
            return log

        log = runner.run(open_())
        yield Stage(runner, log)
        runner.run(_drop(log))
        runner.run(stack.aclose())


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_log_equals_what_plain_python_computes_from_the_stream(stage: Stage, steps: list[Step]) -> None:
    stage.play(steps)


async def _drop(log: Log) -> None:
    await log.mongo.client.drop_database(log.mongo.database.name)


def _placed(message: AcceptedMessage, sequence: int) -> AcceptedMessage:
    arrival = replace(message.arrival, sequence=sequence, recorded_at=NOON + sequence)
    return replace(message, arrival=arrival, fields={"timestamp": arrival.recorded_at, **message.fields})


def _entry(document: dict[str, Any]) -> Entry:
    id = document.get("aggregateId")
    aggregate = None if id is None else (document["aggregateType"], id)
    content = (document["type"], document.get("data"), aggregate)
    place = document["source"]["sequence"]
    versions = document.get("version"), place, document.get("claimedVersion")
    return Entry(document["_id"], document["messageId"], content, aggregate, *versions)
