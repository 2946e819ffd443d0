"""Unforeseen errors: the caller gets an id, the log has the error under it, and no secret leaves the process (I9)."""

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from bson import ObjectId
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.websocket import open_socket, subscribe

SECRET = "mongodb://root:hunter2@db.internal"
GOOD: Mapping[str, Any] = {"_id": 1, "messageId": "m1", "type": "a.b", "timestamp": 0, "recordedAt": 0}
FIELDS = "id type timestamp version data expiresAt"

# documents that no ingester writes, such as edits of the database by hand might leave
BROKEN: Mapping[str, Mapping[str, Any]] = {
    "a time that is none": {"timestamp": SECRET},
    "a version that is none": {"version": SECRET},
    "an expiry that is none": {"expireAt": SECRET},
    "no type": {"type": None, "userId": SECRET},
    "data that JSON has no form for": {"data": {SECRET: ObjectId()}},
}


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


async def break_log(log: Log, broken: Mapping[str, Any]) -> None:
    await log.events.insert_one({**GOOD, **broken})
    await log.meta.update_one({"_id": "checkpoint"}, {"$set": {"head": 1}}, upsert=True)


def is_masked(error: Mapping[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """The error contains only an id, under which the log has all of it."""
    assert error["message"] == "Internal error"
    assert error["extensions"].keys() == {"code", "errorId"}
    assert error["extensions"]["code"] == "INTERNAL"
    [record] = [record for record in caplog.records if error["extensions"]["errorId"] in record.getMessage()]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_broken_document_is_an_internal_error_for_every_client(
    api: RunningApi, log: Log, caplog: pytest.LogCaptureFixture, broken: Mapping[str, Any]
) -> None:
    await break_log(log, broken)
    response = await api.http.post("/graphql", json={"query": f"{{ events {{ nodes {{ {FIELDS} }} }} }}"})
    assert "hunter2" not in response.text
    for error in response.json()["errors"]:
        is_masked(error, caplog)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_broken_document_is_an_internal_error_to_subscribers_who_then_continue(
    api: RunningApi, log: Log, caplog: pytest.LogCaptureFixture, broken: Mapping[str, Any]
) -> None:
    await break_log(log, broken)
    feed = f"subscription {{ events(from: BEGINNING) {{ __typename ... on Event {{ {FIELDS} }} }} }}"
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", feed))
        message = await socket.hear()
        assert "hunter2" not in str(message)
        for error in message["payload"]["errors"]:
            is_masked(error, caplog)
        assert (await socket.hear())["payload"] == {"data": {"events": {"__typename": "CaughtUp"}}}


@pytest.mark.parametrize("name", ["a time that is none", "data that JSON has no form for"])
async def test_over_rest_a_broken_document_causes_a_500_in_json(
    api: RunningApi, log: Log, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    await break_log(log, BROKEN[name])
    response = await api.http.get("/events/history")
    assert response.status_code == 500
    assert "hunter2" not in response.text
    [error] = response.json()["errors"]
    is_masked(error, caplog)


async def test_a_subscription_that_cannot_start_is_an_internal_error(
    api: RunningApi, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    """The source of the subscription raises the error, not one of its fields."""
    await log.meta.update_one({"_id": "checkpoint"}, {"$set": {"head": 1}}, upsert=True)
    await log.expirations.insert_one({"_id": "a.b", "through": SECRET})
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", "subscription { events(from: BEGINNING) { __typename } }"))
        message = await socket.hear()
        assert "hunter2" not in str(message)
        assert message["type"] == "error"
        [error] = message["payload"]
        is_masked(error, caplog)
        assert await socket.is_open()


WRONG = {
    "a cursor": ('{ events(after: "x") { nodes { id } } }', "BAD_USER_INPUT"),
    "a document": ("{", "BAD_USER_INPUT"),
    "a field": ("{ nothing }", "BAD_USER_INPUT"),
    "a page": ("{ events(first: 1001) { nodes { id } } }", "PAGE_TOO_LARGE"),
    "a size": (
        "{ " + " ".join(f"a{n}: events(first: 1000) {{ nodes {{ id }} }}" for n in range(11)) + " }",
        "QUERY_TOO_COMPLEX",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_an_error_of_the_caller_is_reported_and_logged_at_level_info(
    api: RunningApi, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    caplog.set_level(logging.INFO, "eventscope")
    query, code = WRONG[wrong]
    for _ in range(2):  # the second time, the document has already been prepared
        caplog.clear()
        error = await api.refusal(query)
        assert error["extensions"]["code"] == code
        assert "errorId" not in error["extensions"]
        assert [(record.levelno, record.getMessage().partition(":")[0]) for record in own(caplog)] == [
            (logging.INFO, code)
        ]


async def test_an_error_of_the_caller_is_logged_over_websocket_and_rest_too(
    api: RunningApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "eventscope")
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", 'subscription { events(after: "x") { __typename } }'))
        await socket.hear()
    assert (await api.http.get("/events/history?limit=0")).status_code == 400
    assert (await api.http.post("/graphql", content=b"x")).status_code == 415
    assert [record.getMessage().partition(":")[0] for record in own(caplog)] == ["BAD_USER_INPUT"] * 3
    assert {record.levelno for record in own(caplog)} == {logging.INFO}


async def test_text_from_a_caller_makes_one_short_line_of_the_log(
    api: RunningApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "eventscope")
    await api.answer("query ($c: String) { events(after: $c) { nodes { id } } }", c="x\nERROR errorId 1\r\x1b[31m")
    await api.answer("{ " + "x" * 10_000 + " }")
    assert len(own(caplog)) == 2
    for record in own(caplog):
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 250


def own(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What Eventscope has logged about errors."""
    return [record for record in caplog.records if record.name == "eventscope.errors"]
