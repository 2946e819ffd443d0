"""Versions that messages claim: none keeps an event out, and the log assigns its own, whatever they are (I3)."""

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejections
from eventscope.store.state import checkpoint
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.message import EXPECTED_VERSION, Arrival, MessageBatch, StreamPosition
from eventscope.store.write.draft import Draft
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.messages import parse
from eventscope.subscriptions.publish.outcome import StoredEvent
from eventscope.subscriptions.publish.retry import open_retrier
from tests.store.support.json_values import json_values
from tests.support.ingesters import ingester, wait_for_events
from tests.support.until import until

AT = 1_700_000_000_000_000
USER = {"aggregateType": "user", "aggregateId": "42"}
CLAIMS = st.none() | st.integers(0, 5) | st.integers(-(2**63), 2**63 - 1) | json_values()


def message(number: int, claim: object) -> dict[str, Any]:
    """The same message each time, except for the claim; a third of them have no aggregate."""
    of = {"aggregateType": "user", "aggregateId": str(number % 2)} if number % 3 else {}
    return {"messageId": f"m{number}", "version": claim, "data": number, **of}


def drafted(messages: list[dict[str, Any]]) -> Draft:
    """What becomes of the messages on an empty log."""
    position = StreamPosition("S", "2026-01-01T00:00:00Z", len(messages), AT)
    start = LogCheckpoint(0, 0, None, 0, "ingester", 1, True)
    draft = Draft(AT, Retention({"*": 0}), start, MessageBatch((), position), {}, {})
    for sequence, one in enumerate(messages, start=1):
        draft.add(parse.parse_message(Arrival("events.a", {}, orjson.dumps(one), sequence, AT + sequence), "S", "a"))
    return draft


def claimed(event: Any) -> object:
    """The claim as it is kept: a number, or whatever else it was."""
    return event.get("claimedVersion", event.get("extensions", {}).get("version"))


@given(st.lists(st.builds(message, st.integers(0, 12), CLAIMS), max_size=40))
def test_whatever_is_claimed_versions_are_dense_nothing_is_rejected_and_claims_are_kept(
    messages: list[dict[str, Any]],
) -> None:
    draft = drafted(messages)
    assert draft.rejections == []
    first = {one["messageId"]: one for one in reversed(messages)}
    assert draft.duplicates == len(messages) - len(first)
    versions: Counter[str] = Counter()
    for event in draft.events:
        claim = first.pop(event["messageId"])["version"]
        if "aggregateType" in event:
            versions[event["aggregateId"]] += 1
            assert event["version"] == versions[event["aggregateId"]]
        is_right = type(claim) is int and claim == event.get("version")
        assert orjson.dumps(claimed(event)) == orjson.dumps(None if is_right else claim)
        assert type(event.get("claimedVersion", 0)) is int
    assert first == {}


@pytest.mark.parametrize("again", [1, 7, -1, "2.1", None, {"$ref": "a", "$id": 1}])
@pytest.mark.parametrize("claim", [3, "2.1", {"$ref": "a", "$id": 1}])
async def test_the_same_event_with_another_claim_is_recognized(
    claim: object, again: object, log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    """This happens when a publisher dies before it receives an acknowledgement, and counts from the start again."""
    subject = f"{subject_prefix}.user.updated"
    for version in (claim, again):
        sent = USER | {"messageId": "m", "version": version, "$ref": "x", "$id": "y"}
        await client.publish(subject, orjson.dumps(sent))
    await client.publish(subject, b'{"messageId": "last"}')
    [event, _] = await wait_for_events(log, 2)
    assert (event["messageId"], event["version"], event.get("claimedVersion")) == ("m", 1, 3 if claim == 3 else None)
    assert await rejections.numbers(log) == []


async def test_a_setting_makes_the_versions_on_some_subjects_expectations(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    use = {f"{subject_prefix}.order.claimed": "claim", f"{subject_prefix}.order.>": "expect"}
    async with ingester(settings.model_copy(update={"message_version": use})):
        for type in ("user.updated", "order.claimed", "order.placed"):
            of = {"aggregateType": type, "aggregateId": "1"}
            for version in (1, 1, "one", 7):
                await client.publish(f"{subject_prefix}.{type}", orjson.dumps(of | {"version": version}))
            headers = {EXPECTED_VERSION: "none"}
            await client.publish(f"{subject_prefix}.{type}", orjson.dumps(of | {"version": 2}), headers=headers)
        await client.publish(f"{subject_prefix}.last", b'{"messageId": "last"}')
        await until(lambda: pages.event(log, "last"))
    events = await pages.events(log, EVERYTHING, limit=100)
    assert Counter(event["type"] for event in events) == {
        "user.updated": 4,
        "order.claimed": 4,
        "order.placed": 1,
        "last": 1,
    }
    found = [(row["subject"].removeprefix(f"{subject_prefix}."), row["code"]) async for row in log.rejected.find({})]
    conflicts = [("user.updated", "VERSION_CONFLICT"), ("order.claimed", "VERSION_CONFLICT")]
    placed = ["VERSION_CONFLICT", "INVALID_FIELD", "VERSION_CONFLICT", "VERSION_CONFLICT"]
    assert found == [*conflicts, *(("order.placed", code) for code in placed)]


async def test_a_message_rejected_for_its_version_is_accepted_when_it_is_retried_or_sent_again_as_a_claim(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    subject = f"{subject_prefix}.user.updated"
    raws = [orjson.dumps(USER | {"messageId": f"m{version}", "version": version}) for version in (5, 6)]
    together = orjson.dumps([USER | {"messageId": "t1", "version": 9}, USER | {"messageId": "t2"}])
    async with ingester(settings.model_copy(update={"message_version": {">": "expect"}})):
        for raw in (*raws, together):
            await client.publish(subject, raw)
        await until(lambda: _rejected(log, 3))
    assert (await checkpoint.read(log)).head == 0
    async with ingester(settings), open_retrier(log, client, settings.stream) as retrier:
        [first] = [one for one in await rejections.rejections(log, limit=9) if one.raw == raws[0]]
        await retrier.send(first)
        await retrier.settle(60)
        assert retrier.answers == {first.number: [StoredEvent("m5", 1, 1)]}
        for raw in (raws[1], together):
            await client.publish(subject, raw)
        events = await wait_for_events(log, 4)
    assert [(event["messageId"], event["version"], claimed(event)) for event in events] == [
        ("m5", 1, 5),
        ("m6", 2, 6),
        ("t1", 3, 9),
        ("t2", 4, None),
    ]


async def _rejected(log: Log, count: int) -> bool:
    return len(await rejections.numbers(log)) == count
