"""Headers of NATS messages: no value is lost, whatever bytes are sent."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.rejected import messages
from eventscope.store.rejected.messages import StoredRejection
from eventscope.store.values.headers import MessageHeaders, Values, every
from eventscope.store.values.message import RETRY, Arrival
from eventscope.subscriptions.messages import raw_text
from eventscope.subscriptions.messages.headers import OWN_ID
from eventscope.subscriptions.nats.header_block import Sendable, block_size, parse
from eventscope.subscriptions.nats.stream import connect
from eventscope.subscriptions.publish.retry import open_retrier
from tests.support.until import until

NAMES = st.text(st.sampled_from("aAbB-_$.%"), min_size=1, max_size=3)
VALUES = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=5)


def block(*lines: tuple[str, str]) -> bytes:
    return "".join(["NATS/1.0\r\n", *(f"{name}: {value}\r\n" for name, value in lines), "\r\n"]).encode()


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_every_value_of_every_name_is_read_in_order(lines: list[tuple[str, str]]) -> None:
    headers = parse(block(*lines))
    assert sorted(Sendable(headers.every).items()) == sorted(lines)
    for name in headers:
        values = [value for other, value in lines if other == name]
        assert headers.every[name] == (values[0] if len(values) == 1 else values)
        assert headers[name] == values[-1]


@given(st.binary() | st.binary().map(lambda raw: b"NATS/1.0" + raw))
def test_no_bytes_make_parsing_fail(raw: bytes) -> None:
    assert all("\0" not in name for name in parse(raw))


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_the_size_of_a_block_is_known_without_making_it(lines: list[tuple[str, str]]) -> None:
    headers = MessageHeaders()
    for name, value in lines:
        headers.add(name, value)
    block = Sendable(headers.every).block()
    assert block_size(headers.every) == block_size(Sendable(headers.every)) == len(block)


def test_the_status_line_of_the_server_is_parsed() -> None:
    assert parse(b"NATS/1.0 404 No Messages\r\n\r\n") == {"Status": "404", "Description": "No Messages"}
    assert parse(b"NATS/1.0 503\r\n\r\n") == {"Status": "503"}
    assert parse(b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Stream: 7\r\n\r\n") == {
        "Status": "100",
        "Description": "Idle Heartbeat",
        "Nats-Last-Stream": "7",
    }


def test_names_differ_by_case_and_values_may_contain_a_colon_or_be_empty() -> None:
    headers = parse(block(("Tag", "a:b"), ("tag", ""), ("Grüße", "é")) + b"no colon\r\n: no name\r\n\r\n")
    assert headers.every == {"Tag": "a:b", "tag": "", "Grüße": "é"}


def test_headers_with_one_value_each_are_unchanged() -> None:
    plain = {"a": "1"}
    assert every(plain) == plain
    assert MessageHeaders().every == {}


@pytest.fixture
async def ours(settings: Settings, client: Client) -> AsyncIterator[Client]:
    ours = await connect(settings.nats_url, "test")
    yield ours
    await ours.close()


async def _rejected(log: Log) -> StoredRejection:
    async def one() -> list[StoredRejection]:
        return await messages.rejections(log, limit=2)

    [found] = await until(one)
    return found


async def _publish_by_hand(url: str, subject: str, headers: bytes, raw: bytes) -> None:
    """Publish with any bytes as headers: libraries refuse to send some of them."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    await reader.readline()
    size = f"{len(headers)} {len(headers) + len(raw)}"
    writer.write(b'CONNECT {"headers": true, "verbose": false}\r\n')
    writer.write(f"HPUB {subject} {size}\r\n".encode() + headers + raw + b"\r\nPING\r\n")
    while await reader.readline() != b"PONG\r\n":
        pass
    writer.close()
    await writer.wait_closed()


