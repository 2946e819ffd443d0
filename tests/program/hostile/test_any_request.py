"""GraphQL over HTTP: no request gets a 500, and none gets an error that is our own fault."""

import json
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sample_log import SampleApi, sample_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "application/graphql-response+json"
OLD = "application/json"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    async with sample_api(mongo_url, nats_url) as sample:
        yield sample


@pytest.fixture(scope="module")
def http(sample: SampleApi) -> httpx.AsyncClient:
    return sample.api.http


texts = st.text(max_size=30) | st.sampled_from(["x", "e1", "user.*", "2026-03-10T00:00:00Z", "ID", "A", '{"$gt": ""}'])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
documents = texts | st.sampled_from(
    [
        "{ log { head } }",
        "query A { log { head } } query B { log { head } }",
        "query ($id: ID!, $x: String!) { event(id: $id) { data } aggregate(type: $x, id: $id) { version } }",
        "query ($f: EventFilter, $n: Int, $c: String) { events(filter: $f, first: $n, after: $c) { nodes { id } } }",
        "query ($f: StatsFilter, $by: HistogramBy) { stats(filter: $f) { histogram(by: $by) { count } } }",
        "query ($f: AggregateFilter, $o: AggregateOrder) { aggregates(filter: $f, order: $o) { nodes { id } } }",
        "query ($f: EventFilter, $c: String) { replay(filter: $f, upTo: $c) { totalCount { exact } } }",
        "subscription { events { __typename } }",
    ]
)
names = [
    "ids",
    "eventTypes",
    "aggregateType",
    "userId",
    "fromTimestamp",
    "toPosition",
    "fromVersion",
    "deleted",
    "type",
]
variables = st.fixed_dictionaries(
    {},
    optional={
        "f": values | st.dictionaries(st.sampled_from(names), values | st.lists(texts, max_size=3), max_size=3),
        **dict.fromkeys(("id", "x", "n", "c", "by", "o"), values),
    },
)
requests = st.fixed_dictionaries(
    {"query": documents | values}, optional={"variables": variables | values, "operationName": texts | values}
)
# hypothesis may generate what JSON cannot express: numbers beyond its range, surrogates; these are sent as they are
bodies = st.binary(max_size=200) | (values | requests).map(lambda value: json.dumps(value).encode())


@given(
    body=bodies,
    media_type=st.sampled_from(["application/json"] * 8 + ["text/plain", "application/json; charset=x", ";"]),
    accept=st.sampled_from([OLD, NEW, "*/*", "text/plain", ";q=", "*"]),
)
@settings(max_examples=2000, deadline=None)
async def test_no_request_is_answered_with_500(
    http: httpx.AsyncClient, body: bytes, media_type: str, accept: str
) -> None:
    headers = {"content-type": media_type, "accept": accept}
    response = await http.post("/graphql", content=body, headers=headers)
    assert response.status_code in {200, 400, 406, 415}
    answer = orjson.loads(response.content)
    assert response.status_code == 200 or answer["errors"][0]["message"]
    assert all(error["extensions"]["code"] != "INTERNAL" for error in answer.get("errors", []))


@given(
    parameters=st.dictionaries(
        st.sampled_from(["query", "variables", "operationName", "extensions"]) | texts,
        documents.map(str) | values.map(json.dumps) | variables.map(json.dumps),
        max_size=4,
    ),
    accept=st.sampled_from([OLD, NEW, "*/*", "text/plain"]),
)
@settings(max_examples=500, deadline=None)
async def test_no_address_is_answered_with_500(
    http: httpx.AsyncClient, parameters: dict[str, str], accept: str
) -> None:
    response = await http.get("/graphql", params=parameters, headers={"accept": accept})
    assert response.status_code in {200, 400, 406, 414}
    answer = orjson.loads(response.content)
    assert response.status_code == 200 or answer["errors"][0]["message"]
    assert all(error["extensions"]["code"] != "INTERNAL" for error in answer.get("errors", []))


DEEP = {
    "a list": ("[", "1", "]"),
    "an object": ("{a: ", "1", "}"),
    "both": ("[{a: ", "1", "}]"),
}


@pytest.mark.parametrize("kind", DEEP)
async def test_no_depth_of_values_is_answered_with_500(http: httpx.AsyncClient, kind: str) -> None:
    """Depths between those that are answered and those that no parser accepts must not break anything."""
    before, inner, after = DEEP[kind]
    asked = (
        "{{ events(filter: {{ ids: {} }}) {{ nodes {{ id }} }} }}",
        '{{ events(filter: {{ data: [{{ path: "a", eq: {} }}] }}) {{ nodes {{ id }} }} }}',
        'mutation {{ publishEvents(input: [{{ type: "a.b" data: {} }}'
        + '{{ type: "" }}' * 100
        + "]) {{ messageId }} }}",
    )
    codes = set()
    for question in asked:
        for depth in (*range(1, 130, 16), *range(130, 420, 7)):
            query = question.format(before * depth + inner + after * depth)
            answer = (await http.post("/graphql", json={"query": query})).json()
            codes |= {error["extensions"]["code"] for error in answer.get("errors", [])}
            assert "INTERNAL" not in codes, (question, depth)
    assert "BAD_USER_INPUT" in codes


@pytest.mark.parametrize("word", ["not", "and", "or"])
async def test_no_depth_of_filters_is_answered_with_500(http: httpx.AsyncClient, word: str) -> None:
    codes = set()
    question = "query ($f: EventFilter) { events(filter: $f, first: 1) { nodes { id } } }"
    filter: dict[str, object] = {"userId": "x"}
    for depth in range(1, 300):
        filter = {word: filter if word == "not" else [filter]}
        if depth < 40 or depth % 7 == 0:
            answer = (await http.post("/graphql", json={"query": question, "variables": {"f": filter}})).json()
            codes |= {error["extensions"]["code"] for error in answer.get("errors", [])}
    assert codes == {"BAD_USER_INPUT", "QUERY_TOO_COMPLEX"}
