"""Counts the input objects in the variables of an operation before they are coerced. No I/O.

Coercing one takes as long as its type has fields, and cannot be interrupted.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from graphql import (
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
    is_input_type,
    type_from_ast,
)

MOST: Final = 500  # a filter has up to 100 conditions, and up to 100 events are published together

InputTypes: TypeAlias = Mapping[str, GraphQLInputType]


def input_types(schema: GraphQLSchema, operation: OperationDefinitionNode) -> InputTypes:
    """By name, the types of the variables that may hold input objects."""
    types: dict[str, GraphQLInputType] = {}
    for part in operation.variable_definitions or ():
        type = type_from_ast(schema, part.type)
        if is_input_type(type) and isinstance(get_named_type(type), GraphQLInputObjectType):
            types[part.variable.name.value] = type
    return types


def has_too_many_objects(types: InputTypes, variables: Mapping[str, Any]) -> bool:
    """Whether the variables hold more input objects than are coerced. JSON values do not count, whatever their size."""
    waiting = [(variables[name], type) for name, type in types.items() if name in variables]
    count = 0
    while waiting and count <= MOST:
        value, type = waiting.pop()
        if isinstance(type, GraphQLNonNull):
            type = type.of_type
        if isinstance(type, GraphQLList) and isinstance(value, list):
            if isinstance(get_named_type(type), GraphQLInputObjectType):
                # each of them holds at least one input object, so more need not be looked at
                waiting.extend((one, type.of_type) for one in value[: MOST + 1])
        elif isinstance(type, GraphQLList):
            waiting.append((value, type.of_type))
        elif isinstance(type, GraphQLInputObjectType):
            count += 1
            if isinstance(value, dict):
                waiting.extend((value[name], part.type) for name, part in type.fields.items() if name in value)
    return count > MOST
