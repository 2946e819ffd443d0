"""Publishing through the API: by the same path as all events, with the outcome as the answer."""

import asyncio
from typing import Any, Literal

import httpx
import pytest
from nats.aio.client import Client

from eventscope.envelopes import setting
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from tests.support.api_server import running_api
from tests.support.event_services import connected_service
from tests.support.ingesters import has_lease, ingester, wait_for_events
from tests.support.until import until

PUBLISH = """
mutation ($input: PublishEventInput!) { publishEvent(input: $input) { messageId position version } }
"""
PUBLISH_ALL = """
mutation ($input: [PublishEventInput!]!) { publishEvents(input: $input) { messageId position version } }
"""


async def _ask(api: str, query: str, input: object) -> dict[str, Any]:
    # plain HTTP: loading certificates for each of 200 writers would block the loop for seconds
    async with httpx.AsyncClient(base_url=api, timeout=30, verify=False) as client:
        answer: dict[str, Any] = (
            await client.post("/graphql", json={"query": query, "variables": {"input": input}})
        ).json()
        return answer


async def test_an_event_is_in_the_log_when_its_publisher_gets_the_answer(api: str, log: Log, ingesting: None) -> None:
    answer = await _ask(
        api,
        PUBLISH,
        {
            "type": "user.created",
            "messageId": "m1",
            "timestamp": "2026-11-23T07:00:00.000001Z",
            "aggregateType": "user",
            "aggregateId": "42",
            "expectedVersion": 0,
            "userId": "u",
            "correlationId": "c",
            "causationId": "x",
            "data": {"name": "Ada", "tags": [1, None, {}]},
            "metadata": {"why": "test"},
        },
    )
    assert answer == {"data": {"publishEvent": {"messageId": "m1", "position": 1, "version": 1}}}
    event = await pages.event(log, "m1")
    assert event is not None
    assert event["data"] == {"name": "Ada", "tags": [1, None, {}]}
    assert (event["timestamp"] % 1_000_000, event["userId"], event["metadata"]) == (1, "u", {"why": "test"})


async def test_publishing_again_returns_the_first_outcome(api: str, log: Log, ingesting: None) -> None:
    event = {"type": "user.created", "messageId": "m1", "aggregateType": "user", "aggregateId": "42"}
    assert await _ask(api, PUBLISH, event) == await _ask(api, PUBLISH, event)
    assert len(await pages.events(log, EVERYTHING, limit=10)) == 1


async def test_the_same_id_with_other_content_is_rejected(api: str, log: Log, ingesting: None) -> None:
    await _ask(api, PUBLISH, {"type": "user.created", "messageId": "m1", "data": 1})
    [error] = (await _ask(api, PUBLISH, {"type": "user.created", "messageId": "m1", "data": 2}))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["rejection"]) == ("REJECTED", "ID_REUSED")
    assert (await log.rejected.find_one({}) or {})["code"] == "ID_REUSED"


async def test_of_two_hundred_writers_exactly_one_wins_each_version(api: str, log: Log, ingesting: None) -> None:
    event = {"type": "user.updated", "aggregateType": "user", "aggregateId": "42"}
    await until(lambda: has_lease(log))  # two hundred at once would prevent it from starting in time on a busy machine
    for version in range(2):
        answers = await asyncio.gather(
            *(_ask(api, PUBLISH, {**event, "expectedVersion": version, "data": n}) for n in range(200))
        )
        won = [answer["data"]["publishEvent"] for answer in answers if "errors" not in answer]
        lost = [answer["errors"][0]["extensions"] for answer in answers if "errors" in answer]
        assert [event["version"] for event in won] == [version + 1]
        conflict = {"code": "VERSION_CONFLICT", "rejection": "VERSION_CONFLICT", "actualVersion": version + 1}
        assert lost == [conflict] * 199


async def test_several_events_are_stored_consecutively(api: str, log: Log, ingesting: None) -> None:
    events = [
        {"type": f"user.{verb}", "aggregateType": "user", "aggregateId": "42"}
        for verb in ("created", "updated", "deleted")
    ]
    published = (await _ask(api, PUBLISH_ALL, events))["data"]["publishEvents"]
    assert [(event["position"], event["version"]) for event in published] == [(1, 1), (2, 2), (3, 3)]
    assert [event["type"] for event in await pages.events(log, EVERYTHING, limit=9)] == [
        event["type"] for event in events
    ]


