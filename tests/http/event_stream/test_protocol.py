"""GraphQL over server-sent events: the same feed as over WebSocket, with one operation per stream."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import orjson
import pytest
from nats.aio.client import Client

from eventscope.http.event_stream import is_requested
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.http.support.feed import FEED, ids_until_caught_up, store_events
from tests.support.api_server import RunningApi
from tests.support.clients.event_stream import EVENTS, open_stream
from tests.support.requirements import leave_out
from tests.support.until import until

WEB = Path(__file__).parents[3] / "web"
JSON = "application/json"
URQL = f"application/graphql-response+json, {JSON}, {EVENTS}, multipart/mixed"


async def test_a_subscription_streams_history_and_then_new_events(
    api: RunningApi, client: Client, subject_prefix: str, log: Log, ingesting: None
) -> None:
    for n in range(3):
        await client.publish(f"{subject_prefix}.a.b", orjson.dumps({"messageId": f"m{n}"}))

    async def there() -> bool:
        return (await checkpoint.read(log)).head == 3

    await until(there)
    async with open_stream(api.http, FEED, **{"from": "BEGINNING"}) as stream:
        assert stream.response.status_code == 200
        headers = stream.response.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert "content-length" not in headers
        assert await ids_until_caught_up(stream) == ["m0", "m1", "m2"]
        for n in range(3, 6):
            await client.publish(f"{subject_prefix}.a.b", orjson.dumps({"messageId": f"m{n}"}))
            assert (await stream.next())["events"]["id"] == f"m{n}"


@pytest.mark.parametrize(
    "range", [{"toTimestamp": "2026-03-11"}, {"toTimestamp": "2026-12-31", "beforeTimestamp": "2026-03-12T00:00:00Z"}]
)
async def test_a_time_range_means_the_same_for_past_and_live_events(
    api: RunningApi, client: Client, subject_prefix: str, log: Log, ingesting: None, range: dict[str, str]
) -> None:
    filter = {"fromTimestamp": "2026-03-11", **range}
    times = ["10T23:59:59.999999", "11T00:00:00", "11T23:59:59.999999", "12T00:00:00", "11T12:00:00"]
    query = """subscription ($filter: EventFilter, $from: StartFrom) {
      events(filter: $filter, from: $from) { __typename ... on Event { id } }
    }"""

    async def publish(kind: str) -> None:
        for time in times:
            message = {"messageId": f"{kind} {time}", "timestamp": f"2026-03-{time}Z"}
            await client.publish(f"{subject_prefix}.a.b", orjson.dumps(message))

    async def there() -> bool:
        return (await checkpoint.read(log)).head == len(times)

    await publish("past")
    await until(there)
    async with open_stream(api.http, query, filter=filter, **{"from": "BEGINNING"}) as stream:
        assert await ids_until_caught_up(stream) == [f"past {times[n]}" for n in (1, 2, 4)]
        await publish("live")
        for n in (1, 2, 4):
            assert (await stream.next())["events"]["id"] == f"live {times[n]}"


async def test_a_client_that_reconnects_with_its_last_cursor_gets_the_rest(api: RunningApi, log: Log) -> None:
    await store_events(log, *range(10))
    async with open_stream(api.http, FEED, **{"from": "BEGINNING"}) as stream:
        seen = [(await stream.next())["events"] for _ in range(4)]
    async with open_stream(api.http, FEED, after=seen[-1]["cursor"]) as stream:
        assert await ids_until_caught_up(stream) == [f"m{n}" for n in range(4, 10)]


async def test_a_subscription_that_ends_completes_the_stream(api: RunningApi, log: Log) -> None:
    await store_events(log, 1, 2)
    async with open_stream(api.http, "subscription { replay { ... on Event { id } } }") as stream:
        assert [(await stream.next())["replay"]["id"] for _ in range(2)] == ["m1", "m2"]
        assert await stream.hear() == ("complete", None)
        with pytest.raises(EOFError):
            await stream.hear()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_query_becomes_a_stream_of_one_result(api: RunningApi, log: Log, method: str) -> None:
    await store_events(log, 1)
    async with open_stream(api.http, "query ($id: ID!) { event(id: $id) { id } }", method=method, id="m1") as stream:
        assert await stream.hear() == ("next", {"data": {"event": {"id": "m1"}}})
        assert await stream.hear() == ("complete", None)


async def test_a_mutation_may_be_a_stream_by_post_but_not_by_get(
    api: RunningApi, subject_prefix: str, ingesting: None
) -> None:
    publish = f'mutation {{ publishEvent(input: {{type: "{subject_prefix}.done"}}) {{ position }} }}'
    async with open_stream(api.http, publish, method="GET") as stream:
        event, result = await stream.hear()
        assert (event, result.keys()) == ("next", {"errors"})
        assert result["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert await stream.hear() == ("complete", None)
    assert (await api.ask("{ log { head } }"))["log"]["head"] == 0
    async with open_stream(api.http, publish) as stream:
        assert (await stream.next())["publishEvent"]["position"] == 1


async def test_a_subscription_by_get_is_what_a_browsers_event_source_sends(api: RunningApi, log: Log) -> None:
    await store_events(log, 1)
    async with open_stream(api.http, FEED, method="GET", **{"from": "BEGINNING"}) as stream:
        assert await ids_until_caught_up(stream) == ["m1"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "BAD_USER_INPUT"),
        ("subscription { nonsense }", "BAD_USER_INPUT"),
        ('subscription { events(after: "x") { __typename } }', "BAD_USER_INPUT"),
        ("subscription { stats(everySeconds: 0.1) { totalEvents } }", "BAD_USER_INPUT"),
        ("subscription a { __typename } subscription b { __typename }", "BAD_USER_INPUT"),
        ("{" + "a" * 1 + " {a" * 40 + "}" * 41, "QUERY_TOO_COMPLEX"),
    ],
)
async def test_an_invalid_operation_gets_a_result_with_errors_as_the_protocol_requires(
    api: RunningApi, query: str, code: str
) -> None:
    async with open_stream(api.http, query) as stream:
        assert stream.response.status_code == 200
        event, result = await stream.hear()
        assert event == "next"
        assert result.get("data") is None
        assert result["errors"][0]["extensions"]["code"] == code
        assert await stream.hear() == ("complete", None)


@pytest.mark.parametrize(
    ("method", "body", "headers", "status"),
    [
        ("POST", b"{}", {"content-type": JSON}, 400),
        ("POST", b"no json", {"content-type": JSON}, 400),
        ("POST", b'{"query": "{ log { head } }"}', {"content-type": "text/plain"}, 415),
        ("POST", b'{"query": "' + b" " * 300_000 + b'"}', {"content-type": JSON}, 413),
        ("GET", b"", {}, 400),
        ("GET", b"", {"sec-fetch-site": "cross-site"}, 403),
        ("PUT", b"", {}, 405),
    ],
)
async def test_what_is_not_a_request_is_answered_as_usual(
    api: RunningApi, method: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    response = await api.http.request(method, "/graphql", content=body, headers={**headers, "accept": EVENTS})
    assert (response.status_code, response.headers["content-type"]) == (status, f"{JSON}; charset=utf-8")
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_client_that_also_accepts_json_gets_a_stream_only_where_one_is_needed(
    api: RunningApi, log: Log
) -> None:
    await store_events(log, 1)
    answer = await api.http.post("/graphql", json={"query": "{ log { head } }"}, headers={"accept": URQL})
    assert answer.json() == {"data": {"log": {"head": 1}}}
    async with open_stream(api.http, FEED, accept=URQL, **{"from": "BEGINNING"}) as stream:
        assert stream.response.headers["content-type"].startswith(EVENTS)
        assert await ids_until_caught_up(stream) == ["m1"]


@pytest.mark.parametrize(
    ("accept", "is_wanted"),
    [
        (EVENTS, True),
        (URQL, True),
        ("Text/Event-Stream; charset=utf-8", True),
        (f"{EVENTS}; q=0", False),
        ("*/*", False),
        ("text/*", False),
        (JSON, False),
        (None, False),
    ],
)
def test_only_a_client_that_says_so_accepts_a_stream(accept: str | None, is_wanted: bool) -> None:
    assert is_requested(accept) == is_wanted


async def test_the_npm_client_graphql_sse_subscribes_and_gets_errors(api: RunningApi, log: Log) -> None:
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules" / "graphql-sse").exists():
        leave_out("the npm client needs Node and what `make web` installs")
    await store_events(log, *range(5))
    script = """
      import { createClient } from "graphql-sse";
      const client = createClient({ url: process.argv[1], retryAttempts: 0 });
      const said = [];
      for (const query of JSON.parse(process.argv[2]))
        for await (const result of client.iterate({ query })) said.push(result);
      console.log(JSON.stringify(said));
    """
    queries = ["subscription { replay { ... on Event { id } } }", "{ log { head } }", "{ nonsense }"]
    run = await asyncio.create_subprocess_exec(
        *(node, "--input-type=module", "--eval", script, f"{api.http.base_url}/graphql", json.dumps(queries)),
        cwd=WEB,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await run.communicate()
    assert run.returncode == 0, complaints.decode()
    *results, refusal = json.loads(said)
    assert [one["data"] for one in results] == [
        *({"replay": {"id": f"m{n}"}} for n in range(5)),
        {"log": {"head": 5}},
    ]
    assert re.match("Cannot query field 'nonsense'", refusal["errors"][0]["message"])
