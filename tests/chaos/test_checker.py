"""The checker notices violations, so that the tests that rely on it can be trusted."""

import asyncio
import copy
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import orjson
import pytest

from eventscope.store.log import Log, open_log, prepare
from eventscope.store.state import lease
from eventscope.store.values.message import Arrival, MessageBatch, StreamPosition
from eventscope.store.write.append import append
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.messages.parse import parse_message
from eventscope.subscriptions.publish.outcome import PublishRejection, StoredEvent
from tests.chaos.checker import Kind, LogContents, check
from tests.chaos.sent_messages import Published
from tests.chaos.stored_log import read_log
from tests.store.support.appender import CREATED, NOON, STREAM, Clock

Spoil = Callable[[LogContents], object]


def _raw(number: int, id: str | None = None) -> dict[str, object]:
    aggregate = {"aggregateType": "user", "aggregateId": str(number % 2)}
    # the claim of a publisher that forgets
    return {"type": "user.updated", "messageId": id or f"m{number}", **aggregate, "version": 1, "data": {"n": number}}


PUBLISHED: Final = (
    *(Published("ada", number, orjson.dumps(_raw(number))) for number in range(1, 7)),
    Published("ada", 7, orjson.dumps([_raw(7), _raw(8), _raw(9)]), expected=3),
    Published("ada", 10, b"poison", refusable=frozenset({"INVALID_JSON"})),
    Published("ada", 11, orjson.dumps(_raw(11, id="m1")), refusable=frozenset({"ID_REUSED"})),
    Published("ada", 12, orjson.dumps(_raw(12)), expected=4),
)


@pytest.fixture(scope="module")
def right(mongo_url: str) -> LogContents:
    """The log after all of these were published, read back from MongoDB."""
    return asyncio.run(_right(mongo_url))


async def _right(mongo_url: str) -> LogContents:
    async with open_log(mongo_url, f"test_{uuid.uuid4().hex[:12]}", clock=Clock()) as log:
        await prepare(log)
        await _append_all(log)
        found = await read_log(log)
        await log.mongo.client.drop_database(log.mongo.database.name)
        return found


async def _append_all(log: Log) -> None:
    at = await lease.acquire(log, "ingester", 60)
    for sequence, one in enumerate(PUBLISHED, start=1):
        arrival = Arrival("events.user.updated", {}, one.raw, sequence, NOON + sequence)
        batch = MessageBatch(
            (parse_message(arrival, STREAM, None),), StreamPosition(STREAM, CREATED, sequence, arrival.recorded_at)
        )
        assert at is not None
        _, at = await append(log, Retention({"*": 30}), at, batch)


def _kinds_after(right: LogContents, spoil: Spoil) -> set[Kind]:
    changed = copy.deepcopy(right)
    spoil(changed)
    return {finding.kind for finding in check(PUBLISHED, changed).findings}


def test_a_correct_log_passes(right: LogContents) -> None:
    report = check(PUBLISHED, right)
    assert report.findings == ()
    assert (str(report), report.passed) == ("lost 0, twice 0, out of order 0", True)
    assert (report.messages, report.acknowledged, report.events, report.rejected) == (10, 10, 10, 2)


def _swap(contents: LogContents) -> None:
    first, second = contents.events[2], contents.events[4]  # of one aggregate
    for name in ("messageId", "data", "source", "recordedAt", "timestamp"):
        first[name], second[name] = second[name], first[name]


def _swap_within(contents: LogContents) -> None:
    first, second = contents.events[6], contents.events[8]  # of one array
    for name in ("messageId", "data"):
        first[name], second[name] = second[name], first[name]


def _double(contents: LogContents) -> None:
    contents.events.append(contents.events[3] | {"_id": 11, "version": 99})  # type: ignore[attr-defined]  # a list, as it is read


def _reject_what_is_stored(contents: LogContents) -> None:
    row = contents.rejected[0]
    event = contents.events[3]
    again = {"_id": 3, "raw": PUBLISHED[3].raw, "recordedAt": event["recordedAt"], "source": event["source"]}
    contents.rejected.append(row | again)  # type: ignore[attr-defined]
    contents.checkpoint["rejectedHead"] = 3


def _reject_again(contents: LogContents) -> None:
    contents.rejected.append(contents.rejected[0] | {"_id": 3})  # type: ignore[attr-defined]
    contents.checkpoint["rejectedHead"] = 3


def _without(name: str, index: int) -> Spoil:
    return lambda contents: getattr(contents, name).pop(index)


