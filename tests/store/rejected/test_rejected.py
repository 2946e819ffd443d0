"""Rejected messages: read, counted by code, and removed when they have been dealt with."""

import pytest

from eventscope.store.log import Log
from eventscope.store.rejected import messages
from tests.store.support.appender import CREATED, STREAM, Appender, event, rejected_message


@pytest.fixture
async def some(appender: Appender) -> None:
    """Five rejected messages, of two codes, among events."""
    await appender.store(rejected_message(b"1", "A"), event(), rejected_message(b"2", "B"))
    await appender.store(rejected_message(b"3", "A"), rejected_message(b"4", "B"), rejected_message(b"5", "B"), event())


async def test_a_page_begins_with_the_newest(log: Log, some: None) -> None:
    assert [one.number for one in await messages.rejections(log, limit=3)] == [5, 4, 3]
    assert [one.number for one in await messages.rejections(log, limit=3, below=3)] == [2, 1]


async def test_a_page_can_be_limited_to_one_code(log: Log, some: None) -> None:
    assert [one.raw for one in await messages.rejections(log, limit=10, code="A")] == [b"3", b"1"]
    assert [one.raw for one in await messages.rejections(log, limit=1, code="B", below=5)] == [b"4"]
    assert await messages.rejections(log, limit=10, code="C") == []


async def test_a_message_is_found_by_its_number_with_its_place_in_the_stream(log: Log, some: None) -> None:
    found = await messages.one(log, 2)
    assert found is not None
    assert (found.number, found.code, found.raw) == (2, "B", b"2")
    assert found.source == {"stream": STREAM, "created": CREATED, "sequence": 3}
    assert await messages.one(log, 6) is None


async def test_rejected_messages_are_numbered_from_1(log: Log, some: None) -> None:
    assert await messages.numbers(log) == [1, 2, 3, 4, 5]
    assert await messages.numbers(log, "A") == [1, 3]
    assert await messages.numbers(log, "C") == []


async def test_rejected_messages_are_counted_by_code_most_frequent_first(log: Log, some: None) -> None:
    assert list((await messages.codes(log)).items()) == [("B", 3), ("A", 2)]
    assert await messages.count(log) == 5


async def test_a_removed_message_is_gone_and_its_number_is_not_used_again(
    log: Log, appender: Appender, some: None
) -> None:
    assert await messages.remove(log, [1, 5, 6]) == 2
    assert await messages.numbers(log) == [2, 3, 4]
    await appender.store(rejected_message(b"6"))
    assert await messages.numbers(log) == [2, 3, 4, 6]
    assert await messages.remove(log, []) == 0


async def test_without_rejected_messages_all_answers_are_empty(log: Log) -> None:
    assert await messages.rejections(log, limit=10) == []
    assert await messages.numbers(log) == []
    assert await messages.codes(log) == {}
    assert await messages.count(log) == 0
