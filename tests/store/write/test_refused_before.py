"""A message that was rejected before is recognized by its content, however many other rejections its id has."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from eventscope.store.log import Log
from eventscope.store.values.message import EXPECTED_VERSION, ParsedMessage
from tests.store.support.appender import Appender, Clock, event
from tests.store.support.command_listener import Commands, log_with_listener

MANY = 40


def with_other_content(n: int) -> ParsedMessage:
    return event(id="undefined", data=n)


def with_another_subject(n: int) -> ParsedMessage:
    message = event(id="undefined", data="as always")
    return replace(message, arrival=replace(message.arrival, subject=f"events.of.device{n}"))


def with_another_header(n: int) -> ParsedMessage:
    message = event(id="undefined", data="as always")
    headers = {**message.arrival.headers, EXPECTED_VERSION: str(n), "ce-time": str(n)}
    return replace(message, arrival=replace(message.arrival, headers=headers))


KINDS = [with_other_content, with_another_subject, with_another_header]


@pytest.fixture
def ear() -> Commands:
    return Commands()


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest) -> Callable[[int], ParsedMessage]:
    make: Callable[[int], ParsedMessage] = request.param
    return make


@pytest.fixture
async def heard(
    mongo_url: str, log: Log, appender: Appender, clock: Clock, ear: Commands, made: Callable[[int], ParsedMessage]
) -> AsyncIterator[Appender]:
    """An appender with a listener; the log has one event and many rejections, all with one messageId."""
    await appender.store(event(id="undefined", data="the first"), *map(made, range(MANY)))
    async with log_with_listener(mongo_url, log.mongo.database.name, log.mongo.driver, clock, ear) as listened:
        yield Appender(listened, appender.at, sequence=appender.sequence)


async def examined(log: Log, ear: Commands) -> int:
    """How many rejections MongoDB examines for the recorded reads."""
    [asked] = [command for command in ear.heard if command.get("find") == "rejected"]
    plan = await log.mongo.database.command({"explain": asked, "verbosity": "executionStats"})
    return int(plan["executionStats"]["totalDocsExamined"])


async def test_of_many_rejections_with_one_id_only_that_of_the_same_message_is_read(
    log: Log, heard: Appender, ear: Commands, made: Callable[[int], ParsedMessage]
) -> None:
    stored = await heard.store(made(7), made(MANY), event())
    assert (stored.duplicates, stored.codes) == (1, {"ID_REUSED": 1})
    assert await examined(log, ear) == 2  # explained now, after the new one has been rejected too


async def test_another_trace_context_does_not_make_another_message(
    heard: Appender, made: Callable[[int], ParsedMessage]
) -> None:
    again = made(7)
    headers = {**again.arrival.headers, "traceparent": "00-1-2-01"}
    stored = await heard.store(replace(again, arrival=replace(again.arrival, headers=headers)))
    assert (stored.duplicates, stored.codes) == (1, {})
