"""How many entries an operation may read at most: the sizes of its lists, multiplied where a list is within a list.

This is computed before anything is read, from the requested sizes and not from what exists, and as if everything under
`@include` and `@skip` were included. What depends on the document alone is computed once; sizes in variables are filled
in for each request.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
)

from eventscope.resolvers.page import DEFAULT, MOST
from eventscope.schema.limits.extent import in_order
from eventscope.schema.limits.inputs import InputTypes, input_types

SIZES = ("first", "last", "ids")


@dataclass(frozen=True, slots=True)
class Size:
    """The requested size of a list: the first of these numbers and variables that has a value, else the default.

    A variable may hold a list of ids, whose length is the size.
    """

    candidates: tuple[int | str, ...]

    def of(self, variables: Mapping[str, object]) -> int:
        """The size. If a page does not allow it, it is refused elsewhere, with a better message."""
        for one in self.candidates:
            value = variables.get(one) if isinstance(one, str) else one
            if isinstance(value, list):
                return min(len(value), MOST)
            if isinstance(value, int):
                return min(max(value, 0), MOST)
        return DEFAULT


@dataclass(frozen=True, slots=True)
class Cost:
    """A fixed number of entries, and the lists whose sizes are in variables, each with the cost of one entry."""

    own: int = 0
    lists: tuple[tuple[Size, "Cost"], ...] = ()

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.own + other.own, self.lists + other.lists)

    def of(self, variables: Mapping[str, object]) -> int:
        """The number of entries with these variables."""
        return self.own + sum(size.of(variables) * each.of(variables) for size, each in self.lists)


FREE = Cost()
ENTRY = Cost(1)


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of one operation, the defaults of its variables, and the types of its input objects."""

    cost: Cost
    defaults: Mapping[str, int]
    input_types: InputTypes

    def of(self, variables: Mapping[str, object] | None) -> int:
        """How many entries a request with these variables may read."""
        return self.cost.of({**self.defaults, **(variables or {})})


def bills(schema: GraphQLSchema, document: DocumentNode) -> Mapping[str | None, Bill]:
    """What each operation of a valid document costs, by its name; linear in the size of the document."""
    fragments: dict[str, Cost] = {}
    for fragment in in_order(document):
        type = schema.type_map.get(fragment.type_condition.name.value)
        fragments[fragment.name.value] = _of(schema, fragment.selection_set, type, fragments)
    return {
        None if part.name is None else part.name.value: Bill(
            _of(schema, part.selection_set, schema.get_root_type(part.operation), fragments),
            _defaults(part),
            input_types(schema, part),
        )
        for part in document.definitions
        if isinstance(part, OperationDefinitionNode)
    }


def _of(
    schema: GraphQLSchema,
    selections: SelectionSetNode,
    type: GraphQLNamedType | None,
    fragments: Mapping[str, Cost],
) -> Cost:
    total = FREE
    for part in selections.selections:
        if isinstance(part, FieldNode):
            total += _field(schema, part, type, fragments)
        elif isinstance(part, InlineFragmentNode):
            on = part.type_condition
            total += _of(schema, part.selection_set, schema.type_map.get(on.name.value) if on else type, fragments)
        elif isinstance(part, FragmentSpreadNode):
            total += fragments.get(part.name.value, FREE)
    return total


def _field(
    schema: GraphQLSchema, node: FieldNode, parent: GraphQLNamedType | None, fragments: Mapping[str, Cost]
) -> Cost:
    field = parent.fields.get(node.name.value) if isinstance(parent, GraphQLObjectType) else None
    if field is None or node.selection_set is None:
        return FREE  # a leaf, or introspection
    type = get_named_type(field.type)
    inner = _of(schema, node.selection_set, type, fragments)
    if type.name.endswith("Connection") or (type.name == "Node" and node.name.value == "nodes"):
        return _list(_size(node), ENTRY + inner)
    return ENTRY + inner if _is_looked_up(schema, parent, type) else inner


def _list(size: Size, each: Cost) -> Cost:
    if each.lists or any(isinstance(one, str) for one in size.candidates):
        return Cost(0, ((size, each),))
    return Cost(size.of({}) * each.own)


def _size(node: FieldNode) -> Size:
    arguments: dict[str, ValueNode] = {argument.name.value: argument.value for argument in node.arguments or ()}
    values = [arguments[name] for name in SIZES if name in arguments]
    return Size(tuple(one for value in values if (one := _number(value)) is not None))


def _number(value: ValueNode) -> int | str | None:
    match value:
        case VariableNode():
            return value.name.value
        case IntValueNode():
            # a number with more digits is no valid size: validation refuses it
            return int(value.value) if len(value.value) < 12 else MOST
        case ListValueNode():
            return min(len(value.values), MOST)
        case _:
            return None


def _is_looked_up(schema: GraphQLSchema, parent: GraphQLNamedType | None, type: GraphQLNamedType) -> bool:
    """Whether the field leads from one entry to another, such as from an event to its cause."""
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    within = parent is not None and parent.name.endswith(("Connection", "Edge"))
    return is_composite_type(type) and parent not in roots and not within


def _defaults(operation: OperationDefinitionNode) -> dict[str, int]:
    defaults = {part.variable.name.value: part.default_value for part in operation.variable_definitions or ()}
    return {
        name: int(value.value)
        for name, value in defaults.items()
        if isinstance(value, IntValueNode) and len(value.value) < 12
    }
