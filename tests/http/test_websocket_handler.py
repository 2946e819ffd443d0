"""GraphQL over WebSocket, frame by frame: the reply to each, and the code with which a connection is closed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.http.websocket_handler import fault
from eventscope.settings import Settings
from tests.support.api_server import running_api
from tests.support.clients.websocket import ACK, INIT, open_socket, subscribe
from tests.support.sample_log import SampleApi, sample_api
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINE = "{ log { head } }"
NEXT = {"data": {"log": {"head": 300}}}
ENDLESS = "subscription { events { __typename } }"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    async with sample_api(mongo_url, nats_url) as sample:
        yield sample


@pytest.fixture(scope="module")
def url(sample: SampleApi) -> str:
    return sample.api.socket_url


# opening


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"token": "x"}}])
async def test_a_client_that_sends_connection_init_is_acknowledged(url: str, payload: dict[str, object]) -> None:
    async with open_socket(url, init=False) as socket:
        assert socket.raw.subprotocol == "graphql-transport-ws"
        await socket.say(INIT | payload)
        assert await socket.hear() == ACK


@pytest.mark.parametrize("protocols", [[], ["graphql-ws"], ["soap", "graphql-sse"]])
async def test_a_client_that_does_not_speak_the_protocol_is_closed_with_4406(url: str, protocols: list[str]) -> None:
    async with open_socket(url, init=False, protocols=protocols) as socket:
        assert (await socket.end())[0] == 4406


async def test_a_client_that_also_speaks_another_protocol_gets_ours(url: str) -> None:
    async with open_socket(url, protocols=["graphql-ws", "graphql-transport-ws"]) as socket:
        assert await socket.is_open()


@pytest.mark.parametrize("origin", ["http://evil.example", "https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_page_of_another_origin_is_refused_with_403_before_any_message(url: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(url, origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_a_page_of_our_own_origin_is_accepted(url: str) -> None:
    async with open_socket(url, origin=url.replace("ws", "http", 1).removesuffix("/graphql")) as socket:
        assert await socket.is_open()


@pytest.mark.asyncio(loop_scope="function")
async def test_only_an_allowed_origin_is_accepted(settings: Settings) -> None:
    async with running_api(settings.model_copy(update={"origins": ("https://ours.example",)})) as api:
        async with open_socket(api.socket_url, origin="https://ours.example") as socket:
            assert await socket.is_open()
        with pytest.raises(InvalidStatus):
            async with open_socket(api.socket_url, origin="https://ours.example.evil"):
                pass


async def test_a_query_sent_as_its_hash_is_requested_in_full_and_the_connection_stays(url: str) -> None:
    payload = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ecf4edb4"}}}
    async with open_socket(url) as socket:
        await socket.say({"id": "1", "type": "subscribe", "payload": payload})
        error = {"message": "PersistedQueryNotSupported", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}}
        assert await socket.hear() == {"id": "1", "type": "error", "payload": [error]}
        await socket.say({"id": "1", "type": "subscribe", "payload": payload | {"query": "{ __typename }"}})
        assert (await socket.hear())["payload"] == {"data": {"__typename": "Query"}}


@pytest.mark.asyncio(loop_scope="function")
async def test_a_client_that_sends_nothing_is_closed_with_4408(settings: Settings) -> None:
    assert HttpLimits().init_seconds == 10
    limits = HttpLimits(init_seconds=0.1)
    async with running_api(settings, http_limits=limits) as api, open_socket(api.socket_url, init=False) as socket:
        assert await socket.end() == (4408, "Connection initialisation timeout", [])


async def test_a_second_connection_init_closes_with_4429(url: str) -> None:
    async with open_socket(url) as socket:
        await socket.say(INIT)
        assert (await socket.end())[0] == 4429


async def test_an_operation_before_connection_init_closes_with_4401(url: str) -> None:
    async with open_socket(url, init=False) as socket:
        await socket.say(subscribe("1", FINE))
        assert await socket.end() == (4401, "Unauthorized", [])


async def test_a_ping_is_always_answered_and_a_pong_never(url: str) -> None:
    async with open_socket(url, init=False) as socket:
        for message in ({"type": "ping"}, {"type": "ping", "payload": None}, {"type": "ping", "payload": {"a": 1}}):
            await socket.say({"type": "pong"}, message)
            assert await socket.hear() == {"type": "pong"}
        await socket.say(INIT)
        assert await socket.hear() == ACK
        assert await socket.is_open()


# frames that are not of the protocol

WRONG: list[object] = [
    "[]",
    "5",
    "null",
    '"ping"',
    "",
    "{",
    '{"type":',
    "[" * 200_000,
    '{"type": "ping", "payload": ' + "[" * 200_000,
    '{"type": "\\ud800"}',
    b'{"type": "ping"}',
    {},
    {"type": None},
    {"type": 5},
    {"type": ["ping"]},
    {"type": "nope"},
    {"type": "x" * 1000},
    {"type": "connection_ack"},
    {"type": "ping", "payload": "x"},
    {"type": "pong", "payload": []},
    {"type": "connection_init", "payload": "x"},
    {"type": "connection_init", "payload": []},
    {"type": "complete"},
    {"type": "complete", "id": 7},
    {"type": "subscribe", "payload": {"query": FINE}},
    {"type": "subscribe", "id": 7, "payload": {"query": FINE}},
    {"type": "subscribe", "id": "", "payload": {"query": FINE}},
    {"type": "subscribe", "id": ["a"], "payload": {"query": FINE}},
    {"type": "subscribe", "id": {}, "payload": {"query": FINE}},
    {"type": "subscribe", "id": None, "payload": {"query": FINE}},
    {"type": "subscribe", "id": "x" * 129, "payload": {"query": FINE}},
    {"type": "subscribe", "id": "1"},
    {"type": "subscribe", "id": "1", "payload": None},
    {"type": "subscribe", "id": "1", "payload": "x"},
    {"type": "subscribe", "id": "1", "payload": []},
    {"type": "subscribe", "id": "1", "payload": {}},
    subscribe("1", FINE) | {"payload": {"query": 5}},
    subscribe("1", FINE, variables="x"),
    subscribe("1", FINE, variables=["x"]),
    subscribe("1", FINE, operationName=5),
    subscribe("1", FINE, extensions=[]),
]


@pytest.mark.parametrize("frame", WRONG, ids=lambda frame: str(frame)[:60])
async def test_a_frame_that_violates_the_protocol_closes_with_4400(url: str, frame: object) -> None:
    async with open_socket(url) as socket:
        await socket.say(frame)
        code, reason, heard = await socket.end()
    assert (code, heard) == (4400, [])
    assert reason


async def test_a_frame_that_is_too_large_closes_with_1009(url: str) -> None:
    async with open_socket(url) as socket:
        await socket.say("x" * 262_145)
        assert (await socket.end())[0] == 1009


async def test_no_valid_message_violates_the_protocol() -> None:
    for message in (
        {"type": "connection_init"},
        {"type": "pong", "payload": {}},
        {"type": "complete", "id": "x" * 128},
        subscribe("1", "", variables=None, operationName=None, extensions=None),
        subscribe("ö", FINE, variables={}, operationName="", extensions={}),
    ):
        assert fault(message) is None


# operations


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
