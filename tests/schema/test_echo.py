"""Errors quote at most a part of what callers write, however long it is and wherever it stands."""

from typing import Any

import pytest

from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME = "n" * 90_000
DIGITS = "9" * 90_000
MOST = 3_000  # bytes of an answer

DOCUMENTS = (
    f"{{ events(first: {DIGITS}) {{ nodes {{ id }} }} }}",
    f"{{ events(first: {DIGITS}.5) {{ nodes {{ id }} }} }}",
    f'{{ events(first: "{NAME}") {{ nodes {{ id }} }} }}',
    f'{{ events(first: "{"a b. " * 20_000}") {{ nodes {{ id }} }} }}',
    f"{{ events(first: {NAME}) {{ nodes {{ id }} }} }}",
    f"{{ events(first: {{{NAME}: 1}}) {{ nodes {{ id }} }} }}",
    f"{{ events(first: [{DIGITS}]) {{ nodes {{ id }} }} }}",
    f"{{ events(order: {NAME}) {{ nodes {{ id }} }} }}",
    f"{{ events({NAME}: 1, {NAME}: 1) {{ nodes {{ id }} }} }}",
    f"{{ events(filter: {{{NAME}: 1, {NAME}: 1}}) {{ nodes {{ id }} }} }}",
    f"{{ {NAME} }}",
    f"{{ __typename @{NAME} }}",
    f"{{ __typename @skip({NAME}: 1) }}",
    f"{{ ...{NAME} }}",
    f"{{ ... on {NAME} {{ id }} }}",
    f"{{ __typename }} fragment {NAME} on Query {{ __typename }}",
    f"{{ {NAME}: __typename {NAME}: log {{ head }} }}",
    f"query (${NAME}: Int) {{ __typename }}",
    f"query ($v: {NAME}) {{ __typename }}",
    f"query ($v: Int = {DIGITS}) {{ events(first: $v) {{ nodes {{ id }} }} }}",
    f"{{ events(first: ${NAME}) {{ nodes {{ id }} }} }}",
    f"{NAME} {{ }}",
    f'{{ a "{NAME}" }}',
    f'{{ a """{NAME}""" }}',
)
VARIABLES: tuple[tuple[str, Any], ...] = (
    ("query ($v: Order!) { events(order: $v) { nodes { id } } }", NAME),
    ("query ($v: EventFilter) { events(filter: $v) { nodes { id } } }", {NAME: 1}),
    ("query ($v: EventFilter) { events(filter: $v) { nodes { id } } }", {"data": [{NAME: 1}]}),
    ("query ($v: Int) { events(first: $v) { nodes { id } } }", 10**3_999),
    ("query ($v: Int) { events(first: $v) { nodes { id } } }", [NAME]),
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
async def test_a_long_token_is_not_repeated_whole(sample: SampleApi, document: str) -> None:
    await short(sample, {"query": document})


@pytest.mark.parametrize(("document", "value"), VARIABLES, ids=range(len(VARIABLES)))
async def test_a_long_value_is_not_repeated_whole(sample: SampleApi, document: str, value: Any) -> None:
    await short(sample, {"query": document, "variables": {"v": value}})


async def test_a_long_name_of_an_operation_is_not_repeated_whole(sample: SampleApi) -> None:
    await short(sample, {"query": "query a { __typename }", "operationName": NAME})


async def short(sample: SampleApi, body: dict[str, Any]) -> None:
    response = await sample.api.http.post("/graphql", json=body)
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert len(response.content) < MOST


@pytest.mark.parametrize("digits", [309, 700, 4_000])
@pytest.mark.parametrize(
    ("type", "question", "words"),
    [
        (
            "JSON",
            'events(filter: {data: [{path: "a", eq: $v}]}) { nodes { id } }',
            "`eq` has an integer that does not fit",
        ),
        ("Int", "events(first: $v) { nodes { id } }", "Variable '$v' has invalid value"),
        ("BigInt", "events(filter: {fromPosition: $v}) { nodes { id } }", "is not a 64-bit integer"),
    ],
)
async def test_a_very_long_integer_is_refused_as_such(
    sample: SampleApi, digits: int, type: str, question: str, words: str
) -> None:
    error = await sample.api.refusal(f"query ($v: {type}) {{ {question} }}", v=10**digits - 1)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert words in error["message"]
