"""Objects in the variables of an operation, counted before they are read: reading one costs as much as its type has
fields, and nothing can end it in the middle. No I/O."""

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

Types: TypeAlias = Mapping[str, GraphQLInputType]


def types(schema: GraphQLSchema, operation: OperationDefinitionNode) -> Types:
    """The types of those variables, by name, that may hold objects with fields of their own."""
    found: dict[str, GraphQLInputType] = {}
    for part in operation.variable_definitions or ():
        type = type_from_ast(schema, part.type)
        if is_input_type(type) and isinstance(get_named_type(type), GraphQLInputObjectType):
            found[part.variable.name.value] = type
    return found


def has_too_many(known: Types, variables: Mapping[str, Any]) -> bool:
    """Whether there are more of them than are read; what is JSON, and of any size, does not count."""
    waiting = [(variables[name], type) for name, type in known.items() if name in variables]
    count = 0
    while waiting and count <= MOST:
        value, type = waiting.pop()
        if isinstance(type, GraphQLNonNull):
            type = type.of_type
        if isinstance(type, GraphQLList) and isinstance(value, list):
            if isinstance(get_named_type(type), GraphQLInputObjectType):
                # those that lie there are at least as many, so no more of them need a look
                waiting.extend((one, type.of_type) for one in value[: MOST + 1])
        elif isinstance(type, GraphQLList):
            waiting.append((value, type.of_type))
        elif isinstance(type, GraphQLInputObjectType):
            count += 1
            if isinstance(value, dict):
                waiting.extend((value[name], part.type) for name, part in type.fields.items() if name in value)
    return count > MOST
