"""What is too large for one transaction in MongoDB's cache is stored in smaller ones, and nothing stops."""

from collections.abc import Iterable, Sequence

import pytest
from nats.aio.client import Client

from eventscope.errors import TooLargeTogether, Unstorable
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.values.message import Arrival, ParsedMessage, RejectedMessage
from eventscope.subscriptions.ingest.limits import IngestLimits
from eventscope.subscriptions.ingest.portions import LIMITED_SECONDS, Portions, stored_bytes
from eventscope.subscriptions.ingest.stream_reader import StreamReader
from eventscope.subscriptions.messages.parse import parse_message
from tests.subscriptions.support.ingest_state import outcomes
from tests.support.ingesters import ingester, publish
from tests.support.until import until

# a byte of JSON with its comma becomes twelve bytes of BSON
ONES = b'{"data":[' + b"1," * 500_000 + b"1]}"


def message(size: int) -> ParsedMessage:
    """A message that becomes this many bytes."""
    return RejectedMessage(Arrival("s", {}, b"x" * (size - 1), 1, 0), "INVALID_JSON", "", "id")


def _read(raw: bytes, **headers: str) -> ParsedMessage:
    return parse_message(Arrival("s", headers, raw, 1, 0), "S", "a.b")


def sizes(portions: Iterable[Sequence[ParsedMessage]]) -> list[int]:
    """The number of messages in each portion."""
    return [len(portion) for portion in portions]


async def all_of(log: Log, client: Client, prefix: str, settings: Settings, limits: IngestLimits | None = None) -> None:
    """Publish large messages and a small one; asserts that each of them is stored once."""
    for _ in range(11):
        await client.jetstream().publish(f"{prefix}.big.sent", ONES)
    await publish(client, prefix, 1)
    async with ingester(settings, limits):
        assert await outcomes(log, 12, 120.0) == dict.fromkeys(range(1, 13), "event")


async def test_large_lists_of_short_numbers_never_cause_a_transaction_that_is_too_large(
    settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    await all_of(log, client, subject_prefix, settings)
    assert "too large" not in caplog.text
    assert "errorId" not in caplog.text


async def test_a_transaction_that_is_too_large_is_split_and_the_size_is_remembered(
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take_next, have_come = StreamReader.next, False

    async def all_at_once(self: StreamReader[ParsedMessage], seconds: float) -> list[ParsedMessage]:
        nonlocal have_come
        if not have_come:
            have_come = True
            await self._request()
            await until(lambda: len(self._ready) == 12, 60)
        return await take_next(self, seconds)

    monkeypatch.setattr(StreamReader, "next", all_at_once)
    limits = IngestLimits(batch_bytes=1024**3, ahead_seconds=1000.0)
    await all_of(log, client, subject_prefix, settings, limits)
    assert "too large for one transaction" in caplog.text
    assert "errorId" not in caplog.text
    assert "Traceback" not in caplog.text


def test_bytes_are_counted_as_in_bson() -> None:
    assert stored_bytes(_read(ONES)) > 6 * len(ONES)
    text = b'{"data":"' + b"x" * 1000 + b'"}'
    assert stored_bytes(_read(text)) < 1.1 * len(text)
    assert stored_bytes(_read(b"", name="x" * 1000)) > 1000
    assert stored_bytes(_read(b"[" + b"{}," * 99 + b"{}]")) > 100 * 300


def test_a_size_that_was_too_large_is_not_tried_again_for_a_while() -> None:
    portions = Portions(100)
    eight = [message(10)] * 8
    assert list(portions.of(eight)) == [eight]
    assert sizes(portions.after(TooLargeTogether("no room"), eight, 0.0)) == [4, 4]
    portions.grow(LIMITED_SECONDS - 1)
    assert sizes(portions.of(eight)) == [4, 4]
    portions.grow(LIMITED_SECONDS)
    assert list(portions.of(eight)) == [eight]


def test_a_limit_learnt_from_one_portion_applies_to_the_next() -> None:
    portions = Portions(8)
    all = portions.of([message(10)] * 16)
    first = next(all)
    assert sizes(portions.after(TooLargeTogether("no room"), first, 0.0)) == [4, 4]
    assert sizes(all) == [4, 4]


def test_several_messages_that_are_too_large_together_are_always_split() -> None:
    portions = Portions(100)
    assert sizes(portions.after(TooLargeTogether("no room"), [message(1), message(1000)], 0.0)) == [1, 1]
    assert sizes(portions.after(TooLargeTogether("no room"), [message(1000), message(1)], 0.0)) == [1, 1]


def test_after_a_refused_message_the_others_are_stored_together_as_before() -> None:
    portions = Portions(100)
    eight = [message(10)] * 8
    assert sizes(portions.after(Unstorable("refused"), eight, 0.0)) == [4, 4]
    assert list(portions.of(eight)) == [eight]


def test_after_a_failure_fewer_events_are_stored_at_once_until_that_succeeds() -> None:
    portions = Portions(8)
    eight = [message(10)] * 8
    portions.shrink()
    assert sizes(portions.of(eight)) == [2, 2, 2, 2]
    portions.grow(0.0)
    assert sizes(portions.of(eight)) == [4, 4]