def _set(name: str, index: int, **changes: object) -> Spoil:
    return lambda contents: getattr(contents, name)[index].update(changes)


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        pytest.param(_without("events", 3), Kind.LOST, id="an event is missing"),
        pytest.param(_without("events", 9), Kind.LOST, id="the last event is missing"),
        pytest.param(_without("events", 7), Kind.LOST, id="one event of an array is missing"),
        pytest.param(_double, Kind.TWICE, id="an event is doubled"),
        pytest.param(_set("events", 4, _id=4), Kind.TWICE, id="a position is assigned twice"),
        pytest.param(_swap, Kind.ORDER, id="two events are swapped"),
        pytest.param(_swap_within, Kind.ORDER, id="two events of an array are swapped"),
        pytest.param(_set("events", 3, data={"n": 5}), Kind.LOST, id="an event has other data"),
        pytest.param(_set("events", 3, messageId="m99"), Kind.WRONG, id="an event that nobody published"),
        pytest.param(_set("events", 9, version=7), Kind.WRONG, id="a version is skipped"),
        pytest.param(_set("events", 9, claimedVersion=7), Kind.WRONG, id="another version than was claimed is kept"),
        pytest.param(_set("events", 0, claimedVersion=1), Kind.WRONG, id="a claim that is right is kept"),
        pytest.param(lambda contents: contents.events[9].pop("claimedVersion"), Kind.WRONG, id="a claim is forgotten"),
        pytest.param(_without("rejected", 0), Kind.LOST, id="a rejection is lost"),
        pytest.param(_set("rejected", 0, raw=b"pois"), Kind.LOST, id="a rejection without all of its bytes"),
        pytest.param(_set("rejected", 1, code="UNSTORABLE"), Kind.WRONG, id="a rejection for another reason"),
        pytest.param(_reject_again, Kind.TWICE, id="a rejection is doubled"),
        pytest.param(_reject_what_is_stored, Kind.TWICE, id="what is stored is rejected as well"),
        pytest.param(_set("rollups", 0, n=9), Kind.WRONG, id="a rollup is off"),
        pytest.param(_set("rollups", 0, lastPosition=9), Kind.WRONG, id="a rollup's span is off"),
        pytest.param(_without("rollups", 0), Kind.WRONG, id="a rollup is missing"),
        pytest.param(_set("populations", 0, n=3), Kind.WRONG, id="the number of aggregates is off"),
        pytest.param(_set("heads", 0, version=4), Kind.WRONG, id="a head has another version"),
        pytest.param(_without("heads", 1), Kind.WRONG, id="a head is missing"),
        pytest.param(
            lambda contents: contents.checkpoint.update(head=9), Kind.WRONG, id="the checkpoint is behind the log"
        ),
        pytest.param(
            lambda contents: contents.checkpoint.update(head=11), Kind.LOST, id="the checkpoint is ahead of the log"
        ),
    ],
)
def test_every_violation_is_found(right: LogContents, spoil: Spoil, kind: Kind) -> None:
    assert kind in _kinds_after(right, spoil)


def test_only_what_nats_itself_lost_is_counted_separately(right: LogContents) -> None:
    lost = Published("bob", 1, orjson.dumps(_raw(50)), certain=0, doubtful=1)
    report = check([*PUBLISHED, lost], right)
    assert (report.passed, report.lost_by_nats) == (True, 1)
    certain = replace(lost, certain=1, sendings=2)
    assert [finding.kind for finding in check([*PUBLISHED, certain], right).findings] == [Kind.LOST]


@pytest.mark.parametrize(
    ("index", "answer", "kind"),
    [
        (0, [StoredEvent("m1", 1, 1)], None),
        (0, [StoredEvent("m1", 2, 1)], Kind.WRONG),
        (0, [StoredEvent("m1", 1, 2)], Kind.WRONG),
        (7, PublishRejection("INVALID_JSON", ""), None),
        (7, PublishRejection("TOO_DEEP", ""), Kind.LOST),
        (0, PublishRejection("INVALID_JSON", ""), Kind.LOST),
    ],
)
def test_a_reply_that_contradicts_the_log_is_found(
    right: LogContents, index: int, answer: list[StoredEvent] | PublishRejection, kind: Kind | None
) -> None:
    published = list(PUBLISHED)
    published[index] = replace(published[index], answers=(answer,))
    assert {finding.kind for finding in check(published, right).findings} == ({kind} if kind else set())


def test_a_wrong_expectation_that_was_accepted_is_found(right: LogContents) -> None:
    published = [*PUBLISHED[:-1], replace(PUBLISHED[-1], expected=3)]
    assert [(finding.invariant, finding.kind) for finding in check(published, right).findings] == [("I3", Kind.WRONG)]


def test_events_of_one_publisher_out_of_order_are_found(right: LogContents) -> None:
    published = list(PUBLISHED)
    published[0], published[2] = replace(published[0], number=3), replace(published[2], number=1)
    assert Kind.ORDER in {finding.kind for finding in check(published, right).findings}
