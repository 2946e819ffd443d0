"""Whatever bytes are published, each message is stored once, as an event or a rejection, and ingest continues (I2)."""

import random
import re
import uuid
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from nats.aio.client import Client

from eventscope.envelopes import EnvelopeMapping, setting
from eventscope.errors import Unstorable
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.values.message import ParsedMessage
from eventscope.subscriptions.ingest.lag import lag
from eventscope.subscriptions.ingest.poison import unstorable
from tests.store.support.appender import Appender, event
from tests.subscriptions.support.ingest_state import outcomes
from tests.support.ingesters import ingester, publish
from tests.support.raw_publisher import message, send

ODD_BUT_TEXT = [b"a\x00b", b"\x01\x02", "a\x85b".encode(), "é".encode(), b"a" * 3900, b"*", b">"]
ODD_HEADERS = [
    b"AB",
    b"\r\n",
    b"NATS/1.0",
    b"NATS/1.0 ",
    b"NATS/1.0\r\n",
    b"NATS/1.0\r\nA: b",
    b"NATS/1.0\r\nAb\r\n\r\n",
    b"NATS/1.0\r\nA: \xff\xfe\r\n\r\n",
    b"NATS/1.0\r\n\xff: b\r\n\r\n",
    b"NATS/1.0\r\na\x00b: c\r\n\r\n",
    b"NATS/1.0\r\n: c\r\n\r\n",
    b"NATS/1.0\r\n$ref: x\r\n$id: y\r\n\r\n",
    b"NATS/1.0 404 x\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\nA: b\r\n\r\n",
    b"NATS/1.0 \xff\xfe\xff\r\n\r\n",
    b"NATS/1.0 503 \xff\r\n\r\n",
    b"NATS/1.0\r\nA: " + b"x" * 60_000 + b"\r\n\r\n",
    b"NATS/1.0\r\nEventscope-Reply-To: _INBOX.\xff\x0b\r\n\r\n",
    b"NATS/1.0\r\nEventscope-Expected-Version: \xff\r\n\r\n",
]