async def test_a_rejected_message_keeps_all_values_of_each_header(
    log: Log, client: Client, ours: Client, subject_prefix: str, ingesting: None
) -> None:
    headers = Sendable({"X-Tag": ["a", "b", "a"], "X-One": "1", "x-one": "2"})
    await ours.jetstream().publish(f"{subject_prefix}.a", b"{", headers=headers)
    found = await _rejected(log)
    assert found.headers == {"X-Tag": ["a", "b", "a"], "X-One": "1", "x-one": "2"}


async def test_a_retry_sends_all_values_again(
    log: Log, ours: Client, settings: Settings, subject_prefix: str, ingesting: None
) -> None:
    headers: Values = {"X-Tag": ["a", "b"], "Nats-Msg-Id": ["one", "two"]}
    await ours.jetstream().publish(f"{subject_prefix}.a", b"{", headers=Sendable(headers))
    first = await _rejected(log)
    async with open_retrier(log, ours, settings.stream) as retrier:
        await retrier.send(first)
        await retrier.settle(60)
        await retrier.remove_answered()
    again = await _rejected(log)
    kept = {name: value for name, value in again.headers.items() if name in ("X-Tag", OWN_ID, RETRY)}
    assert kept == {"X-Tag": ["a", "b"], OWN_ID: "two", RETRY: str(first.number)}


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        (block(("a\0b", "1\0")), {"a\ufffd00b": "1\0"}),
        (block(("$ref", "r"), ("$id", "i")), {"$ref": "r", "$id": "i"}),
        (block(("a.b", "1"), ("$set", "2"), ("two words", "3")), {"a.b": "1", "$set": "2", "two words": "3"}),
        (b"NATS/1.0\r\na: \xff\r\n\r\n", {"a": "\ufffdFF"}),
        (b"NATS/1.0\r\n\r\n", {}),
    ],
)
async def test_no_header_prevents_a_message_from_being_kept(
    settings: Settings, log: Log, client: Client, subject_prefix: str, ingesting: None, headers: bytes, kept: Any
) -> None:
    await _publish_by_hand(settings.nats_url, f"{subject_prefix}.a", headers, b"{")
    assert (await _rejected(log)).headers == kept


def test_an_arrival_with_plain_headers_is_kept_too() -> None:
    assert every(Arrival("s", {"a": "1"}, b"", 1, 1).headers) == {"a": "1"}


NEARLY_TEXT = st.lists(st.sampled_from([b"\xff", b"\xef", b"\xbf", b"\xbd", "\ufffd".encode(), b"F", b"0", b"%", b"a"]))


@given(NEARLY_TEXT.map(b"".join))
def test_different_bytes_become_different_texts(raw: bytes) -> None:
    text = raw_text.decode(raw)
    assert raw_text.encode(text) == raw
    assert text.encode().decode() == text
    assert raw_text.unquote(quote_from_bytes(raw)) == text


async def test_a_retry_sends_the_exact_bytes_of_the_headers(
    settings: Settings, log: Log, ours: Client, subject_prefix: str, ingesting: None
) -> None:
    lines = [
        b"two words: a\nb",
        b"Gr\xc3\xbc\xc3\x9fe: \xe4",
        b"\xff: 1",
        b"a\0b: \xef\xbf\xbdFF",
        b"empty: ",
        b"empty: 2",
    ]
    head = b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines)
    await _publish_by_hand(settings.nats_url, f"{subject_prefix}.a", head + b"\r\n", b"{")
    first = await _rejected(log)
    async with open_retrier(log, ours, settings.stream) as retrier:
        await retrier.send(first)
        await retrier.settle(60)
        await retrier.remove_answered()
    again = await ours.jetstream().get_last_msg(settings.stream, f"{subject_prefix}.a", direct=False)
    raw = await ours.request(f"$JS.API.STREAM.MSG.GET.{settings.stream}", b'{"seq": %d}' % (again.seq or 0))
    sent = base64.b64decode(orjson.loads(raw.data)["message"]["hdrs"])
    assert [line for line in lines if line + b"\r\n" not in sent] == []
    kept = (await _rejected(log)).headers
    assert kept.items() >= first.headers.items()
