"""The scalars: times, 64-bit integers and JSON. Invalid input is refused before anything runs."""

from collections.abc import Mapping
from typing import Any, Final, NewType

import strawberry
from graphql import (
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    value_from_ast_untyped,
)
from strawberry.types.scalar import ScalarDefinition

from eventscope.errors import BadInput
from eventscope.store.values import json_text, json_walk, moment

Moment = NewType("Moment", int)
BigInt = NewType("BigInt", int)
JSON = NewType("JSON", object)


def _parse_moment(value: object) -> Moment:
    if not isinstance(value, str):
        raise BadInput(f"{str(value)[:40]} is not a time like 2026-11-23T07:00:00Z")
    try:
        return Moment(moment.from_argument(value))
    except ValueError as error:
        raise BadInput(str(error)) from None


def _parse_big_int(value: object) -> BigInt:
    digits = isinstance(value, str) and value.removeprefix("-").isascii() and value.removeprefix("-").isdigit()
    if digits and len(str(value)) <= 20:
        value = int(str(value))
    if not isinstance(value, int) or isinstance(value, bool) or value not in json_text.INT64:
        raise BadInput(f"{str(value)[:40]} is not a 64-bit integer")
    return BigInt(value)


def _parse_json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> object:
    """The value of a literal; BadInput for a number that would be changed."""
    check_numbers(node, "")
    return _value(node, variables)


def _value(node: ValueNode, variables: dict[str, Any] | None) -> object:
    """The value; BadInput if a variable within a list or an object has no value."""
    match node:
        case ListValueNode(values=nodes):
            return [_member(one, variables) for one in nodes]
        case ObjectValueNode(fields=fields):
            return {field.name.value: _member(field.value, variables) for field in fields}
        case _:
            return value_from_ast_untyped(node, variables)


def _member(node: ValueNode, variables: dict[str, Any] | None) -> object:
    value = _value(node, variables)
    # validation calls this without variables
    if value is Undefined and variables is not None and isinstance(node, VariableNode):
        raise BadInput(f"the variable ${node.name.value} within JSON has no value; pass one, or null")
    return value


def _refuse(fault: json_text.Fault | None) -> None:
    if fault is not None:
        raise BadInput(str(fault))


def check_numbers(node: ValueNode, path: str) -> None:
    """BadInput for a number in a literal that would be changed; `path` leads to the literal."""
    match node:
        case FloatValueNode(value=text):
            _refuse(json_text.number_fault(text, path))
        case IntValueNode(value=text):
            _refuse(json_text.integer_fault(text, path))
        case ListValueNode(values=nodes):
            for at, one in enumerate(nodes):
                check_numbers(one, json_walk.step(path, at))
        case ObjectValueNode(fields=fields):
            for field in fields:
                check_numbers(field.value, json_walk.step(path, field.name.value))


SCALARS: Final[Mapping[object, ScalarDefinition]] = {
    Moment: strawberry.scalar(
        name="DateTime",
        description="A time in ISO 8601, returned in UTC with up to six decimals: "
        "2026-11-23T07:00:00.250000Z. An input without a time zone is in UTC. A date alone, "
        "2026-11-23, is the start of that day in UTC, or its end in `toTimestamp`.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=moment.to_text,
        parse_value=_parse_moment,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A 64-bit integer, written as a number. Input may also be a string of digits.",
        serialize=int,
        parse_value=_parse_big_int,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value, exactly as published.",
        parse_value=lambda value: value,
        parse_literal=_parse_json_literal,
    ),
}
