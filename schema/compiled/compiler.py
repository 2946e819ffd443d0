"""Writes one Python function per selection, which turns what a resolver returned into the data of the answer.

graphql-core completes every field of every object on its own, at three microseconds a field. For a tree of plain fields
the function does the same with nested loops and dictionary literals. It is optimistic: it raises at anything unusual
(a null where none may be, a value of another type, an awaitable, an exception), and graphql-core then completes the
same value instead, so errors, their paths and their order are graphql-core's own. Reading plain fields has no side
effects, so reading them twice is harmless.

Generated code holds names of the schema and literals of response keys, and no other text from a client.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, Protocol, cast

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    Undefined,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetailsList, GroupedFieldSet

from eventscope.resolvers import cursor
from eventscope.resolvers.page import Page
from eventscope.schema import ids, sources
from eventscope.schema.compiled.definitions import origin, plain_field, source_class
from eventscope.schema.compiled.fallbacks import Unusual
from eventscope.schema.types import connection, event
from eventscope.store.values import moment
from eventscope.store.values.documents import INTEGERS

MOST_LINES: Final = 10_000  # for one function; compiling a longer one costs more than it saves
JSON_TYPES: Final = frozenset({dict, list, str, int, float, bool})
# tests for values that the type's own serializer would return unchanged
UNCHANGED: Final[Mapping[str, str]] = {
    "String": "type({v}) is str",
    "ID": "type({v}) is str",
    "Boolean": "type({v}) is bool",
    "Int": "type({v}) is int and -2147483648 <= {v} <= 2147483647",
    "Float": "type({v}) is float and {v} - {v} == 0.0",
    "BigInt": "type({v}) in INTEGERS",
    "JSON": "type({v}) in JSON_TYPES",
}

Completed = dict[str, Any]
Complete = Callable[[Any, Any], Any]
"""Completes a value; the second argument is the context of the operation."""


class NotCompilable(Exception):
    """A selection holds something that cannot be compiled, such as a field with a resolver of its own."""


class TooLarge(NotCompilable):
    """The function for a selection would be too long, or nested deeper than Python allows."""


class Collector(Protocol):
    """Merges the selections of fields: the executor, by graphql-core's own rules."""

    def collect_subfields(
        self, return_type: GraphQLObjectType, field_details_list: FieldDetailsList, /
    ) -> CollectedFields:
        """The selected fields of the type."""
        ...


@dataclass(frozen=True, slots=True)
class CompiledFields:
    """The compiled fields of an object: the function returns all fields in order, with None for those in `rest`."""

    complete: Callable[[Any, Any], Completed]
    rest: tuple[str, ...]


