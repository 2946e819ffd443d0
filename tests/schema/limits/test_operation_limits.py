"""How large an operation may be: each limit at n and n + 1, before anything is executed, in every form of request."""

from typing import Any

import pytest

from eventscope.schema.limits.limits import Limits
from tests.support.clients.websocket import open_socket, subscribe
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEFAULT = Limits()


def nested(depth: int) -> str:
    """A query whose fields nest this deeply."""
    return '{ event(id: "x") ' + "{ cause " * (depth - 2) + "{ id }" + " }" * (depth - 2) + " }"


def rooted(n: int) -> str:
    """A query with this many fields at its root, most of them within fragments."""
    return "{ ...F __typename } fragment F on Query { ... on Query {" + " log { head }" * (n - 1) + " } }"


def fielded(n: int) -> str:
    """A query with this many fields, most of them in a fragment that is spread twice."""
    half, odd = divmod(n - 1, 2)
    return "{ log { ...F ...F" + " head" * odd + " } } fragment F on LogStatus {" + " head" * half + " }"


def aliased(n: int) -> str:
    """A query with this many aliases, most of them in a fragment that is spread twice."""
    half, odd = divmod(n, 2)
    names = " ".join(f"a{i}: head" for i in range(half))
    return "{ log { ...F ...F" + " b: head" * odd + " } } fragment F on LogStatus { " + names + " }"


def directed(n: int) -> str:
    """A query with this many directives, in all places where directives are allowed."""
    rest = " head @skip(if: false)" * (n - 3)
    return (
        "{ log { ...F @include(if: true) ... @include(if: true) {"
        + rest
        + " } } } fragment F on LogStatus { head @skip(if: false) }"
    )


def worded(n: int) -> str:
    """A query of this many tokens, most of them values."""
    ids = [f'"{i}"' for i in range(n - 2 * 20 + 2)]
    first, second = " ".join(ids[:980]), " ".join(ids[980:])
    lists = [f"{{ ids: [{some}] }}) {{ nodes {{ id }} }}" for some in (first, second)]
    return f"{{ a: events(filter: {lists[0]} events(filter: {lists[1]} }}"


