"""Plans a query's variables and its one root field, so that less is left to do when it is requested again.

Everything here is graphql-core's and Strawberry's own result, computed once and kept, or computed without the steps
whose result is always the same. What cannot be planned is left to them.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar, cast

from graphql import (
    ArgumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLArgument,
    GraphQLError,
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
from eventscope.schema.compiled.fallbacks import TOO_MANY_VARIANTS, Fallbacks
from eventscope.schema.compiled.internals import graphql_schema

MOST_ERRORS: Final = 50  # errors in variables: graphql-core's own limit
MOST_ROOTS: Final = 64  # for one query
Resolver: TypeAlias = StrawberryResolver[Any]
NO_VARIABLES: Final = VariableValues({}, {})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. `default` is its value in a request without it; None if such a request is an error."""

    signature: GraphQLVariableSignature
    is_leaf: bool
    default: VariableValues | None


def variables(schema: GraphQLSchema, operation: OperationDefinitionNode) -> tuple[Variable, ...]:
    """The variables of an operation of a valid document."""
    result = []
    for node in operation.variable_definitions or ():
        # validation has ensured that it has a type, which is an input type
        signature = cast("GraphQLVariableSignature", get_variable_signature(schema, node))
        default = get_variable_values(schema, [node], {}, MOST_ERRORS)
        is_leaf = is_leaf_type(get_named_type(signature.type))
        result.append(Variable(signature, is_leaf, None if isinstance(default, list) else default))
    return tuple(result)


