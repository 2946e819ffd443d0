"""Writes what a subscription delivers as text, once for all equal subscriptions."""

import json
from collections import Counter
from collections.abc import Awaitable, Hashable
from typing import Any, Final

import orjson
from graphql import ExecutionResult, FieldNode, Node, VariableNode, Visitor, visit
from graphql.language import SKIP, VisitorAction
from strawberry import Schema

from eventscope.errors import to_client
from eventscope.schema.compiled.documents import Documents, PreparedDocument
from eventscope.schema.compiled.per_event import PerEvent
from eventscope.schema.context import Context, Services
from eventscope.schema.outlet import Outlet
from eventscope.schema.types.feed import delivery
from eventscope.store.values.documents import plain
from eventscope.subscriptions.live.history import Item
from eventscope.subscriptions.live.subscriber import Text

STARTS: Final = frozenset({"after", "from"})  # arguments that decide where a subscription starts, and nothing else


class Rendering:
    """Writes the deliveries of one subscription."""

    def __init__(self, schema: Schema, services: Services, prepared: PreparedDocument, outlet: Outlet) -> None:
        self._schema = schema
        self._services = services
        self._per_event = PerEvent(schema, prepared, outlet.variables, outlet.operation_name)
        self._context = Context(services)  # for compiled functions, which read nothing from the store

    def __call__(self, item: Item) -> Text:
        """The payload of the message that delivers it."""
        if isinstance(item, dict):
            data = self._per_event.complete(item, self._context)
            if data is not None:
                return _encode({"data": data})
        context = Context(self._services)  # a budget of its own: one event's reads are not charged to the next
        result = self._per_event.execute(delivery(item, self._services.log.identity.tag), context)
        return self._text(result) if isinstance(result, ExecutionResult) else self._awaited(result, context)

    async def _awaited(self, result: Awaitable[ExecutionResult], context: Context) -> str:
        try:
            return self._text(await result)
        finally:
            context.leave()

    def _text(self, result: ExecutionResult) -> str:
        payload: dict[str, Any] = {"data": result.data}
        if result.errors:
            self._schema.process_errors(result.errors)
            payload["errors"] = [error.formatted for error in result.errors]
        return _encode(payload)


def _encode(payload: dict[str, Any]) -> str:
    try:
        return orjson.dumps(payload, default=plain).decode()
    except TypeError as error:  # the log holds a value that JSON cannot express: the subscriber must be informed
        return orjson.dumps({"data": None, "errors": [to_client(error)]}).decode()


def prepared(schema: Schema, outlet: Outlet) -> PreparedDocument:
    """The document of the subscription."""
    documents: Documents = schema.documents  # type: ignore[attr-defined]  # it is of our own class, whose module imports this one
    return documents.of(outlet.query)


def key(prepared: PreparedDocument, outlet: Outlet) -> Hashable:
    """Equal for subscriptions that deliver the same; where each of them starts does not matter."""
    own = starts(prepared, outlet.operation_name)
    shared = {name: value for name, value in (outlet.variables or {}).items() if name not in own}
    return outlet.rights, outlet.query, outlet.operation_name, json.dumps(shared, sort_keys=True)


def starts(prepared: PreparedDocument, name: str | None) -> frozenset[str]:
    """The variables that decide where to start, and are used for nothing else."""
    operation = next(iter(prepared.operations.values())) if name is None else prepared.operations[name]
    everywhere = _VariableUses(operation, *prepared.fragments.values()).counts
    starting = Counter(
        argument.value.name.value
        for field in operation.selection_set.selections
        if isinstance(field, FieldNode)
        for argument in field.arguments or ()
        if argument.name.value in STARTS and isinstance(argument.value, VariableNode)
    )
    return frozenset(name for name, uses in starting.items() if everywhere[name] == uses)


class _VariableUses(Visitor):
    """Counts the uses of variables."""

    def __init__(self, *nodes: Node) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        for node in nodes:
            visit(node, self)

    def enter_variable_definition(self, *_: object) -> VisitorAction:
        return SKIP

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.counts[node.name.value] += 1
