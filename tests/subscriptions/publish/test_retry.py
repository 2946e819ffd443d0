"""Retrying what was rejected: nothing is lost, and nothing is stored twice, whatever dies on the way."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages
from eventscope.store.rejected.messages import StoredRejection
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.message import EXPECTED_VERSION, RETRY
from eventscope.subscriptions.messages.headers import OWN_ID
from eventscope.subscriptions.messages.parse import generated_id
from eventscope.subscriptions.publish.outcome import PublishRejection, StoredEvent
from eventscope.subscriptions.publish.retry import Retrier, RetryRefused, headers, open_retrier
from tests.support.until import until

SECONDS = 60.0
# rejected by every ingester while user 42 does not exist, and accepted once it does
WAITS: dict[str, Any] = {"aggregateType": "user", "aggregateId": "42", "data": {"name": "Grace"}}
AT_1 = {EXPECTED_VERSION: "1"}


@pytest.fixture
async def retrier(settings: Settings, log: Log, client: Client, ingesting: None) -> AsyncIterator[Retrier]:
    async with open_retrier(log, client, settings.stream) as retrier:
        yield retrier


async def rejected(log: Log, client: Client, subject: str, raw: bytes, **more: Mapping[str, str]) -> StoredRejection:
    """Publish the message; returns its rejection."""
    before = {one.number for one in await messages.rejections(log, limit=1000)}
    await client.jetstream().publish(subject, raw, headers=dict(more.get("headers", {})))

    async def new() -> list[StoredRejection]:
        return [one for one in await messages.rejections(log, limit=1000) if one.number not in before]

    [found] = await until(new)
    return found


async def repair(client: Client, prefix: str) -> None:
    """Let user 42 exist, at version 1."""
    message = {"aggregateType": "user", "aggregateId": "42", "messageId": "first"}
    await client.jetstream().publish(f"{prefix}.user.created", orjson.dumps(message))


async def stored(log: Log) -> list[EventDocument]:
    return [one for one in await pages.events(log, EVERYTHING, limit=100) if one["messageId"] != "first"]


async def test_a_message_whose_cause_is_fixed_is_stored_and_no_longer_rejected(
    log: Log, client: Client, subject_prefix: str, retrier: Retrier
) -> None:
    raw = orjson.dumps(WAITS | {"messageId": "m"})
    message = await rejected(log, client, f"{subject_prefix}.user.updated", raw, headers=AT_1)
    assert message.code == "VERSION_CONFLICT"
    await repair(client, subject_prefix)
    await retrier.send(message)
    await retrier.settle(SECONDS)
    await retrier.remove_answered()
    assert retrier.answers == {message.number: [StoredEvent("m", 2, 2)]}
    [event] = await stored(log)
    assert (event["type"], event["data"], event["version"]) == ("user.updated", {"name": "Grace"}, 2)
    assert await messages.rejections(log, limit=10) == []


@pytest.mark.parametrize("id", [{}, {"Nats-Msg-Id": "sent-once"}, {OWN_ID: "own", "Nats-Msg-Id": "sent-once"}])
async def test_a_message_without_an_id_is_stored_once_however_often_it_is_retried(
    id: dict[str, str], log: Log, client: Client, subject_prefix: str, retrier: Retrier
) -> None:
    """This happens when the program dies again and again after JetStream had the message, before it was removed."""
    subject = f"{subject_prefix}.user.updated"
    message = await rejected(log, client, subject, orjson.dumps(WAITS), headers=id | AT_1)
    await repair(client, subject_prefix)
    for _ in range(3):
        await retrier.send(message)
    assert [one.number for one in await messages.rejections(log, limit=10)] == [message.number]
    await retrier.send(message)
    await retrier.settle(SECONDS)
    await retrier.remove_answered()
    # once a fourth one has been handled after them, the others have been too
    await client.jetstream().publish(subject, b'{"messageId": "last"}')
    await until(lambda: pages.event(log, "last"))
    [event, last] = await stored(log)
    source = message.source
    made_up = generated_id(source["stream"], source["sequence"], message.recorded_at)
    assert event["messageId"] == id.get(OWN_ID, id.get("Nats-Msg-Id", made_up))
    assert last["messageId"] == "last"
    assert await messages.rejections(log, limit=10) == []


async def test_a_message_whose_cause_remains_is_rejected_again_and_keeps_its_id(
    log: Log, client: Client, subject_prefix: str, retrier: Retrier
) -> None:
    first = await rejected(log, client, f"{subject_prefix}.user.updated", orjson.dumps(WAITS), headers=AT_1)
    await retrier.send(first)
    await retrier.settle(SECONDS)
    await retrier.remove_answered()
    [second] = await messages.rejections(log, limit=10)
    answer = retrier.answers[first.number]
    assert isinstance(answer, PublishRejection)
    assert (answer.code, answer.actual_version) == ("VERSION_CONFLICT", 0)
    assert second.number > first.number
    assert (second.code, second.raw, second.subject) == (first.code, first.raw, first.subject)
    await repair(client, subject_prefix)
    await retrier.send(second)
    await retrier.settle(SECONDS)
    await retrier.remove_answered()
    [event] = await stored(log)
    assert event["messageId"] == generated_id(first.source["stream"], first.source["sequence"], first.recorded_at)


async def test_headers_are_sent_again_except_those_for_jetstream(
    log: Log, client: Client, subject_prefix: str, retrier: Retrier
) -> None:
    given = {"Trace": "t1", "Nats-Msg-Id": "id", "Nats-Expected-Last-Sequence": "0", "ce-id": "7"}
    message = await rejected(log, client, f"{subject_prefix}.user.updated", b"no json", headers=given)
    assert headers(message) == {"Trace": "t1", "ce-id": "7", OWN_ID: "id", RETRY: "1"}
    await retrier.send(message)
    await retrier.settle(SECONDS)
    await retrier.remove_answered()
    [again] = await messages.rejections(log, limit=10)
    kept = {name: text for name, text in again.headers.items() if not name.startswith(("Nats-", "Eventscope-Reply-"))}
    assert kept == headers(message)


async def test_a_message_whose_subject_no_stream_accepts_any_more_stays_rejected(
    settings: Settings, log: Log, client: Client, subject_prefix: str, retrier: Retrier
) -> None:
    message = await rejected(log, client, f"{subject_prefix}.user.updated", b"no json")
    js = client.jetstream()
    await js.update_stream(name=settings.stream, subjects=[f"{subject_prefix}.other"])
    with pytest.raises(RetryRefused, match=rf"no stream takes {subject_prefix}\.user\.updated any more"):
        await retrier.send(message)
    assert [one.number for one in await messages.rejections(log, limit=10)] == [message.number]


async def test_a_message_that_another_stream_would_accept_stays_rejected(
    log: Log, client: Client, subject_prefix: str, retrier: Retrier
) -> None:
    message = await rejected(log, client, f"{subject_prefix}.user.updated", b"no json")
    async with open_retrier(log, client, "ANOTHER") as wrong:
        with pytest.raises(RetryRefused, match="JetStream refuses it: expected stream does not match"):
            await wrong.send(message)
    assert [one.number for one in await messages.rejections(log, limit=10)] == [message.number]


async def test_a_message_that_its_headers_made_too_large_stays_rejected_and_the_connection_lasts(
    log: Log, client: Client, subject_prefix: str, retrier: Retrier
) -> None:
    raw = b"x" * (client.max_payload - 100)
    message = await rejected(log, client, f"{subject_prefix}.user.updated", raw)
    with pytest.raises(RetryRefused, match=f"NATS accepts at most {client.max_payload}"):
        await retrier.send(message)
    assert client.is_connected
    assert [one.number for one in await messages.rejections(log, limit=10)] == [message.number]
