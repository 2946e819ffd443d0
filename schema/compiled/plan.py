"""What of a query can be found out before it is asked again: its variables, and the one question at its root.

Everything here is graphql-core's and Strawberry's own result, reached once and kept, or reached without the steps that
always come out the same. What cannot be planned is left to them.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias, cast

from graphql import (
    ArgumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    Visitor,
    get_named_type,
    is_leaf_type,
    visit,
)
from graphql.execution.collect_fields import FieldDetailsList, FragmentDetails, collect_fields
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import (
    VariableValues,
    VariableValueSource,
    coerce_argument,
    get_variable_values,
    input_is_nested_too_deeply,
)
from graphql.pyutils import Path
from graphql.utilities.coerce_input_value import coerce_input_value
from strawberry import Schema
from strawberry.types.arguments import StrawberryArgument, _is_leaf_type, convert_argument
from strawberry.types.base import StrawberryOptional
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from eventscope.schema.compiled.compiler import Complete
from eventscope.schema.compiled.executor import CompiledExecutor

MOST_ERRORS: Final = 50  # of variables, as graphql-core has it
MOST_ROOTS: Final = 64  # of one operation
Resolver: TypeAlias = StrawberryResolver[Any]
NOTHING: Final = VariableValues({}, {})


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: `left_out` is what it means to give none, and None where that is an error."""

    signature: GraphQLVariableSignature
    is_leaf: bool
    left_out: VariableValues | None


def variables(schema: GraphQLSchema, operation: OperationDefinitionNode) -> tuple[Variable, ...]:
    """The variables of an operation of a valid document."""
    found = []
    for node in operation.variable_definitions or ():
        # validation has made sure that there is a type, and that it is one of input
        signature = cast("GraphQLVariableSignature", get_variable_signature(schema, node))
        left_out = get_variable_values(schema, [node], {}, MOST_ERRORS)
        is_leaf = is_leaf_type(get_named_type(signature.type))
        found.append(Variable(signature, is_leaf, None if isinstance(left_out, list) else left_out))
    return tuple(found)