async def test_if_one_of_several_events_is_refused_none_is_stored(api: str, log: Log, ingesting: None) -> None:
    events = [
        {"type": "user.created", "aggregateType": "user", "aggregateId": "42"},
        {"type": "user.updated", "aggregateType": "user", "aggregateId": "42", "expectedVersion": 7},
    ]
    [error] = (await _ask(api, PUBLISH_ALL, events))["errors"]
    assert error["extensions"] == {
        "code": "VERSION_CONFLICT",
        "rejection": "VERSION_CONFLICT",
        "index": 1,
        "actualVersion": 1,
    }
    assert error["message"].startswith("event 2 of 2: ")
    assert await pages.events(log, EVERYTHING, limit=9) == []
    assert (await _ask(api, PUBLISH_ALL, events[:1]))["data"]["publishEvents"][0]["version"] == 1


@pytest.mark.parametrize("use", ["claim", "expect"])
async def test_the_expectation_of_each_event_holds_whatever_a_version_in_a_message_means(
    api: str, settings: Settings, log: Log, use: Literal["claim", "expect"]
) -> None:
    user = {"type": "user.updated", "aggregateType": "user", "aggregateId": "42"}
    order = {"type": "order.placed", "aggregateType": "order", "aggregateId": "1"}
    expecting = [{**user, "expectedVersion": 0}, order, {**user, "expectedVersion": 1}, {"type": "a.b"}]
    async with ingester(settings.model_copy(update={"message_version": {">": use}})):
        published = (await _ask(api, PUBLISH_ALL, expecting))["data"]["publishEvents"]
        assert [event["version"] for event in published] == [1, 1, 2, None]
        for wrong in (0, 1, 3):
            [error] = (await _ask(api, PUBLISH_ALL, [order, {**user, "expectedVersion": wrong}]))["errors"]
            assert (error["extensions"]["index"], error["extensions"]["actualVersion"]) == (1, 2)
    assert all("claimedVersion" not in event for event in await pages.events(log, EVERYTHING, limit=9))


async def test_a_negative_expectation_is_refused_before_it_is_published(api: str) -> None:
    event = {"type": "a.b", "aggregateType": "user", "aggregateId": "42", "expectedVersion": -1}
    for answer in (await _ask(api, PUBLISH, event), await _ask(api, PUBLISH_ALL, [{"type": "a.b"}, event])):
        [error] = answer["errors"]
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "expectedVersion"}


async def test_what_cannot_be_published_is_refused_beforehand(api: str, settings: Settings) -> None:
    for event in (
        {"type": "two words"},
        {"type": "a.b", "data": 2**70},
    ):
        [error] = (await _ask(api, PUBLISH, event))["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
    for count in (0, 101):
        [error] = (await _ask(api, PUBLISH_ALL, [{"type": "a.b"}] * count))["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_without_an_ingester_the_publisher_gets_the_error_that_there_is_no_outcome(
    settings: Settings, log: Log, client: Client
) -> None:
    async with running_api(settings) as api:
        api.services.publisher.deadline_seconds = 0.5
        error = await api.refusal(PUBLISH, input={"type": "a.b", "messageId": "m1"})
    assert error["extensions"]["code"] == "UNAVAILABLE"


@pytest.mark.parametrize("envelope", ["cloudevents", "nestjs", {"type": "kind", "data": "payload"}])
async def test_what_the_api_and_services_publish_is_accepted_on_subjects_with_other_envelopes(
    api: str, settings: Settings, log: Log, envelope: Any
) -> None:
    user = {"type": "user.updated", "aggregateType": "user", "aggregateId": "42", "data": {"pattern": 1}}
    async with ingester(settings.model_copy(update={"envelopes": setting({">": envelope})})):
        assert (await _ask(api, PUBLISH, user))["data"]["publishEvent"]["version"] == 1
        published = (await _ask(api, PUBLISH_ALL, [user, user]))["data"]["publishEvents"]
        assert [event["version"] for event in published] == [2, 3]
        async with connected_service(settings) as service:
            await service.publish_event("user.updated", {"n": 1}, aggregate_type="user", aggregate_id="42")
        *_, last = await wait_for_events(log, 4)
    assert (last["type"], last["version"], last["data"]) == ("user.updated", 4, {"n": 1})
