"""A cursor from before the database was dropped, or from another instance, is refused by everything."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.errors import WrongLog
from eventscope.settings import Settings
from eventscope.store.log import Log, prepare
from tests.cli.test_tail import tailing
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.event_stream import open_stream
from tests.support.clients.websocket import open_socket, subscribe
from tests.support.event_services import connected_service
from tests.support.sample_log import fill

FEED = "subscription ($after: String) { events(after: $after) { __typename ... on Event { cursor } } }"
REPLAY = "subscription ($after: String) { replay(after: $after) { __typename ... on Event { cursor type } } }"
PAGE = """query ($after: String) { events(first: 2, order: OLDEST_FIRST, after: $after) {
  edges { cursor node { cursor type } } pageInfo { endCursor hasNextPage }
} }"""


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    """An API over a log of three events, with the newest ones in memory."""
    await filled(log, "old", 3)
    async with running_api(settings) as api:
        yield api


async def filled(log: Log, word: str, n: int) -> None:
    await fill(log, [orjson.dumps({"type": f"{word}.happened"}) for _ in range(n)], {"*": 0})


async def begun_anew(log: Log, n: int) -> None:
    await dropped(log)
    await prepare(log)
    await filled(log, "new", n)


async def dropped(log: Log) -> None:
    await log.mongo.client.drop_database(log.mongo.database.name)


async def page(api: RunningApi, after: str | None = None) -> Any:
    return (await api.ask(PAGE, after=after))["events"]


async def test_an_old_cursor_is_refused_at_once_and_a_new_one_is_accepted(api: RunningApi, log: Log) -> None:
    before = await page(api)
    assert (await page(api, before["pageInfo"]["endCursor"]))["edges"][0]["node"]["type"] == "old.happened"
    await begun_anew(log, 5)
    for cursor in (before["pageInfo"]["endCursor"], before["edges"][0]["cursor"], before["edges"][0]["node"]["cursor"]):
        refusal = await api.refusal(PAGE, after=cursor)
        assert refusal["extensions"] == {"code": "WRONG_LOG", "field": "after"}
    now = await page(api)
    assert [edge["node"]["type"] for edge in now["edges"]] == ["new.happened"] * 2
    assert len((await page(api, now["pageInfo"]["endCursor"]))["edges"]) == 2


async def test_a_cursor_of_an_older_version_is_accepted_by_any_log(api: RunningApi, log: Log) -> None:
    assert len((await page(api, "e2"))["edges"]) == 1
    await begun_anew(log, 5)
    assert len((await page(api, "e3"))["edges"]) == 2


async def test_the_filter_of_a_subscription_is_refused_before_the_log_is_read(api: RunningApi) -> None:
    query = 'subscription ($after: String) { events(after: $after, filter: {data: [{path: "n"}]}) { __typename } }'
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", query, variables={"after": "e1.000000"}))
        answer = await socket.hear()
    [error] = answer["payload"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", "data")


async def test_every_kind_of_subscription_refuses_an_old_cursor(api: RunningApi, log: Log) -> None:
    cursor = (await page(api))["pageInfo"]["endCursor"]
    await begun_anew(log, 5)
    for query in (FEED, REPLAY):
        async with open_socket(api.socket_url) as socket:
            await socket.say(subscribe("1", query, variables={"after": cursor}))
            message = await socket.hear()
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"] == {"code": "WRONG_LOG", "field": "after"}
        async with open_stream(api.http, query, after=cursor) as stream:
            _, result = await stream.hear()
            assert result["errors"][0]["extensions"] == {"code": "WRONG_LOG", "field": "after"}
            assert (await stream.hear())[0] == "complete"


async def test_a_service_that_follows_or_replays_gets_an_error_and_does_not_retry_for_ever(
    settings: Settings, api: RunningApi, log: Log
) -> None:
    cursor = (await page(api))["pageInfo"]["endCursor"]
    await begun_anew(log, 5)
    async with connected_service(settings, str(api.http.base_url)) as service:
        for events in (service.subscribe_to_events(after=cursor), service.replay_events(after=cursor)):
            async with aclosing(events):
                with pytest.raises(WrongLog, match="after: the cursor belongs to the log") as raised:
                    await anext(events)
            assert raised.value.field == "after"


async def test_tail_reports_it_and_ends(api: RunningApi, log: Log) -> None:
    cursor = (await page(api))["pageInfo"]["endCursor"]
    await begun_anew(log, 5)
    async with tailing(api, "--after", cursor) as process:
        assert await process.wait() == 2
        assert process.stderr is not None
        assert b"the cursor belongs to the log" in await process.stderr.read()


async def test_cursors_stay_valid_after_a_backup_is_restored(api: RunningApi, log: Log) -> None:
    cursor = (await page(api))["pageInfo"]["endCursor"]
    name = (await api.ask("{ log { id } }"))["log"]["id"]
    database = log.mongo.database
    backup = {one: await database[one].find({}).to_list(None) for one in await database.list_collection_names()}
    await begun_anew(log, 5)
    assert (await api.ask("{ log { id } }"))["log"]["id"] != name
    await dropped(log)
    for one, documents in backup.items():
        if documents:
            await database[one].insert_many(documents)
    assert (await api.ask("{ log { id } }"))["log"]["id"] == name
    assert [edge["node"]["type"] for edge in (await page(api, cursor))["edges"]] == ["old.happened"]


async def test_the_newest_events_of_a_dropped_log_are_in_no_answer(api: RunningApi, log: Log) -> None:
    """The new log may have grown beyond the old one before the first request."""
    newest = "{ events(first: 2) { edges { cursor } nodes { type } } }"
    before = (await api.ask(newest))["events"]
    assert before["nodes"] == [{"type": "old.happened"}] * 2
    for n in (3, 9):
        await begun_anew(log, n)
        after = (await api.ask(newest))["events"]
        assert after["nodes"] == [{"type": "new.happened"}] * 2
        assert before["edges"][0]["cursor"].partition(".")[2] != after["edges"][0]["cursor"].partition(".")[2]