@dataclass(slots=True)
class Compiler:
    """Writes one function."""

    collector: Collector
    lines: list[str] = field(default_factory=list)
    last: int = 0
    has_cursors: bool = False
    names: dict[str, Any] = field(
        default_factory=lambda: {
            "Unusual": Unusual,
            "INTEGERS": INTEGERS,
            "JSON_TYPES": JSON_TYPES,
            "Page": Page,
            "convert": convert,
            "EventCursors": cursor.EventCursors,
            "moment_text": moment.to_text,
        }
    )

    def value(self, type: GraphQLOutputType, details: FieldDetailsList) -> Complete:
        """The function that completes values of the type; NotCompilable when plain fields are not enough."""
        return self._function(self._value(type, details, "v", 1))

    def fields(self, type: GraphQLObjectType, fields: GroupedFieldSet) -> CompiledFields:
        """The function for the plain fields of an object; NotCompilable when there are none."""
        pairs, rest = [], []
        self._check_source(type, "v", 1)
        for key, details in fields.items():
            start = len(self.lines)
            try:
                expression = self._field(type, details, "v", {}, 1)
            except NotCompilable:
                del self.lines[start:]
                rest.append(key)
                expression = "None"
            pairs.append(f"{key!r}: {expression}")
        if len(rest) == len(pairs):
            raise NotCompilable
        return CompiledFields(self._function("{" + ", ".join(pairs) + "}"), tuple(rest))

    def _function(self, result: str) -> Complete:
        if len(self.lines) > MOST_LINES:
            raise TooLarge
        try:
            exec(compile(self._source(result), "<compiled selection>", "exec"), self.names)
        except (SyntaxError, RecursionError, MemoryError):  # nested deeper than Python allows
            raise TooLarge from None
        return cast("Complete", self.names["complete"])

    def _source(self, result: str) -> str:
        once = ["    suffix = context.suffix"] if self.has_cursors else []
        return "\n".join(["def complete(v, context):", *once, *self.lines, f"    return {result}"])

    def _value(self, type: GraphQLOutputType, details: FieldDetailsList, v: str, depth: int) -> str:
        """Write what completes the value in `v`; returns the expression for the result."""
        required = isinstance(type, GraphQLNonNull)
        inner = type.of_type if isinstance(type, GraphQLNonNull) else type
        if isinstance(inner, GraphQLScalarType | GraphQLEnumType):
            return self._leaf(inner, v, depth, required=required)
        if required:
            self._write(depth, f"if {v} is None: raise Unusual")
            return self._tree(inner, details, v, depth)
        result = self._name()
        self._write(depth, f"{result} = None")
        self._write(depth, f"if {v} is not None:")
        self._write(depth + 1, f"{result} = {self._tree(inner, details, v, depth + 1)}")
        return result

    def _tree(self, type: GraphQLOutputType, details: FieldDetailsList, v: str, depth: int) -> str:
        if isinstance(type, GraphQLList):
            return self._list(type.of_type, details, v, depth)
        if isinstance(type, GraphQLObjectType):
            self._check_source(type, v, depth)
            return self._object(type, details, v, {}, depth)
        raise NotCompilable  # an interface or a union: only the value itself has the type

    def _leaf(self, type: GraphQLScalarType | GraphQLEnumType, v: str, depth: int, *, required: bool) -> str:
        serialize = self._constant(type.coerce_output_value)
        present = "" if required else f"{v} is not None and "
        if type.name == "DateTime":
            self._write(depth, f"if type({v}) in INTEGERS: {v} = moment_text({v})")
            self._write(depth, f"elif {present}True: {v} = convert({serialize}, {v})")
        elif type.name in UNCHANGED:
            unchanged = UNCHANGED[type.name].format(v=v)
            self._write(depth, f"if {present}not ({unchanged}): {v} = convert({serialize}, {v})")
        else:
            self._write(depth, f"if {present}True: {v} = convert({serialize}, {v})")
        return v

    def _list(self, type: GraphQLOutputType, details: FieldDetailsList, v: str, depth: int) -> str:
        result, append, item = self._name(), self._name(), self._name()
        self._write(depth, f"if type({v}) is not list and type({v}) is not tuple: raise Unusual")
        self._write(depth, f"{result} = []; {append} = {result}.append")
        self._write(depth, f"for {item} in {v}:")
        self._write(depth + 1, f"{append}({self._value(type, details, item, depth + 1)})")
        return result

    def _object(
        self, type: GraphQLObjectType, details: FieldDetailsList, v: str, expressions: Mapping[str, str], depth: int
    ) -> str:
        """Write what completes an object; `expressions` are those of fields that need not be read from `v`."""
        fields, deferred, _ = self.collector.collect_subfields(type, details)
        if deferred:
            raise NotCompilable
        pairs = [f"{key!r}: {self._field(type, details, v, expressions, depth)}" for key, details in fields.items()]
        return "{" + ", ".join(pairs) + "}"

    def _field(
        self, type: GraphQLObjectType, details: FieldDetailsList, v: str, expressions: Mapping[str, str], depth: int
    ) -> str:
        if any(one.fragment_variable_values or one.defer_usage for one in details):
            raise NotCompilable
        name = details[0].node.name.value
        if name == "__typename":
            return repr(type.name)
        core_field = type.fields.get(name)
        if core_field is not None and name == "cursor" and origin(type) is event.Event:
            self.has_cursors = True
            return _event_cursor(v, "suffix")
        plain = None if core_field is None else plain_field(core_field)
        if core_field is None or plain is None:
            raise NotCompilable
        if plain.python_name == "edges" and origin(type) is connection.Connection:
            return self._edges(core_field.type, details, v, depth)
        if plain.python_name in expressions and plain.python_name == "cursor":
            return expressions["cursor"]
        value = self._name()
        required = isinstance(core_field.type, GraphQLNonNull)
        read = expressions.get(plain.python_name) or self._read(type, plain.python_name, v, required=required)
        self._write(depth, f"{value} = {read}")
        return self._value(core_field.type, details, value, depth)

    def _edges(self, type: GraphQLOutputType, details: FieldDetailsList, v: str, depth: int) -> str:
        """Write edges straight from the nodes of a page, without an object for each."""
        edge = _unwrapped(type)
        result, append, node, cursor, end = (self._name() for _ in range(5))
        self._write(depth, f"if type({v}) is not Page: raise Unusual")
        self._write(depth, f"{result} = []; {append} = {result}.append; {cursor} = {v}.cursor")
        cursor_of_node = f"{cursor}({node})"
        if origin(_unwrapped(edge.fields["node"].type)) is event.Event:
            self._write(depth, f"{end} = {cursor}.suffix if type({cursor}) is EventCursors else None")
            cursor_of_node = f"({_event_cursor(node, end)} if {end} is not None else {cursor_of_node})"
        self._write(depth, f"for {node} in {v}.nodes:")
        expressions = {"cursor": cursor_of_node, "node": node}
        self._write(depth + 1, f"{append}({self._object(edge, details, '', expressions, depth + 1)})")
        return result

    def _check_source(self, type: GraphQLObjectType, v: str, depth: int) -> None:
        source = source_class(type)
        if source is None and type.is_type_of is not None:
            raise NotCompilable
        # `sources.read` treats every dictionary as an event, and so must this code
        unlike = "is dict" if source is None else f"is not {self._constant(source)}"
        self._write(depth, f"if type({v}) {unlike}: raise Unusual")

    def _read(self, type: GraphQLObjectType, name: str, v: str, *, required: bool) -> str:
        if not v:  # an edge that has more than a cursor and a node
            raise NotCompilable
        source = source_class(type)
        reader = None if source is None else sources.READERS.get(source, {}).get(name)
        if reader is None:
            key = repr(sources.KEYS.get(name, name))
            if source is dict:
                return f"{v}[{key}]" if required else f"{v}.get({key})"
            return f"{v}.{name}"
        if isinstance(reader, itemgetter):
            key = next(iter(reader.__reduce__()[1]))
            return f"{v}[{key!r}]"
        call = f"{self._constant(reader)}({v})"
        if reader is not ids.of_event:
            return call
        # most message ids have no colon and need no prefix: checked inline, since a page may have a thousand
        id = self._name()
        return f'({call} if ":" in ({id} := {v}["messageId"]) else {id})'

    def _write(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def _name(self) -> str:
        self.last += 1
        return f"n{self.last}"

    def _constant(self, value: object) -> str:
        name = self._name()
        self.names[name] = value
        return name


def convert(serialize: Callable[[Any], Any], value: Any) -> Any:
    """The value as its type serializes it; Unusual if it is not a value, or if the type returns none."""
    if value is None or value is Undefined or isinstance(value, Exception) or hasattr(value, "__await__"):
        raise Unusual
    result = serialize(value)
    if result is None or result is Undefined:
        raise Unusual
    return result


def _event_cursor(event: str, suffix: str) -> str:
    """`cursor.of_event` inline, since a page may have a thousand events."""
    return f"f\"e{{{event}['_id']:x}}{{{suffix}}}\""


def _unwrapped(type: GraphQLOutputType) -> GraphQLObjectType:
    while isinstance(type, GraphQLNonNull | GraphQLList):
        type = type.of_type
    if not isinstance(type, GraphQLObjectType):
        raise NotCompilable
    return type
