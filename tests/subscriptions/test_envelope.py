"""Other people's envelopes: CloudEvents and NestJS events say in the log what they said on the wire."""

import asyncio
from contextlib import suppress
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.ingesting import ingest
from eventscope.settings import Settings
from eventscope.store import read as store
from eventscope.store.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.message import Accepted, Arrival, Refused, Together
from eventscope.subscriptions.envelope import Envelope
from eventscope.subscriptions.reading import read
from tests.until import until

# the example of the specification, with the extensions for correlation and auth context
CLOUD_EVENT = {
    "specversion": "1.0",
    "type": "com.example.user.created",
    "source": "/users",
    "subject": "42",
    "id": "A234-1234-1234",
    "time": "2026-11-23T07:00:00.5Z",
    "datacontenttype": "application/json",
    "aggregatetype": "user",
    "correlationid": "c",
    "causationid": "x",
    "authid": "ada",
    "data": {"name": "Ada"},
}
FIELDS = {
    "type": "com.example.user.created",
    "messageId": "/users#A234-1234-1234",
    "aggregateType": "user",
    "aggregateId": "42",
    "correlationId": "c",
    "causationId": "x",
    "userId": "ada",
    "timestamp": 1795417200500000,
    "data": {"name": "Ada"},
}


def _read(envelope: Envelope, content: object, **headers: str) -> Any:
    raw = content if isinstance(content, bytes) else orjson.dumps(content)
    return read(Arrival("events.a.b", headers, raw, 5, 1), "EVENTS", "a.b", envelope)


def test_a_structured_cloud_event_is_taken_with_all_its_attributes() -> None:
    message = _read("cloudevents", CLOUD_EVENT)
    extensions = {
        "specversion": "1.0",
        "source": "/users",
        "id": "A234-1234-1234",
        "datacontenttype": "application/json",
    }
    assert message.fields == FIELDS | {"extensions": extensions}


def test_a_binary_cloud_event_is_the_same_event() -> None:
    attributes = {f"ce-{name}": str(v) for name, v in CLOUD_EVENT.items() if name not in ("data", "datacontenttype")}
    message = _read("cloudevents", CLOUD_EVENT["data"], **attributes, **{"Content-Type": "application/json"})
    assert message == Accepted(message.arrival, _read("cloudevents", CLOUD_EVENT).fields, None, has_timestamp=True)


def test_text_in_the_headers_of_a_binary_cloud_event_is_decoded() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/caf%C3%A9%20x", "ce-type": "a.b"}
    assert _read("cloudevents", b"", **headers).fields["messageId"] == "/café x#1"


def test_binary_data_that_is_not_json_is_kept_in_base64() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "a.b", "content-type": "image/png"}
    extensions = _read("cloudevents", b"\x89PNG", **headers).fields["extensions"]
    assert (extensions["data_base64"], extensions["datacontenttype"]) == ("iVBORw==", "image/png")


def test_a_batch_of_cloud_events_is_taken_whole() -> None:
    message = _read("cloudevents", [CLOUD_EVENT, {**CLOUD_EVENT, "id": "2"}])
    assert isinstance(message, Together)
    assert [one.fields["messageId"] for one in message.messages] == ["/users#A234-1234-1234", "/users#2"]


def test_an_event_of_nestjs_is_named_by_its_pattern() -> None:
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
        ("plain", CLOUD_EVENT),
        ("plain", {"pattern": "a.b", "data": 1}),
    ],
)
def test_what_is_in_another_envelope_is_refused_with_the_setting_that_mends_it(
    envelope: Envelope, content: object
) -> None:
    message = _read(envelope, content)
    assert isinstance(message, Refused)
    assert message.code == "WRONG_ENVELOPE"
    assert "EVENTSCOPE_ENVELOPES" in message.reason


async def test_each_subject_has_the_envelope_that_its_setting_names(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    envelopes = {f"{subject_prefix}.cloud.>": "cloudevents", f"{subject_prefix}.nest.>": "nestjs"}
    task = asyncio.create_task(ingest(settings.model_copy(update={"envelopes": envelopes})))
    await client.publish(f"{subject_prefix}.cloud.x", orjson.dumps(CLOUD_EVENT))
    await client.publish(f"{subject_prefix}.nest.x", orjson.dumps({"pattern": "nest.happened", "data": 1}))
    await client.publish(f"{subject_prefix}.user.created", b"{}")
    events = await until(lambda: _three(log))
    assert [event["type"] for event in events] == ["com.example.user.created", "nest.happened", "user.created"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _three(log: Log) -> list[Any]:
    events = await store.events(log, EVERYTHING, limit=10)
    return list(events) if len(events) == 3 else []
