"""The fast path: a repeated request is recognized by its bytes, and answered as if it were new."""

from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest
import pytest_asyncio
from starlette.routing import Route

from eventscope.app import build
from eventscope.http import fast_path
from eventscope.http.endpoint import Endpoint
from eventscope.schema.compiled import documents
from eventscope.schema.compiled.run import QueryPlan
from tests.support.api_server import RunningApi, running_api
from tests.support.sample_log import SampleApi, sample_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUERY = """query Q($f: EventFilter, $n: Int, $c: String, $s: Boolean = false) {
  events(filter: $f, first: $n, after: $c) { nodes { id type @skip(if: $s) data } pageInfo { endCursor } } }"""
VARIABLES = [
    {},
    {"n": 3},
    {"n": 3, "s": True},
    {"n": 2, "f": {"eventTypes": ["user.*"], "or": [{"userId": "alice"}, {"not": {"aggregateType": "user"}}]}},
    {"n": 2, "f": {"data": [{"path": "name", "exists": True}]}},
    {"n": -1},
    {"n": 1001},
    {"n": "3"},
    {"n": 3, "c": "nonsense"},
    {"f": {"fromTimestamp": "nonsense"}},
    {"f": {"eventTypes": []}},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    async with sample_api(mongo_url, nats_url) as sample:
        yield sample


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ordinary(sample: SampleApi) -> AsyncIterator[RunningApi]:
    """An API over the same log that takes the ordinary path."""
    async with running_api(sample.settings.model_copy(update={"compiled": False, "tail_events": 0})) as api:
        yield api


@pytest.mark.parametrize("variables", VARIABLES, ids=str)
async def test_a_repeated_request_gets_the_same_answer_as_on_the_ordinary_path(
    sample: SampleApi, ordinary: RunningApi, variables: dict[str, object]
) -> None:
    body = orjson.dumps({"query": QUERY, "variables": variables})
    headers = {"content-type": "application/json"}
    expected = await ordinary.http.post("/graphql", content=body, headers=headers)
    for _ in range(4):
        answer = await sample.api.http.post("/graphql", content=body, headers=headers)
        assert (answer.status_code, answer.content) == (expected.status_code, expected.content)


async def test_no_more_is_cached_than_there_is_room_for(sample: SampleApi) -> None:
    app = build(sample.settings, sample.api.services)
    [endpoint] = [route.app for route in app.routes if isinstance(route, Route) and isinstance(route.app, Endpoint)]
    assert endpoint._fast_path is not None
    path = replace(endpoint._fast_path, most_plans=5)

    def ask(n: int) -> QueryPlan | None:
        body = {"query": "query ($n: Int) { events(first: $n) { nodes { id } } }", "variables": {"n": n}}
        return path._plan(orjson.dumps(body))

    first = ask(0)
    assert first is not None
    for n in range(20):
        assert ask(0) is first
        assert ask(n) is not None
    assert len(path.plans) == 5
    long = orjson.dumps({"query": "{ log { head } } #" + "x" * fast_path.MOST_CACHED_BODY})
    assert path._plan(long) is not None
    assert long not in path.plans


async def test_cached_plans_are_dropped_with_their_documents(sample: SampleApi) -> None:
    app = build(sample.settings, sample.api.services)
    [endpoint] = [route.app for route in app.routes if isinstance(route, Route) and isinstance(route.app, Endpoint)]
    path = endpoint._fast_path
    assert path is not None
    bodies = [orjson.dumps({"query": query}) for query in ("{ log { head } }", "{ log { firstPosition } }")]
    first = [path._plan(body) for body in bodies]
    assert None not in first
    path.direct._schema.documents._on_compiled(documents.MOST_LINES + 1)
    again = path._plan(bodies[0])
    assert again is not None
    assert again is not first[0]
    assert list(path.plans) == bodies[:1]
