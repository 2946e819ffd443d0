"""A message that cannot be read in the usual way is fetched alone, and delays no other (I2)."""

import re
from typing import Any

import pytest
from nats.aio.client import Client
from nats.protocol import parser

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.values.message import Arrival, ParsedMessage
from eventscope.subscriptions.ingest.poison import is_unreadable
from eventscope.subscriptions.messages.parse import parse_message
from eventscope.subscriptions.nats import single, stream
from tests.subscriptions.support.ingest_state import error_id, outcomes
from tests.support.ingesters import ingester, publish
from tests.support.raw_publisher import message, send
from tests.support.until import until

NOT_UTF8 = [b"\xff\xfe", b"\x80", b"a\xc3", b"\xed\xa0\x80"]
# bytes that nats-py mistakes for the end of the subject
SPLIT = [b"a\x0bb", b"a\x0b5", b"a\x0cb"]
AS_NATS_PY_HAS_THEM = {
    "MSG_RE": rb"\AMSG\s+([^\s]+)\s+([^\s]+)\s+(([^\s]+)[^\S\r\n]+)?(\d+)\r\n",
    "HMSG_RE": rb"\AHMSG\s+([^\s]+)\s+([^\s]+)\s+(([^\s]+)[^\S\r\n]+)?([\d]+)\s+(\d+)\r\n",
}


@pytest.mark.parametrize("subject", [*NOT_UTF8, *SPLIT])
async def test_a_subject_that_no_client_library_would_send_does_not_even_pause_reading(
    subject: bytes,
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    ingesting: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await publish(client, subject_prefix, 2)
    await send(settings.nats_url, message(f"{subject_prefix}.".encode() + subject, b'{"type": "a.b"}'))
    await publish(client, subject_prefix, 2, start=2)
    third = "event" if subject in SPLIT else "UNREADABLE"
    assert await outcomes(log, 5) == {1: "event", 2: "event", 3: third, 4: "event", 5: "event"}
    if third == "UNREADABLE":
        row = await log.rejected.find_one({})
        assert row is not None
        assert row["raw"] == b'{"type": "a.b"}'
        assert "\ufffd" in row["subject"]
    assert "connection" not in caplog.text
    assert "ingest stopped" not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("subject", SPLIT)
async def test_a_message_that_breaks_the_connection_is_fetched_singly_and_stored(
    subject: bytes,
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It can be read when it is fetched in another way, so it becomes an event like others."""
    for name, expression in AS_NATS_PY_HAS_THEM.items():
        monkeypatch.setattr(parser, name, re.compile(expression))
    async with ingester(settings):
        await publish(client, subject_prefix, 2)
        await send(settings.nats_url, message(f"{subject_prefix}.".encode() + subject, b'{"type": "a.b"}'))
        await publish(client, subject_prefix, 2, start=2)
        assert set((await outcomes(log, 5)).values()) == {"event"}
        assert "reading the stream" in caplog.text
        assert "ingest stopped" not in caplog.text


@pytest.mark.parametrize("where", ["first", "last", "in a row", "at the checkpoint"])
async def test_the_place_of_the_poison_makes_no_difference(
    where: str, settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    poison = [message(f"{subject_prefix}.".encode() + subject) for subject in (*NOT_UTF8, *SPLIT)]
    if where != "first":
        await publish(client, subject_prefix, 5)
    count = 5
    if where == "in a row":
        await send(settings.nats_url, *poison * 10)
        count += 10 * len(poison)
    else:
        await send(settings.nats_url, *poison)
        count += len(poison)
    if where in ("first", "in a row"):
        await publish(client, subject_prefix, 5, start=5)
        count += 5 * (where == "in a row")
    async with ingester(settings):
        await outcomes(log, count)
    if where == "at the checkpoint":
        await publish(client, subject_prefix, 5, start=10)
        async with ingester(settings):
            await outcomes(log, count + 5)
        assert (await checkpoint.read(log)).source_resets == 0


async def test_a_fault_of_ours_in_parsing_one_message_rejects_only_that_message(
    log: Log,
    client: Client,
    subject_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
) -> None:
    def faulty(arrival: Arrival, *rest: Any) -> ParsedMessage:
        if arrival.sequence == 3:
            raise KeyError("a fault of ours")
        return parse_message(arrival, *rest)

    monkeypatch.setattr("eventscope.subscriptions.ingest.arrival_parser.parse_message", faulty)
    async with ingester(settings):
        await publish(client, subject_prefix, 5)
        assert await outcomes(log, 5) == {1: "event", 2: "event", 3: "UNREADABLE", 4: "event", 5: "event"}
    row = await log.rejected.find_one({})
    assert row is not None
    assert row["raw"] == b'{"messageId":"m2","data":2}'
    assert f"errorId {error_id(row['reason'])}" in caplog.text
    assert "a fault of ours" in caplog.text
    assert "a fault of ours" not in row["reason"]


async def test_a_connection_continues_reading_after_a_subject_that_is_not_text(
    settings: Settings, subject_prefix: str
) -> None:
    client = await stream.connect(settings.nats_url, "test")
    came: list[tuple[str, bytes]] = []

    async def take(message: Any) -> None:
        came.append((message.reply, message.data))

    await client.subscribe(f"elsewhere.{subject_prefix}.>", cb=take)
    await client.flush()
    subject = f"elsewhere.{subject_prefix}.".encode()
    await send(
        settings.nats_url,
        message(subject + b"\xff", b"1"),
        b"PUB %sa \xff 1\r\n2\r\n" % subject,
        message(subject + b"a", b"3", b"AB"),
        message(subject + b"a", b"4"),
    )
    await until(lambda: len(came) == 4)
    assert [data for _, data in came] == [b"1", b"2", b"3", b"4"]
    assert client.stats["reconnects"] == 0
    await stream.close(client)


async def test_a_subject_that_contains_a_replacement_character_is_text(
    settings: Settings, log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await send(settings.nats_url, message(f"{subject_prefix}.a\ufffd".encode(), b"{}"))
    await send(settings.nats_url, message(f"{subject_prefix}.a".encode() + b"\xff", b"{}"))
    assert await outcomes(log, 2) == {1: "event", 2: "UNREADABLE"}
    arrival = await single.message_at(client, settings.stream, 2)
    assert arrival is not None
    assert is_unreadable(arrival)
