"""What a client writes in a document is kept as it was written, or refused with its place."""

from typing import Any

import pytest
from graphql import parse

from eventscope.errors import BadInput
from eventscope.schema.build import build
from eventscope.schema.types.scalars import JSON, SCALARS

PUBLISH = 'mutation({}) {{ publishEvent(input: {{type: "a.b", data: {{a: {{b: $v}}}}}}) {{ position }} }}'


@pytest.mark.parametrize(
    "variable",
    [
        *("$v: Float = 123456789012345.6789", "$v: Float = 9007199254740993", "$v: JSON = {a: [1e999]}"),
        *("$v: DateTime", "$v: BigInt", "$v: Interval", "$v: [DateTime!]", "$v: EventFilter"),
    ],
)
def test_a_value_that_would_be_changed_is_refused(variable: str) -> None:
    [problem] = build().documents.of(PUBLISH.format(variable)).problems
    assert "would be changed" in problem.message or "beyond" in problem.message or "within JSON" in problem.message


@pytest.mark.parametrize(
    "variable",
    [
        "$v: Float = 0.1",
        "$v: Float = 3",
        "$v: Int = 3",
        "$v: ID = 3",
        "$v: String",
        "$v: [JSON]",
        "$v: JSON = {a: 1.5}",
    ],
)
def test_a_value_that_is_kept_exactly_is_accepted(variable: str) -> None:
    assert build().documents.of(PUBLISH.format(variable)).problems == ()


@pytest.mark.parametrize("literal", ["{a: $v, b: 1}", "[1, $v]", "{a: [1, {c: $v}]}"])
@pytest.mark.parametrize("variables", [{}, {"w": 1}])
def test_a_missing_variable_is_named(literal: str, variables: dict[str, Any]) -> None:
    node: Any = parse(f"{{ f(a: {literal}) }}").definitions[0]
    read: Any = SCALARS[JSON].parse_literal
    with pytest.raises(BadInput, match=r"\$v within JSON has no value"):
        read(node.selection_set.selections[0].arguments[0].value, variables)
