"""Objects in variables: too many are refused before they are coerced, however they are nested."""

from typing import Any

import pytest
from graphql import parse

from eventscope.schema.build import build
from eventscope.schema.limits.inputs import MOST, has_too_many_objects, input_types

SCHEMA = build()._schema
FILTER = "query ($it: EventFilter) { events(filter: $it) { nodes { id } } }"
PUBLISH = "mutation ($it: [PublishEventInput!]!) { publishEvents(input: $it) { messageId } }"


def too_many(question: str, value: Any) -> bool:
    [operation] = parse(question).definitions
    return has_too_many_objects(input_types(SCHEMA, operation), {"it": value, "other": [{}] * 10 * MOST})  # type: ignore[arg-type]


def deep(levels: int, width: int) -> Any:
    """A filter of filters of filters."""
    return {"or": [deep(levels - 1, width) for _ in range(width)]} if levels else {}


@pytest.mark.parametrize(
    ("question", "value"),
    [
        (FILTER, {"and": [{}] * MOST}),
        (FILTER, {"or": [{}] * 80_000}),
        (FILTER, {"or": [None] * 80_000}),
        (FILTER, {"not": {"not": {"data": [{"path": "a"}] * MOST}}}),
        (FILTER, deep(9, 2)),
        (PUBLISH, [{"type": "a"}] * (MOST + 1)),
    ],
    ids=["and", "or", "nothing", "conditions", "deep", "events"],
)
def test_excessive_numbers_of_input_objects_are_refused(question: str, value: Any) -> None:
    assert too_many(question, value)


@pytest.mark.parametrize(
    ("question", "value"),
    [
        (FILTER, None),
        (FILTER, {"userIds": ["u"] * 10_000, "data": [{"path": "a", "eq": [{}] * 10_000}] * 100}),
        (FILTER, "no object"),
        (PUBLISH, {"type": "one alone is a list of one"}),
        (PUBLISH, [{"type": "a", "data": [{"a": {}}] * 10_000, "metadata": {"b": [{}] * 10_000}}] * 100),
    ],
    ids=["none", "json", "text", "one", "events"],
)
def test_json_and_values_other_than_objects_do_not_count(question: str, value: Any) -> None:
    assert not too_many(question, value)