def coerce(variables: tuple[Variable, ...], request: Mapping[str, Any]) -> VariableValues | None:
    """The variables of a request as graphql-core coerces them; None when graphql-core would refuse one."""
    result = VariableValues({}, {})
    for variable in variables:
        name, type = variable.signature.name, variable.signature.type
        value = request.get(name, Undefined)
        if value is Undefined:
            if variable.default is None:
                return None
            result.sources.update(variable.default.sources)
            result.coerced.update(variable.default.coerced)
            continue
        if not variable.is_leaf and input_is_nested_too_deeply(value, type):
            return None
        coerced = coerce_input_value(value, type)
        if coerced is Undefined:
            return None
        result.sources[name] = VariableValueSource(variable.signature, value)
        result.coerced[name] = coerced
    return result


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of the root field, and how to compute what its resolver receives for it."""

    name: str
    definition: GraphQLArgument
    parameter: str
    field: FieldNode
    node: ArgumentNode | None
    convert: Callable[[Any], Any] | None
    variable: str | None = None

    def fill(self, arguments: dict[str, Any], values: VariableValues) -> None:
        """Add the value, if there is one; GraphQLError if one is required and missing."""
        coerced: dict[str, Any] = {}
        if self.variable is not None and values.coerced.get(self.variable) is not None:
            coerced[self.name] = values.coerced[self.variable]
        else:
            coerce_argument(coerced, self.field, self.name, self.definition, self.node, values, None)
        for value in coerced.values():
            arguments[self.parameter] = value if self.convert is None else self.convert(value)


class RawInfo:
    """What graphql-core passes to resolvers; rarely used parts are created on demand."""

    __slots__ = ("_whole", "context", "field_nodes", "fragments")

    def __init__(self, context: object, root: "RootField", executor: Callable[[], CompiledExecutor]) -> None:
        self.context = context
        self.field_nodes = root.nodes
        self.fragments = root.fragments
        self._whole = partial(root.info, executor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole(), name)


@dataclass(slots=True)
class RootField:
    """The one root field of a query. `complete` is the compiled function, as soon as there is one."""

    key: str
    details: FieldDetailsList
    nodes: list[FieldNode]
    fragments: dict[str, FragmentDefinitionNode]
    parent: GraphQLObjectType
    definition: GraphQLField
    strawberry_field: StrawberryField
    resolver: Resolver
    constants: dict[str, Any]
    """The arguments that depend on no variable."""
    arguments: tuple[Argument, ...]
    complete: Complete | None = None

    def resolver_arguments(self, values: VariableValues) -> dict[str, Any]:
        """The arguments of the resolver with these variables; raises what converting one of them raises."""
        arguments = dict(self.constants)
        for argument in self.arguments:
            argument.fill(arguments, values)
        return arguments

    def resolve(self, info_class: Callable[..., object], raw: RawInfo, arguments: dict[str, Any]) -> Awaitable[Any]:
        """Call the resolver, as Strawberry does."""
        if self.resolver.info_parameter is not None:
            arguments[self.resolver.info_parameter.name] = info_class(_raw_info=raw, _field=self.strawberry_field)
        own = (None,) if self.resolver.self_parameter else ()
        answer: Awaitable[Any] = self.resolver(*own, **arguments)
        return answer

    def info(self, executor: Callable[[], CompiledExecutor]) -> GraphQLResolveInfo[Any]:
        """Everything that graphql-core passes to resolvers."""
        path = Path(None, self.key, self.parent.name)
        return executor().build_resolve_info(self.definition, self.nodes, self.parent, path)


@dataclass(slots=True)
class PlannedQuery:
    """A query of a document, with one root field per set of values of the variables that decide what is selected."""

    operation: OperationDefinitionNode
    variables: tuple[Variable, ...]
    conditions: tuple[str, ...]
    fallbacks: Fallbacks
    roots: dict[tuple[object, ...], RootField | None] = field(default_factory=dict)

    def root(self, schema: Schema, fragments: dict[str, FragmentDetails], values: VariableValues) -> RootField | None:
        """The root field, if it can be planned."""
        variant = tuple(values.coerced.get(name) for name in self.conditions)
        if variant not in self.roots:
            if len(self.roots) >= MOST_ROOTS:
                self.fallbacks.report(TOO_MANY_VARIANTS)
                return None
            self.roots[variant] = self._guard(lambda: root(schema, self.operation, fragments, values))
        return self.roots[variant]

    def arguments(self, root: RootField, values: VariableValues) -> dict[str, Any] | None:
        """The arguments of its resolver; None if one of them is wrong, which graphql-core can explain."""
        return self._guard(lambda: root.resolver_arguments(values))

    def _guard(self, convert: Callable[[], T | None]) -> T | None:
        # Converting an argument may raise. Nothing has been resolved yet, and graphql-core converts it again when it
        # executes the query, raises the same and gives it a path.
        try:
            return convert()
        except GraphQLError:
            return None  # the request is wrong, and Eventscope did not fail
        except Exception as error:
            self.fallbacks.report(self.fallbacks.reason(error))
            return None


def root(
    schema: Schema, operation: OperationDefinitionNode, fragments: dict[str, FragmentDetails], values: VariableValues
) -> RootField | None:
    """The root field, if it is the only one and only its resolver, which must be asynchronous, decides its value."""
    core = graphql_schema(schema)
    parent = core.query_type
    assert parent is not None
    fields, deferred, _ = collect_fields(core, fragments, values, parent, operation)
    if len(fields) != 1 or deferred:
        return None
    [(key, details)] = fields.items()
    node = details[0].node
    definition = parent.fields.get(node.name.value)
    strawberry_field = None if definition is None else definition.extensions.get("strawberry-definition")
    if (
        definition is None
        or not isinstance(strawberry_field, StrawberryField)
        or not _has_only_a_resolver(schema, strawberry_field)
    ):
        return None
    nodes = {argument.name.value: argument for argument in node.arguments or ()}
    constants: dict[str, Any] = {}
    variable_arguments: list[Argument] = []
    for argument in strawberry_field.arguments:
        name = schema.config.name_converter.from_argument(argument)
        convert = None if _is_leaf(argument.type, schema) else partial(_convert, schema, argument, name)
        value = nodes[name].value if name in nodes else None
        variable = value.name.value if isinstance(value, VariableNode) else None
        one = Argument(name, definition.args[name], str(argument.python_name), node, nodes.get(name), convert, variable)
        if one.node is None or not _has_variable(one.node):
            one.fill(constants, NO_VARIABLES)
        else:
            variable_arguments.append(one)
    return RootField(
        key,
        details,
        [one.node for one in details],
        {name: one.definition for name, one in fragments.items()},
        parent,
        definition,
        strawberry_field,
        cast("Resolver", strawberry_field.base_resolver),
        constants,
        tuple(variable_arguments),
    )


def _has_only_a_resolver(schema: Schema, field: StrawberryField) -> bool:
    """Whether only the resolver, which must be asynchronous, decides the field's value."""
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


def _convert(schema: Schema, argument: StrawberryArgument, name: str, value: object) -> object:
    registry = schema.schema_converter.scalar_registry
    return convert_argument(value, argument.type, registry, schema.config, path=(name,))


def _has_variable(node: Node) -> bool:
    finder = _VariableFinder()
    visit(node, finder)
    return finder.has_variable


class _VariableFinder(Visitor):
    has_variable = False

    def enter_variable(self, *_: object) -> None:
        self.has_variable = True
