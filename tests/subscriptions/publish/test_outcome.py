"""Replies to publishers: the outcome after the commit, the same outcome again, and only to an inbox."""

import asyncio
import itertools
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.envelopes import setting
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages
from eventscope.store.values.message import Arrival
from eventscope.subscriptions.messages.headers import REPLY_TO
from eventscope.subscriptions.publish.outcome import PublishRejection, StoredEvent, decode, inbox
from tests.support.ingesters import ingester
from tests.support.until import until

USER = {"aggregateType": "user", "aggregateId": "42"}


async def _publish(client: Client, subject: str, message: object, **headers: str) -> Any:
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(answer: Any) -> None:
        answers.put_nowait(answer.data)

    place = client.new_inbox()
    subscription = await client.subscribe(place, cb=hear)
    raw = message if isinstance(message, bytes) else orjson.dumps(message)
    await client.publish(subject, raw, headers={REPLY_TO: place, **headers})
    async with asyncio.timeout(20):
        answer = await answers.get()
    await subscription.unsubscribe()
    return orjson.loads(answer)


async def test_a_publisher_that_wants_an_answer_gets_it_when_the_event_is_in_the_log(
    log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    answer = await _publish(client, f"{subject_prefix}.user.created", {**USER, "messageId": "m"})
    assert answer == {"messageId": "m", "position": 1, "version": 1}
    assert await pages.event(log, "m") is not None
    answer = await _publish(client, f"{subject_prefix}.user.created", {"messageId": "n"})
    assert answer == {"messageId": "n", "position": 2, "version": None}


async def test_a_publisher_that_sends_again_gets_the_first_outcome(
    log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    subject = f"{subject_prefix}.user.created"
    first = await _publish(client, subject, {**USER, "messageId": "m", "version": 1})
    await _publish(client, subject, USER)
    assert await _publish(client, subject, {**USER, "messageId": "m", "version": 1}) == first
    assert len(await pages.events(log, EVERYTHING, limit=10)) == 2


async def test_a_publisher_with_a_wrong_expectation_gets_the_actual_version(
    client: Client, subject_prefix: str, ingesting: None
) -> None:
    subject = f"{subject_prefix}.user.created"
    await _publish(client, subject, USER)
    for wrong in ("none", "0", "2"):
        message = {**USER, "messageId": "m", "version": 2}
        answer = await _publish(client, subject, message, **{"Eventscope-Expected-Version": wrong})
        assert (answer["code"], answer["actualVersion"], answer["messageId"]) == ("VERSION_CONFLICT", 1, "m")
    answer = await _publish(client, subject, USER, **{"Eventscope-Expected-Version": "none"})
    assert answer["code"] == "VERSION_CONFLICT"
    answer = await _publish(client, subject, USER, **{"Eventscope-Expected-Version": "1"})
    assert answer["version"] == 2


async def test_a_mapped_header_distinguishes_messages_and_a_trace_header_does_not(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    account = {"messageId": "id", "aggregateType": {"constant": "account"}, "aggregateId": {"header": "X-Account"}}
    traces = itertools.count()

    async def outcome(id: str, name: str, **headers: str) -> object:
        trace = {"traceparent": str(next(traces))}
        answer = await _publish(client, f"{subject_prefix}.paid", {"id": id}, **trace, **{"x-account": name}, **headers)
        return answer.get("position") or answer["code"]

    envelopes = setting({f"{subject_prefix}.>": account})
    async with ingester(settings.model_copy(update={"envelopes": envelopes})):
        assert await outcome("other", "B") == 1
        expects = {"Eventscope-Expected-Version": "1"}
        assert await outcome("m", "A", **expects) == "VERSION_CONFLICT"
        assert await outcome("m", "B", **expects) == 2
        assert await outcome("k", "A") == 3
        for _ in range(2):
            assert await outcome("k", "C") == "ID_REUSED"
            assert await outcome("k", "D") == "ID_REUSED"
            assert await outcome("k", "A") == 3
    accounts = [row.headers["x-account"] for row in await messages.rejections(log, limit=10)]
    assert accounts == ["D", "C", "A"]


async def test_a_message_that_cannot_be_parsed_is_answered_too(
    client: Client, subject_prefix: str, ingesting: None
) -> None:
    answer = await _publish(client, f"{subject_prefix}.user.created", b"{", **{"Nats-Msg-Id": "m"})
    assert (answer["code"], answer["messageId"]) == ("INVALID_JSON", "m")


async def test_several_events_are_answered_in_order(client: Client, subject_prefix: str, ingesting: None) -> None:
    events = [{**USER, "messageId": f"m{n}"} for n in range(3)]
    for _ in range(2):
        answer = await _publish(client, f"{subject_prefix}.user.updated", events)
        assert answer == {"events": [{"messageId": f"m{n}", "position": n + 1, "version": n + 1} for n in range(3)]}
    # if two were stored and one was not, none of the group is
    answer = await _publish(client, f"{subject_prefix}.user.updated", [*events[:2], {**USER, "messageId": "new"}])
    assert answer["code"] == "ID_REUSED"


async def test_answers_are_sent_to_inboxes_only(
    settings: Settings, log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await client.publish(f"{subject_prefix}.a", b"{}", headers={REPLY_TO: f"{subject_prefix}.b"})
    await _publish(client, f"{subject_prefix}.c", {})
    events = await until(lambda: pages.events(log, EVERYTHING, limit=10))
    assert [event["type"] for event in events] == ["a", "c"]


@pytest.mark.parametrize("subject", ["events.a", "$JS.API.STREAM.DELETE.S", "_INBOX.a.*", "_INBOX.>", "_INBOX. a", ""])
def test_other_subjects_are_not_inboxes(subject: str) -> None:
    assert inbox(Arrival("s", {REPLY_TO: subject}, b"", 1, 1)) is None


def test_answers_are_parsed_as_they_were_written() -> None:
    assert decode(b'{"messageId": "m", "position": 7, "version": null}') == [StoredEvent("m", 7, None)]
    rejection = decode(b'{"code": "VERSION_CONFLICT", "message": "no", "messageId": "m", "actualVersion": 3}')
    assert rejection == PublishRejection("VERSION_CONFLICT", "no", "m", actual_version=3)
