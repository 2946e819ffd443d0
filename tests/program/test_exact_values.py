"""No value in a request over GraphQL is silently changed: it is kept as it was written, or refused."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.log import Log
from tests.support.clients.event_stream import EVENTS
from tests.support.clients.websocket import open_socket
from tests.support.sample_log import SampleApi, sample_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLISH = "mutation ($input: PublishEventInput!) { publishEvent(input: $input) { messageId } }"
FIND = "query ($filter: EventFilter) { events(filter: $filter) { nodes { id } } }"
FOLLOW = "subscription ($filter: EventFilter) { events(filter: $filter) { __typename } }"
JSON = "application/json"
NEW = "application/graphql-response+json"

# what is written as a value, and what the error says about it
CHANGED = [
    ("1e999", "the number 1e999 at {} is beyond"),
    ("-1e-999", "the number -1e-999 at {} would be changed to -0.0"),
    ("123456789012345.6789", "the number 123456789012345.6789 at {} would be changed to 123456789012345.67"),
    ("0.1234567890123456789", "the number 0.1234567890123456789 at {} would be changed to"),
    ("9007199254740993.0", "would be changed to 9007199254740992.0"),
]
KEYS = re.compile(r'"(\w)":')  # as GraphQL writes them, without quotes
TWICE = ('{"a": 1, "\\u0061": 2}', "the key 'a' at {} is given more than once")
LONG = ("12345678901234567890123", "does not fit into 64 bits")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    async with sample_api(mongo_url, nats_url) as sample:
        yield sample


def written(text: str, value: str) -> str:
    """The text, with the value where `~` stands."""
    return text.replace("~", value)


def publishing(value: str) -> tuple[str, str, str]:
    variables = written('{"input": {"type": "a.b", "data": {"items": [1, {"price": ~}]}}}', value)
    return PUBLISH, variables, "items[1].price"


def finding(value: str, query: str = FIND) -> tuple[str, str, str]:
    return query, written('{"filter": {"not": {"data": [{"path": "n", "in": [~]}]}}}', value), "in[0]"


def following(value: str) -> tuple[str, str, str]:
    return finding(value, FOLLOW)


def body(query: str, variables: str) -> bytes:
    return b'{"query": %s, "variables": %s}' % (orjson.dumps(query), variables.encode())


def check(error: Any, message: str, place: str) -> None:
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    before, _, after = message.partition("{}")
    assert before in error["message"]
    assert after in error["message"]
    if "{}" in message:
        assert f"{place} " in error["message"]


@pytest.mark.parametrize(("value", "message"), [*CHANGED, TWICE, LONG])
@pytest.mark.parametrize("asked", [publishing, finding])
@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (NEW, 400)])
async def test_a_variable_that_would_be_changed_is_refused_with_its_place(
    sample: SampleApi, value: str, message: str, asked: Any, accept: str, status: int
) -> None:
    query, variables, place = asked(value)
    headers = {"content-type": JSON, "accept": accept}
    for _ in range(2):  # a repeated request may take another path
        response = await sample.api.http.post("/graphql", content=body(query, variables), headers=headers)
        [error] = response.json()["errors"]
        check(error, message, place)
        assert response.json().get("data") is None
        if (value, message) != LONG:
            assert response.status_code == status
            assert error["extensions"]["field"].endswith(place)


@pytest.mark.parametrize(("value", "message"), [*CHANGED, TWICE, LONG])
async def test_the_same_holds_in_an_address(sample: SampleApi, value: str, message: str) -> None:
    query, variables, place = finding(value)
    response = await sample.api.http.get("/graphql", params={"query": query, "variables": variables})
    check(response.json()["errors"][0], message, place)


@pytest.mark.parametrize(("value", "message"), [*CHANGED, TWICE, LONG])
async def test_the_same_holds_in_an_event_stream(sample: SampleApi, value: str, message: str) -> None:
    query, variables, place = following(value)
    headers = {"content-type": JSON, "accept": EVENTS}
    response = await sample.api.http.post("/graphql", content=body(query, variables), headers=headers)
    if (value, message) == LONG:  # the operation is wrong, and not the request
        check(orjson.loads(response.text.partition("data: ")[2].partition("\n")[0])["errors"][0], message, place)
    else:
        assert response.status_code == 400
        check(response.json()["errors"][0], message, place)


@pytest.mark.parametrize(("value", "message"), [*CHANGED, TWICE, LONG])
@pytest.mark.parametrize("asked", [publishing, finding, following])
async def test_the_same_holds_over_a_websocket_which_stays_open(
    sample: SampleApi, value: str, message: str, asked: Any
) -> None:
    query, variables, place = asked(value)
    payload = body(query, variables).decode()
    async with open_socket(sample.api.socket_url) as socket:
        await socket.say(written('{"id": "1", "type": "subscribe", "payload": ~}', payload))
        answer = await socket.hear()
        assert answer["id"] == "1"
        # if only the resolver finds the fault, the query is answered with the error
        errors = answer["payload"]["errors"] if answer["type"] == "next" else answer["payload"]
        check(errors[0], message, place)
        if answer["type"] == "next":
            assert (await socket.hear())["type"] == "complete"
        assert await socket.is_open()


async def test_a_message_of_the_protocol_means_the_same_whatever_numbers_it_contains(sample: SampleApi) -> None:
    async with open_socket(sample.api.socket_url, init=False) as socket:
        await socket.say(written('{"type": "ping", "payload": {"n": 1e999, "m": ~}}', "9" * 5000))
        assert await socket.hear() == {"type": "pong"}
        await socket.say('{"id": "1", "type": "subscribe", "payload": {"query": "{ log { head } }", "n": 1e999}}')
        assert (await socket.end())[0] == 4401
    async with open_socket(sample.api.socket_url) as socket:
        await socket.say('{"id": "1", "type": "subscribe", "payload": {"query": 1e999}}')
        assert (await socket.end())[0] == 4400
    async with open_socket(sample.api.socket_url) as socket:
        deep = "[" * 30_000 + "]" * 30_000
        await socket.say(written('{"type": "ping", "payload": {"n": 1e999, "m": ~}}', deep))
        assert (await socket.end())[0] == 4400
    async with open_socket(sample.api.socket_url) as socket:
        await socket.say(
            {"id": "1", "type": "subscribe", "payload": {"query": "subscription { events { __typename } }"}}
        )
        await socket.say('{"id": "1", "type": "subscribe", "payload": {"query": "{ log { head } }", "n": 1e999}}')
        assert (await socket.end())[0] == 4409


@pytest.mark.parametrize(("value", "message"), [*CHANGED, LONG])
@pytest.mark.parametrize(
    "query",
    [
        'mutation { publishEvent(input: { type: "a.b", data: ~ }) { messageId } }',
        'mutation { publishEvent(input: { type: "a.b", metadata: { items: [1, { price: ~ }] } }) { messageId } }',
        'mutation { publishEvents(input: [{ type: "a.b", data: [~] }]) { messageId } }',
        'mutation ($x: JSON = [~]) { publishEvent(input: { type: "a.b", data: $x }) { messageId } }',
        '{ events(filter: { data: [{ path: "n", eq: ~ }] }) { nodes { id } } }',
        '{ events(filter: { metadata: [{ path: "n", ne: { a: ~ } }] }) { nodes { id } } }',
        '{ events(filter: { or: [{ data: [{ path: "n", gte: ~ }] }] }) { nodes { id } } }',
        '{ replay(filter: { data: [{ path: "n", in: [1, ~] }] }) { nodes { id } } }',
    ],
)
async def test_a_literal_that_would_be_changed_is_refused(
    sample: SampleApi, value: str, message: str, query: str
) -> None:
    error = await sample.api.refusal(written(query, value))
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert message.partition("{}")[2].strip() in error["message"]
    assert value[:20] in error["message"]
    if "price" in query:
        assert "items[1].price" in error["message"]


async def test_a_missing_variable_within_a_literal_is_refused(sample: SampleApi) -> None:
    for query in (
        'query ($x: JSON) { events(filter: { data: [{ path: "n", eq: { a: $x } }] }) { nodes { id } } }',
        'mutation ($x: JSON) { publishEvent(input: { type: "a.b", data: { a: $x } }) { messageId } }',
    ):
        assert (await sample.api.refusal(query))["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_key_given_twice_in_a_literal_is_refused(sample: SampleApi) -> None:
    error = await sample.api.refusal(
        'mutation { publishEvent(input: { type: "a.b", data: { a: 1, a: 2 } }) { messageId } }'
    )
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.asyncio(loop_scope="function")
async def test_everything_published_is_returned_as_it_was_written(
    api: str, log: Log, ingesting: None, settings: Settings
) -> None:
    data = (
        '{"a":1.0,"b":1,"c":-0.0,"d":5e-324,"e":0.30000000000000004,"f":9223372036854775807,"g":-9223372036854775808,'
        '"h":1.7976931348623157e+308,"i":[123456789012345.67,{"j":1000.0,"k":null,"l":"1e999"}]}'
    )
    async with httpx.AsyncClient(base_url=api, timeout=30) as client:
        ids = []
        for query, variables in (
            (PUBLISH, '{"input": {"type": "a.b", "data": ~}}'),
            ('mutation ($d: JSON) { publishEvent(input: { type: "a.b", data: $d }) { messageId } }', '{"d": ~}'),
            (
                written(
                    'mutation { publishEvent(input: { type: "a.b", data: ~ }) { messageId } }', KEYS.sub(r"\1:", data)
                ),
                "{}",
            ),
        ):
            content = body(query, written(variables, data))
            response = await client.post("/graphql", content=content, headers={"content-type": JSON})
            ids.append(response.json()["data"]["publishEvent"]["messageId"])
        for id in ids:
            event = await pages.event(log, id)
            assert event is not None
            assert orjson.dumps(event["data"]).decode() == data
            query = written('{ event(id: "~") { data } }', id)
            assert written('{"event":{"data":~}}', data) in (await client.post("/graphql", json={"query": query})).text
        assert (await client.get("/events/history")).text.count(written('"data":~,', data)) == len(ids)