@pytest.mark.parametrize("status", ["409", "100", "404", "408", "503", "active", ""])
@pytest.mark.parametrize("description", ["", "Consumer Deleted"])
async def test_an_empty_message_with_a_header_status_is_a_message_like_any_other(
    status: str,
    description: str,
    log: Log,
    client: Client,
    subject_prefix: str,
    ingesting: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    headers = {"Status": status, "Description": description}
    await client.publish(f"{subject_prefix}.order.touched", b"", headers={k: v for k, v in headers.items() if v})
    await publish(client, subject_prefix, 1)
    assert await outcomes(log, 2) == {1: "INVALID_JSON", 2: "event"}
    assert "anew" not in caplog.text
    assert "ingest stopped" not in caplog.text


async def test_unusual_subjects_and_headers_are_accepted_or_rejected_and_nothing_stops(
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    ingesting: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    subjects = [f"{subject_prefix}.".encode() + subject for subject in ODD_BUT_TEXT]
    odd = [message(subject) for subject in subjects]
    for body in (b"{}", b"", b"x"):
        odd += [message(f"{subject_prefix}.h".encode(), body, block) for block in ODD_HEADERS]
    await send(settings.nats_url, *odd)
    await publish(client, subject_prefix, 1)
    found = await outcomes(log, len(odd) + 1)
    assert found[len(odd) + 1] == "event"
    assert "ingest stopped" not in caplog.text


async def test_the_lag_is_known_while_poison_waits(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    await send(settings.nats_url, message(f"{subject_prefix}.\xff".encode("latin-1")))
    for block in ODD_HEADERS:
        await send(settings.nats_url, message(f"{subject_prefix}.h".encode(), b"", block))
    found = await lag(log, client, settings.stream)
    assert found is not None
    assert found.events == len(ODD_HEADERS) + 1


def some_bytes(chance: random.Random, most: int, least: int = 0) -> bytes:
    """Bytes of all kinds, mostly those that have a meaning."""
    size = chance.randint(least, most)
    return bytes(chance.choice((chance.randrange(256), *b"\r\n: \x0b\x00\xff1N")) for _ in range(size))


def some_message(chance: random.Random, prefix: str) -> bytes:
    """The command that publishes something odd."""
    word = some_bytes(chance, 12, 1).translate(None, b" \t\r\n.\x00") or b"\xff"
    body = chance.choice((b"{}", b"", b'{"type": "a.b"}', b"[]", some_bytes(chance, 40)))
    blocks = (None, chance.choice(ODD_HEADERS), some_bytes(chance, 40, 1), b"NATS/1.0" + some_bytes(chance, 40))
    return message(f"{prefix}.".encode() + word, body, chance.choice(blocks))


@hypothesis_settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=True))
async def test_every_acknowledged_message_of_any_bytes_is_stored_once(
    chance: random.Random, settings: Settings, log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    commands = []
    for number in range(100):
        commands.append(some_message(chance, subject_prefix))
        commands.append(message(f"{subject_prefix}.good".encode(), b'{"data": %d}' % number))
    await send(settings.nats_url, *commands)
    last = await client.jetstream().publish(f"{subject_prefix}.good", b"{}")  # after all of them
    assert last.seq > len(commands) // 2
    await outcomes(log, last.seq)


ENDLESS: Any = []
ENDLESS.append(ENDLESS)
# what JSON cannot express, and only a fault of ours could make of a message
NO_VALUES = st.sampled_from(
    ["\ud800", "a\0", b"a", 2**64, 1e999, Decimal("1e999999999"), {1: 2}, {"a\0": 1}, {"\ud800": 1}, ENDLESS, {1},
     None, uuid.uuid4(), object(), datetime.max, re.compile("a\0"), EnvelopeMapping(()), [], "", "x" * 17_000_000]
)  # fmt: skip


@pytest.fixture
def appenders() -> list[Appender]:
    """The place where the first of many examples leaves its appender for the others."""
    return []


@pytest.mark.parametrize("name", ["messageId", "type", "timestamp", "aggregateType", "aggregateId", "data", "x"])
@hypothesis_settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(value=NO_VALUES)
async def test_whatever_a_message_contains_it_is_kept(
    name: str, value: Any, log: Log, appenders: list[Appender]
) -> None:
    """This covers faults in our own parsing: MongoDB accepts the message, or a rejection of it."""
    if not appenders:
        appenders.append(await Appender.of(log))
    [appender] = appenders
    odd = event(of=("thing", "1"))
    message: ParsedMessage | None = replace(odd, fields={**odd.fields, name: value})
    head, rejected = appender.at.head, appender.at.rejected_head
    for _ in range(5):
        assert message is not None
        try:
            await appender.store(message)
            break
        except Unstorable as error:
            message = unstorable(message, str(error))
    assert 0 <= appender.at.head - head + appender.at.rejected_head - rejected <= 1
    assert (await appender.store(event())).events


@pytest.mark.parametrize(
    ("headers", "raw"),
    [
        ({"content-type": "text/plain; charset=utf-7"}, b"+2AA-"),
        ({"content-type": 'text/plain;"' + "a;" * 30_000}, b"text"),
        ({"content-type": f"text/plain; charset*{'9' * 5000}=x"}, b"text"),
        (
            {"content-type": "application/cloudevents+json"},
            b'{"specversion":"1.0","id":"1","source":"s","type":"a.b","data_base64":"XHVkODAw",'
            b'"datacontenttype":"text/plain; charset=raw_unicode_escape"}',
        ),
        (
            {"content-type": "application/cloudevents+json"},
            b'{"specversion":"1.0","id":"1","source":"s","type":"a.b","data_base64":"eA==",'
            b'"datacontenttype":"text/plain;\\"' + b"a;" * 400_000 + b'"}',
        ),
    ],
    ids=["utf-7", "long", "numbered", "escape", "longer"],
)
async def test_no_content_type_of_the_data_stops_the_log(
    headers: dict[str, str], raw: bytes, settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "a.b"}
    async with ingester(settings.model_copy(update={"envelopes": setting({f"{subject_prefix}.ce": "cloudevents"})})):
        await client.jetstream().publish(f"{subject_prefix}.ce", raw, headers=attributes | headers)
        await publish(client, subject_prefix, 1)
        assert await outcomes(log, 2) == {1: "event", 2: "event"}
    stored = await log.events.find_one({"_id": 1})
    assert stored is not None
    assert "data_base64" in stored["extensions"]
