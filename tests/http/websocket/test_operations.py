"""Operations over WebSocket, frame by frame: the reply to each, and the code with which a connection is closed."""

from typing import Any

import pytest

from tests.support.clients.websocket import open_socket, subscribe
from tests.support.sample_log import SampleApi
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINE = "{ log { head } }"
NEXT = {"data": {"log": {"head": 300}}}
ENDLESS = "subscription { events { __typename } }"


async def test_a_query_sent_as_its_hash_is_requested_in_full_and_the_connection_stays(url: str) -> None:
    payload = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ecf4edb4"}}}
    async with open_socket(url) as socket:
        await socket.say({"id": "1", "type": "subscribe", "payload": payload})
        error = {"message": "PersistedQueryNotSupported", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}}
        assert await socket.hear() == {"id": "1", "type": "error", "payload": [error]}
        await socket.say({"id": "1", "type": "subscribe", "payload": payload | {"query": "{ __typename }"}})
        assert (await socket.hear())["payload"] == {"data": {"__typename": "Query"}}


async def test_a_query_gets_one_result_and_a_complete(url: str) -> None:
    async with open_socket(url) as socket:
        await socket.say(subscribe("q", FINE))
        assert await socket.hear() == {"id": "q", "type": "next", "payload": NEXT}
        assert await socket.hear() == {"id": "q", "type": "complete"}


@pytest.mark.parametrize(
    "payload",
    [
        {"query": "{"},
        {"query": ""},
        {"query": "{ nothing }"},
        {"query": "query A { log { head } }", "operationName": "B"},
        {"query": "query A { log { head } } query B { log { head } }"},
        {"query": "subscription A { events { __typename } } subscription B { events { __typename } }"},
        {"query": "subscription { a: events { __typename } b: events { __typename } }"},
        {"query": "subscription ($f: StartFrom) { events(from: $f) { __typename } }", "variables": {"f": 5}},
        {"query": 'subscription { events(filter: { fromTimestamp: "soon" }) { __typename } }'},
        {"query": 'subscription { events(after: "x") { __typename } }'},
        {"query": 'subscription { events(after: "a1") { __typename } }'},
        {"query": 'subscription { events(after: "effffff") { __typename } }'},
        {
            "query": "subscription ($i: [ID!]) { events(filter: { ids: $i }) { __typename } }",
            "variables": {"i": ["x"] * 1001},
        },
    ],
    ids=lambda payload: str(payload)[:60],
)
async def test_an_invalid_operation_gets_an_error_and_the_connection_stays(url: str, payload: Any) -> None:
    async with open_socket(url) as socket:
        await socket.say({"id": "1", "type": "subscribe", "payload": payload})
        answer = await socket.hear()
        assert (answer["id"], answer["type"]) == ("1", "error")
        assert {error["extensions"]["code"] for error in answer["payload"]} == {"BAD_USER_INPUT"}
        assert await socket.is_open()
        await socket.say(subscribe("1", FINE))
        assert (await socket.hear())["payload"] == NEXT


async def test_an_error_in_a_field_is_part_of_the_answer(url: str) -> None:
    async with open_socket(url) as socket:
        await socket.say(subscribe("1", "{ events(first: 1001) { nodes { id } } }"))
        answer = await socket.hear()
        assert (answer["type"], answer["payload"]["data"]) == ("next", None)
        assert answer["payload"]["errors"][0]["extensions"]["code"] == "PAGE_TOO_LARGE"
        assert await socket.hear() == {"id": "1", "type": "complete"}


async def test_with_several_operations_the_named_one_is_answered(url: str) -> None:
    async with open_socket(url) as socket:
        query = "query A { log { head } } query B { stats { totalEvents } }"
        await socket.say(subscribe("1", query, operationName="A"))
        assert (await socket.hear())["payload"] == NEXT


async def test_an_id_that_is_in_use_closes_with_4409(url: str) -> None:
    async with open_socket(url) as socket:
        await socket.say(subscribe("1", ENDLESS), subscribe("1", FINE))
        code, reason, _ = await socket.end()
    assert (code, reason) == (4409, "Subscriber for 1 already exists")


@pytest.mark.parametrize("letter", ["x", "ö", "\U0001f600"])
async def test_a_reason_that_would_not_fit_into_its_frame_is_shortened(url: str, letter: str) -> None:
    id = letter * 128
    async with open_socket(url) as socket:
        await socket.say(subscribe(id, ENDLESS), subscribe(id, FINE))
        code, reason, _ = await socket.end()
    assert code == 4409
    assert len(reason.encode()) <= 123
    assert reason.endswith(f"{letter}...")


async def test_an_id_is_free_again_when_its_operation_has_ended(url: str) -> None:
    async with open_socket(url) as socket:
        for _ in range(3):
            await socket.say(subscribe("1", FINE))
            assert [(await socket.hear())["type"] for _ in range(2)] == ["next", "complete"]
        await socket.say(subscribe("1", ENDLESS))
        assert (await socket.hear())["payload"]["data"]["events"]["__typename"] == "CaughtUp"
        await socket.say({"id": "1", "type": "complete"}, subscribe("1", FINE))
        assert (await socket.hear())["payload"] == NEXT


async def test_completing_an_unknown_operation_is_no_error(url: str) -> None:
    async with open_socket(url) as socket:
        await socket.say({"id": "nothing", "type": "complete"})
        assert await socket.is_open()


async def test_the_21st_concurrent_operation_gets_an_error_and_the_others_continue(url: str, sample: SampleApi) -> None:
    async with open_socket(url) as socket:
        for n in range(20):
            await socket.say(subscribe(f"s{n}", ENDLESS))
            assert (await socket.hear())["type"] == "next"
        await socket.say(subscribe("more", FINE))
        answer = await socket.hear()
        assert (answer["id"], answer["type"]) == ("more", "error")
        assert [error["extensions"]["code"] for error in answer["payload"]] == ["QUERY_TOO_COMPLEX"]
        assert sample.api.services.feed.subscribers == 20
        await socket.say({"id": "s7", "type": "complete"}, subscribe("more", FINE))
        assert (await socket.hear())["payload"] == NEXT
    await until(lambda: sample.api.services.feed.subscribers == 0)


async def test_each_operation_on_a_connection_has_its_own_budget(url: str) -> None:
    lists = " ".join(f"l{n}: events(first: 1000) {{ pageInfo {{ hasNextPage }} }}" for n in range(10))
    async with open_socket(url) as socket:
        for _ in range(3):
            await socket.say(subscribe("1", f"{{ {lists} }}"))
            assert "errors" not in (await socket.hear())["payload"]
            assert (await socket.hear())["type"] == "complete"
