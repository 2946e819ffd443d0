"""No text or value from a caller ever becomes a MongoDB operator or a regular expression, wherever it is passed."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from graphql import (
    GraphQLArgument,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLOutputType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)
from nats.aio.client import Client

from eventscope.schema.build import build
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import running_api
from tests.support.sample_log import IDS, SampleApi, sample_api

NOBODY = "nobody-has-this"
TEXTS = [
    *(
        '{"$gt": ""}',
        '{"$ne": null}',
        "$where",
        "$gt",
        "$",
        "function() { return true }",
        "' || '1' == '1",
        "1; sleep(1)",
    ),
    *(".*", "^", "$|.", "[", "[^x]", "(", "(?i)USER", "\\", "\\w+", "u?1", "(a+)+$", "|", "user|vendor", "."),
    *("\0", "u1\0", "\n", "\u2028", "\ufffe", "\U0001f600", "%00", "../..", "9" * 20, "NaN", "-1", "u" * 1024),
]
VALUES: list[Any] = [
    *(
        {"$gt": ""},
        {"$ne": None},
        {"$regex": ".*"},
        {"$where": "1"},
        {"$in": [""]},
        {"$expr": {"$gt": [1, 0]}},
        ["$gt"],
    ),
    *(
        {"$exists": True},
        {"a": {"$gt": ""}},
        {"": 1},
        {"a.b": 1},
        {"$numberLong": "1"},
        {"$date": 0},
        {"$oid": "0" * 24},
    ),
]
MAY = {"BAD_USER_INPUT", "QUERY_TOO_COMPLEX"}


# the results of these depend on more than whether two values are equal
ORDERED = (".ne", ".gt", ".gte", ".lt", ".lte", "eventTypes.after")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    async with sample_api(mongo_url, nats_url) as sample:
        yield sample


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a query that takes a text, or any value."""

    question: str
    path: str
    type: str

    def asked(self, value: object) -> dict[str, object]:
        """The request with this value there."""
        return {"query": self.question, "variables": {"it": value}}


def places() -> list[Place]:
    """Every argument of every query, and every field of an input in an argument."""
    query = build()._schema.query_type
    assert query is not None
    found: list[Place] = []
    for name, field in query.fields.items():
        for argument, spec in field.args.items():
            needed = [f'{other}: "user"' for other, one in field.args.items() if _is_needed(other, argument, one)]
            for path, type, written in _inside(argument, spec.type):
                arguments = ", ".join([f"{argument}: {written}", *needed])
                question = f"query ($it: {type}!) {{ {name}({arguments}) {_selected(field.type)} }}"
                found.append(Place(question, f"{name}.{path}", type))
    return found


def _is_needed(name: str, asked: str, argument: GraphQLArgument) -> bool:
    return name != asked and is_required_argument(argument)


def _inside(path: str, given: GraphQLInputType) -> Iterator[tuple[str, str, str]]:
    """Paths to texts and values, their types, and what is written to lead there."""
    bare: Any = get_nullable_type(given)
    if is_list_type(bare):
        for inner, type, written in _inside(path, bare.of_type):
            yield inner, type, f"[{written}]"
    elif isinstance(bare, GraphQLInputObjectType):
        for name, field in bare.fields.items():
            if not _is_deep_enough(path, name):
                for inner, type, written in _inside(f"{path}.{name}", field.type):
                    yield inner, type, "{ " + f"{name}: {written}" + _beside(bare.name, name) + " }"
    elif bare.name in ("String", "ID", "JSON"):
        yield path, bare.name, "$it"


def _is_deep_enough(path: str, name: str) -> bool:
    """Filters contain filters; of the inner ones, one field of each kind stands for all."""
    within = {"and", "or", "not"} & set(path.split("."))
    return bool(within) and name not in ("userId", "eventTypes", "data", "eq", "path")


def _beside(type: str, name: str) -> str:
    """What else a condition on a path must contain."""
    if type != "PathCondition":
        return ""
    return ", exists: false" if name == "path" else ', path: "name"'


def _selected(type: GraphQLOutputType) -> str:
    named = get_named_type(type)
    assert isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
    fields = {name: get_named_type(field.type) for name, field in named.fields.items()}
    leaves = [name for name, kind in fields.items() if is_leaf_type(kind)]
    lists = [
        text
        for name, text in {"edges": "edges { cursor }", "totalCount": "totalCount { exact atLeast }"}.items()
        if name in fields
    ]
    return "{ " + " ".join([*leaves, *lists]) + " }"


PLACES = places()


def test_the_arguments_that_accept_texts_are_found() -> None:
    paths = {place.path for place in PLACES}
    assert {"event.id", "events.after", "events.filter.userId", "events.filter.eventTypes", "aggregate.type"} <= paths
    assert {"aggregates.filter.ids", "stats.filter.aggregateTypes", "trace.correlationId"} <= paths
    assert {"events.filter.data.path", "events.filter.metadata.in", "events.filter.not.data.eq"} <= paths


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.path)
async def test_a_text_or_value_that_looks_like_an_operator_is_like_any_other(sample: SampleApi, place: Place) -> None:
    """It finds what an unused text or value finds, except for objects that have exactly this text."""
    ask = sample.api.http.post
    usual = (await ask("/graphql", json=place.asked(NOBODY))).json()
    for value in [*TEXTS, *(VALUES if place.type == "JSON" else ())]:
        answer = (await ask("/graphql", json=place.asked(value))).json()
        codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
        assert codes <= MAY, value
        if not codes and not place.path.endswith(ORDERED) and not _is_meant(place, value):
            assert answer == usual, value


