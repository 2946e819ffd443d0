"""Which envelope a message has: the one set for its subject, and what is refused where none is set."""

from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.envelopes import mapping
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected.messages import rejections
from eventscope.store.values.message import AcceptedMessage, Arrival, RejectedMessage
from eventscope.subscriptions.messages.envelope import PLAIN, MessageEnvelope
from eventscope.subscriptions.messages.mapping import Mapper
from eventscope.subscriptions.messages.parse import parse_message
from eventscope.subscriptions.publish.retry import open_retrier
from tests.support.ingesters import ingester
from tests.support.until import until

CLOUD_EVENT = {"specversion": "1.0", "type": "com.example.user.created", "source": "/users", "id": "A234-1234-1234"}


def _read(envelope: MessageEnvelope | None, content: object, **headers: str) -> Any:
    raw = content if isinstance(content, bytes) else orjson.dumps(content)
    return parse_message(Arrival("events.a.b", headers, raw, 5, 1), "EVENTS", "a.b", envelope)


def test_the_pattern_of_an_event_of_nestjs_is_its_type() -> None:
    assert _read("nestjs", {"pattern": "user.created", "data": {"n": 1}}).fields | {"messageId": ""} == {
        "type": "user.created",
        "data": {"n": 1},
        "timestamp": 1,
        "messageId": "",
    }
    message = _read("nestjs", {"pattern": {"cmd": "x"}, "data": 1, "id": "7"})
    assert (message.fields["type"], message.fields["extensions"]) == ("a.b", {"pattern": {"cmd": "x"}, "id": "7"})


@pytest.mark.parametrize(
    ("envelope", "content"),
    [
        ("cloudevents", {"type": "a.b"}),
        ("cloudevents", {**CLOUD_EVENT, "specversion": "0.3"}),
        ("cloudevents", {**CLOUD_EVENT, "id": ""}),
        ("cloudevents", {name: value for name, value in CLOUD_EVENT.items() if name != "source"}),
        ("cloudevents", [CLOUD_EVENT, {}]),
        ("nestjs", {"type": "a.b"}),
        (None, CLOUD_EVENT),
        (None, [{}, CLOUD_EVENT]),
        (None, {"pattern": "a.b", "data": 1}),
        (None, {"pattern": {"cmd": "a"}, "data": {}, "id": "7"}),
    ],
)
def test_a_message_in_another_envelope_is_refused_with_the_setting_that_accepts_it(
    envelope: MessageEnvelope | None, content: object
) -> None:
    message = _read(envelope, content)
    assert isinstance(message, RejectedMessage)
    assert message.code == "WRONG_ENVELOPE"
    assert "EVENTSCOPE_ENVELOPES" in message.reason


@pytest.mark.parametrize(
    "content",
    [
        {"id": "42", "pattern": "striped"},
        {"pattern": "striped"},
        {"pattern": "striped", "data": 1, "colour": "red"},
        {"pattern": "a.b", "data": 1, "type": "shirt.designed"},
        {"specversion": "1.0"},
        {"specversion": "1.0", "id": 7, "source": "s", "type": "a.b"},
        {"specversion": 1, "id": "7", "source": "s", "type": "a.b"},
        {"specversion": "2.0", "id": "7", "source": "s", "type": "a.b"},
    ],
)
def test_a_message_may_have_members_with_the_names_of_those_of_an_envelope(content: dict[str, Any]) -> None:
    message = _read(None, content)
    assert isinstance(message, AcceptedMessage)
    rest = {name: value for name, value in content.items() if name not in ("type", "data")}
    assert message.fields["extensions"] == rest


@pytest.mark.parametrize("content", [CLOUD_EVENT, {"pattern": "a.b", "data": 1}, {"pattern": "a.b"}])
def test_a_message_marked_as_plain_is_plain_whatever_it_looks_like(content: dict[str, Any]) -> None:
    message = _read("plain", content)
    assert isinstance(message, AcceptedMessage)
    assert message.fields["type"] == content.get("type", "a.b")


async def test_each_subject_has_the_envelope_that_its_setting_names(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    envelopes = {f"{subject_prefix}.cloud.>": "cloudevents", f"{subject_prefix}.nest.>": "nestjs"}
    async with ingester(settings.model_copy(update={"envelopes": envelopes})):
        await client.publish(f"{subject_prefix}.cloud.x", orjson.dumps(CLOUD_EVENT))
        await client.publish(f"{subject_prefix}.nest.x", orjson.dumps({"pattern": "nest.happened", "data": 1}))
        await client.publish(f"{subject_prefix}.user.created", b"{}")
        events = await until(lambda: _three(log))
        assert [event["type"] for event in events] == ["com.example.user.created", "nest.happened", "user.created"]


async def test_a_refused_message_can_be_retried_once_the_setting_is_corrected(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with ingester(settings):
        await client.publish(f"{subject_prefix}.shirt.designed", b'{"pattern": "striped", "data": 1}')
        [message] = await until(lambda: rejections(log, limit=2))
    assert message.code == "WRONG_ENVELOPE"
    plain = settings.model_copy(update={"envelopes": {f"{subject_prefix}.>": "plain"}})
    async with ingester(plain), open_retrier(log, client, settings.stream) as retrier:
        await retrier.send(message)
        await retrier.settle(60)
        await retrier.remove_answered()
    [event] = await pages.events(log, EVERYTHING, limit=2)
    assert (event["type"], event["extensions"]) == ("shirt.designed", {"pattern": "striped"})
    assert await rejections(log, limit=1) == []


async def _three(log: Log) -> list[Any]:
    events = await pages.events(log, EVERYTHING, limit=10)
    return list(events) if len(events) == 3 else []


@pytest.mark.parametrize("envelope", ["cloudevents", "nestjs", Mapper(mapping({"type": "kind"})), None])
def test_a_header_makes_a_message_plain_whatever_its_subject_is_set_to(envelope: MessageEnvelope | None) -> None:
    message = _read(envelope, {"type": "a.b", "pattern": "x", "data": 1}, **PLAIN)
    assert isinstance(message, AcceptedMessage)
    assert (message.fields["type"], message.fields["data"]) == ("a.b", 1)
    assert message.fields["extensions"] == {"pattern": "x"}


def test_the_pattern_is_the_type_and_a_different_type_is_kept() -> None:
    raw = orjson.dumps({"pattern": "a.b", "type": "c.d", "data": 1})
    message = parse_message(Arrival("events.x", {}, raw, 5, 1), "EVENTS", None, "nestjs")
    assert isinstance(message, AcceptedMessage)
    assert (message.fields["type"], message.fields["extensions"]) == ("a.b", {"type": "c.d"})