LIMITS = {
    "depth": (nested, DEFAULT.depth, "nests fields {} deep; the limit is {}"),
    "root_fields": (rooted, DEFAULT.root_fields, "selects {} root fields; the limit is {}"),
    "fields": (fielded, DEFAULT.fields, "has {} fields with all fragments spread; the limit is {}"),
    "aliases": (aliased, DEFAULT.aliases, "has {} aliases with all fragments spread; the limit is {}"),
    "directives": (directed, DEFAULT.directives, "has {} directives with all fragments spread; the limit is {}"),
    "tokens": (worded, DEFAULT.tokens, "contains more than {1} tokens"),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_an_operation_at_a_limit_is_answered_and_one_over_it_gets_an_error_with_both_numbers(
    sample: SampleApi, name: str
) -> None:
    document, most, said = LIMITS[name]
    await sample.api.ask(document(most))
    error = await sample.api.refusal(document(most + 1))
    assert error["extensions"] == {"code": "QUERY_TOO_COMPLEX"}
    assert said.format(most + 1, most) in error["message"]


@pytest.mark.parametrize("name", LIMITS)
async def test_operations_over_websocket_have_the_same_limits(sample: SampleApi, name: str) -> None:
    document, most, _ = LIMITS[name]
    async with open_socket(sample.api.socket_url) as socket:
        await socket.say(subscribe("1", document(most)))
        assert (await socket.hear())["type"] == "next"
        assert (await socket.hear())["type"] == "complete"
        await socket.say(subscribe("1", document(most + 1)))
        message = await socket.hear()
        assert message["type"] == "error"
        assert [error["extensions"]["code"] for error in message["payload"]] == ["QUERY_TOO_COMPLEX"]


@pytest.mark.parametrize("name", ["aliases", "entries"])
async def test_subscriptions_have_the_same_limits(sample: SampleApi, name: str) -> None:
    inner = {
        "aliases": " ".join(f"a{n}: id" for n in range(31)),
        "entries": "aggregate { events(first: 1000) { nodes { effects(first: 10) { nodes { id } } } } }",
    }[name]
    async with open_socket(sample.api.socket_url) as socket:
        await socket.say(subscribe("1", f"subscription {{ events {{ ... on Event {{ {inner} }} }} }}"))
        message = await socket.hear()
        assert message["type"] == "error"
        assert [error["extensions"]["code"] for error in message["payload"]] == ["QUERY_TOO_COMPLEX"]


async def test_mutations_have_the_same_limits_and_nothing_is_published_over_one(sample: SampleApi) -> None:
    head = (await sample.api.ask("{ log { head } }"))["log"]["head"]
    many = " ".join(f'a{n}: publishEvent(input: {{ type: "a.b" }}) {{ messageId }}' for n in range(21))
    error = await sample.api.refusal(f"mutation {{ {many} }}")
    assert error["extensions"] == {"code": "QUERY_TOO_COMPLEX"}
    assert (await sample.api.ask("{ log { head } }"))["log"]["head"] == head


async def test_every_exceeded_limit_is_reported(sample: SampleApi) -> None:
    answer = await sample.api.answer("{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }")
    assert [error["extensions"] for error in answer["errors"]] == [{"code": "QUERY_TOO_COMPLEX"}] * 2
    assert ["root" in answer["errors"][0]["message"], "aliases" in answer["errors"][1]["message"]] == [True, True]
    assert "data" not in answer


async def test_only_operations_count_each_by_itself(sample: SampleApi) -> None:
    several = "query A { ...F } query B { ...F } query C { ...F } fragment F on Query {" + " __typename" * 20 + "}"
    response = await sample.api.http.post("/graphql", json={"query": several, "operationName": "B"})
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "variables",
    [
        {"n": 1000, "m": 9},
        {"n": 1000, "m": None},
        {"n": None, "m": 900},
        {"m": 1000},
        {"n": 909, "m": 10},
    ],
)
async def test_sizes_in_variables_count_with_their_values(sample: SampleApi, variables: dict[str, Any]) -> None:
    """The inner list has 3 entries by its variable's default, and 50, the default page size, where null is given."""
    query = """query ($n: Int = 10, $m: Int = 3) {
      events(first: $n) { nodes { effects(first: $m) { nodes { id } } } }
    }"""
    first, inner = (variables.get(name, default) for name, default in (("n", 10), ("m", 3)))
    outer = 50 if first is None else first
    asked = outer * (1 + (50 if inner is None else inner))
    answer = await sample.api.answer(query, **variables)
    if asked <= DEFAULT.entries:
        assert "errors" not in answer
    else:
        assert f"requests {asked} entries" in answer["errors"][0]["message"]
        assert "data" not in answer


async def test_a_page_that_is_too_large_is_reported_as_such_and_not_as_too_many_entries(sample: SampleApi) -> None:
    for size in (1001, 10_001, 2**31 - 1):
        error = await sample.api.refusal("query ($n: Int) { events(first: $n) { nodes { id } } }", n=size)
        assert error["extensions"]["code"] == "PAGE_TOO_LARGE"
        error = await sample.api.refusal(f"{{ events(last: {size}) {{ nodes {{ id }} }} }}")
        assert error["extensions"]["code"] == "PAGE_TOO_LARGE"


@pytest.mark.parametrize("depth", [128, 129, 400])
@pytest.mark.parametrize("kind", ["list", "object"])
async def test_variables_nest_128_deep_and_no_deeper(sample: SampleApi, depth: int, kind: str) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"not": value}
    # nothing uses the variable, so its content is valid if it can be parsed at all
    response = await sample.api.http.post("/graphql", json={"query": "{ log { head } }", "variables": {"x": value}})
    answer = response.json()
    if depth == 128:
        assert "errors" not in answer
    else:
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}