@pytest.mark.asyncio(loop_scope="module")
async def test_event_types_after_a_text_that_looks_like_an_operator_are_those_that_sort_after_it(
    sample: SampleApi,
) -> None:
    types = sorted({event["type"] for event in sample.events})
    for text in TEXTS:
        answer = await sample.api.ask("query ($t: String!) { eventTypes(after: $t) { type } }", t=text)
        assert [found["type"] for found in answer["eventTypes"]] == [type for type in types if type > text], text


def _is_meant(place: Place, value: object) -> bool:
    """Whether there are aggregates with exactly this id."""
    own = ("aggregateId", "aggregateIds", "aggregates.filter.ids", "aggregate.id")
    return place.path.endswith(own) and value in IDS["file"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("id", IDS["file"])
async def test_an_id_that_looks_like_an_operator_finds_its_own_events(sample: SampleApi, id: str) -> None:
    own = len(sample.those(lambda event: event.get("aggregateId") == id))
    for filter in ({"aggregateId": id}, {"aggregateIds": [id]}, {"not": {"not": {"aggregateId": id}}}):
        query = "query ($f: EventFilter) { events(filter: $f) { totalCount { exact } } }"
        assert await sample.api.ask(query, f=filter) == {"events": {"totalCount": {"exact": own}}}
    response = await sample.api.http.get("/events/history", params={"aggregateId": id})
    assert response.json()["totalEvents"] == own


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("endpoint", ["history", "replay", "aggregate", "stats"])
@pytest.mark.parametrize(
    "name",
    ["aggregateId", "aggregateType", "eventTypes", "fromTimestamp", "toTimestamp", "beforeTimestamp", "limit"],
)
async def test_the_same_holds_over_rest(sample: SampleApi, endpoint: str, name: str) -> None:
    given = {"aggregateId": "u1", "aggregateType": "user"} if endpoint == "aggregate" else {}

    async def ask(value: str) -> tuple[int, Any]:
        response = await sample.api.http.get(f"/events/{endpoint}", params={**given, name: value})
        body = response.json()
        for asked in ("aggregateId", "aggregateType", "filters"):
            body.pop(asked, None)
        return response.status_code, body

    usual = await ask(NOBODY)
    for text in TEXTS:
        status, body = await ask(text)
        assert status in (200, 400), text
        if status == 400:
            assert body["errors"][0]["extensions"]["code"] in MAY | {"PAGE_TOO_LARGE"}
        elif not (name == "aggregateId" and text in IDS["file"]):
            assert (status, body) == usual, text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("surrogate", ["\\ud800", "\\udfff", "x\\ud83d", "\\udc00\\ud800"])
async def test_half_a_surrogate_pair_is_refused(sample: SampleApi, surrogate: str) -> None:
    body = '{"query": "query ($t: String!) { aggregate(type: $t, id: \\"x\\") { id } }", "variables": {"t": "%s"}}'
    headers = {"content-type": "application/json"}
    response = await sample.api.http.post("/graphql", content=body % surrogate, headers=headers)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    response = await sample.api.http.get("/events/history?aggregateId=%ED%A0%80")
    assert response.status_code == 200
    assert response.json()["events"] == []


async def test_what_looks_like_an_operator_is_stored_and_returned_unchanged(
    settings: Settings, log: Log, client: Client, ingesting: None
) -> None:
    texts = [text for text in TEXTS if len(text) < 1024]
    fields = ("messageId", "aggregateType", "aggregateId", "userId", "correlationId", "causationId")
    async with running_api(settings) as api:
        for n, text in enumerate(texts):
            given = {name: f"{text}{n}" if name == "messageId" else text for name in fields}
            data = {"text": text, text.replace("\0", "-"): {"$gt": [text, {"$where": text}]}}
            written = {**given, "type": "shop.opened", "data": data, "metadata": {"$set": text}}
            query = "mutation ($input: PublishEventInput!) { publishEvent(input: $input) { messageId } }"
            await api.ask(query, input=written)
            asked = " ".join(fields[1:])
            query = f"query ($id: ID!) {{ event(id: $id) {{ messageId: id {asked} data metadata }} }}"
            found = (await api.ask(query, id=given["messageId"]))["event"]
            assert found == {**given, "data": data, "metadata": {"$set": text}}
            for name in fields[2:]:
                query = "query ($f: EventFilter) { events(filter: $f) { nodes { id } } }"
                nodes = (await api.ask(query, f={name: text}))["events"]["nodes"]
                assert nodes == [{"id": given["messageId"]}]