def coerced(known: tuple[Variable, ...], given: Mapping[str, Any]) -> VariableValues | None:
    """The values of variables as graphql-core has them; None when one is wrong, which it can explain."""
    result = VariableValues({}, {})
    for variable in known:
        name, type = variable.signature.name, variable.signature.type
        value = given.get(name, Undefined)
        if value is Undefined:
            if variable.left_out is None:
                return None
            result.sources.update(variable.left_out.sources)
            result.coerced.update(variable.left_out.coerced)
            continue
        if not variable.is_leaf and input_is_nested_too_deeply(value, type):
            return None
        meant = coerce_input_value(value, type)
        if meant is Undefined:
            return None
        result.sources[name] = VariableValueSource(variable.signature, value)
        result.coerced[name] = meant
    return result


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of the question: what the resolver is given for it."""

    name: str
    definition: GraphQLArgument
    parameter: str
    asked: FieldNode
    node: ArgumentNode | None
    convert: Callable[[Any], Any] | None
    variable: str | None = None

    def fill(self, arguments: dict[str, Any], values: VariableValues) -> None:
        """Add the value, if there is one; GraphQLError when there must be and is not."""
        found: dict[str, Any] = {}
        if self.variable is not None and values.coerced.get(self.variable) is not None:
            found[self.name] = values.coerced[self.variable]
        else:
            coerce_argument(found, self.asked, self.name, self.definition, self.node, values, None)
        for value in found.values():
            arguments[self.parameter] = value if self.convert is None else self.convert(value)


class RawInfo:
    """What resolvers are told by graphql-core; what they seldom ask for is made when they do."""

    __slots__ = ("_whole", "context", "field_nodes", "fragments")

    def __init__(self, context: object, root: "Root", executor: Callable[[], CompiledExecutor]) -> None:
        self.context = context
        self.field_nodes = root.nodes
        self.fragments = root.fragments
        self._whole = partial(root.info, executor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole(), name)


@dataclass(slots=True)
class Root:
    """The one question at the root of a query. `complete` is the compiled function, as soon as there is one."""

    key: str
    details: FieldDetailsList
    nodes: list[FieldNode]
    fragments: dict[str, FragmentDefinitionNode]
    parent: GraphQLObjectType
    definition: GraphQLField
    known: StrawberryField
    resolver: Resolver
    fixed: dict[str, Any]
    arguments: tuple[Argument, ...]
    complete: Complete | None = None

    def filled(self, values: VariableValues) -> dict[str, Any]:
        """What the resolver is given with these variables; GraphQLError when they do not do."""
        arguments = dict(self.fixed)
        for argument in self.arguments:
            argument.fill(arguments, values)
        return arguments

    def resolve(self, info_class: Callable[..., object], raw: RawInfo, arguments: dict[str, Any]) -> Awaitable[Any]:
        """Ask the resolver, as Strawberry does."""
        if self.resolver.info_parameter is not None:
            arguments[self.resolver.info_parameter.name] = info_class(_raw_info=raw, _field=self.known)
        own = (None,) if self.resolver.self_parameter else ()
        answer: Awaitable[Any] = self.resolver(*own, **arguments)
        return answer

    def info(self, executor: Callable[[], CompiledExecutor]) -> GraphQLResolveInfo[Any]:
        """All that resolvers can be told."""
        path = Path(None, self.key, self.parent.name)
        return executor().build_resolve_info(self.definition, self.nodes, self.parent, path)


@dataclass(slots=True)
class Question:
    """A query of a document, and what is known of it: its root, by the variables that decide what is selected."""

    operation: OperationDefinitionNode
    variables: tuple[Variable, ...]
    conditions: tuple[str, ...]
    roots: dict[tuple[object, ...], Root | None] = field(default_factory=dict)

    def root(self, schema: Schema, fragments: dict[str, FragmentDetails], values: VariableValues) -> Root | None:
        """The question at the root, if it can be planned."""
        variant = tuple(values.coerced.get(name) for name in self.conditions)
        if variant not in self.roots:
            if len(self.roots) >= MOST_ROOTS:
                return None
            self.roots[variant] = None
            with suppress(Exception):  # what is wrong with an argument is for graphql-core to say
                self.roots[variant] = root(schema, self.operation, fragments, values)
        return self.roots[variant]


def root(
    schema: Schema, operation: OperationDefinitionNode, fragments: dict[str, FragmentDetails], values: VariableValues
) -> Root | None:
    """The question at the root, where it is a single one with an asynchronous resolver that stands for itself."""
    core = schema._schema
    parent = core.query_type
    assert parent is not None
    fields, deferred, _ = collect_fields(core, fragments, values, parent, operation)
    if len(fields) != 1 or deferred:
        return None
    [(key, details)] = fields.items()
    node = details[0].node
    definition = parent.fields.get(node.name.value)
    found = None if definition is None else definition.extensions.get("strawberry-definition")
    if definition is None or not isinstance(found, StrawberryField) or not _stands_for_itself(schema, found):
        return None
    given = {argument.name.value: argument for argument in node.arguments or ()}
    fixed: dict[str, Any] = {}
    left: list[Argument] = []
    for argument in found.arguments:
        name = schema.config.name_converter.from_argument(argument)
        convert = None if _is_leaf(argument.type, schema) else partial(_converted, schema, argument, name)
        value = given[name].value if name in given else None
        variable = value.name.value if isinstance(value, VariableNode) else None
        one = Argument(name, definition.args[name], str(argument.python_name), node, given.get(name), convert, variable)
        if one.node is None or not _has_variable(one.node):
            one.fill(fixed, NOTHING)
        else:
            left.append(one)
    return Root(
        key,
        details,
        [one.node for one in details],
        {name: one.definition for name, one in fragments.items()},
        parent,
        definition,
        found,
        cast("Resolver", found.base_resolver),
        fixed,
        tuple(left),
    )


def _stands_for_itself(schema: Schema, field: StrawberryField) -> bool:
    """Whether nothing but the resolver, which must be asynchronous, decides what the field is."""
    resolver = field.base_resolver
    return (
        resolver is not None
        and resolver.is_async
        and not field.extensions
        and resolver.parent_parameter is None
        and resolver.root_parameter is None
        and type(field).get_result is StrawberryField.get_result
        and not schema.exception_handlers
    )


def _is_leaf(type: object, schema: Schema) -> bool:
    inner = type.of_type if isinstance(type, StrawberryOptional) else type
    return _is_leaf_type(cast("Any", inner), schema.schema_converter.scalar_registry)


def _converted(schema: Schema, argument: StrawberryArgument, name: str, value: object) -> object:
    registry = schema.schema_converter.scalar_registry
    return convert_argument(value, argument.type, registry, schema.config, path=(name,))


def _has_variable(node: Node) -> bool:
    finder = _Variables()
    visit(node, finder)
    return finder.found


class _Variables(Visitor):
    found = False

    def enter_variable(self, *_: object) -> None:
        self.found = True
