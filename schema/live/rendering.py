"""Writes out what a subscription delivers: executed once, as text, for all who asked the same.

What is executed and how is as graphql-core does it for each event, with the same errors. Left out is only what comes
out the same each time: the root fields are collected once, and where all that is selected of an event is plain, the
function that was compiled for it completes the next events without an execution around it.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Hashable
from contextlib import suppress
from typing import Any, Final, cast

import orjson
from graphql import (
    ExecutionResult,
    FieldNode,
    GraphQLError,
    Node,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import collect_fields
from graphql.execution.executor import Executor
from graphql.language import SKIP, VisitorAction
from strawberry import Schema
from strawberry.execution import optimized_is_awaitable

from eventscope.errors import to_client
from eventscope.schema.compiled.compiler import Complete
from eventscope.schema.compiled.documents import Documents, Prepared
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.context import Context, Services
from eventscope.schema.outlet import Outlet
from eventscope.schema.types.feed import delivery
from eventscope.store.values.documents import plain
from eventscope.subscriptions.live.history import Item
from eventscope.subscriptions.live.subscriber import Text

STARTS: Final = frozenset(
    {"after", "from"}
)  # arguments that say where a subscriber begins, and nothing of what it gets


class Rendering:
    """Writes out the deliveries of one subscription."""

    def __init__(self, schema: Schema, services: Services, prepared: Prepared, outlet: Outlet) -> None:
        core = schema._schema
        executor = schema.execution_context_class.build(
            core,
            prepared.document,
            raw_variable_values=outlet.variables,
            operation_name=outlet.operation_name,
            is_awaitable=cast("Any", optimized_is_awaitable),  # which is typed as telling less than it does
        )
        # the subscription runs: all that could be wrong with its document or its variables was looked at
        assert isinstance(executor, Executor)
        assert core.subscription_type is not None
        self._executor: Executor[None] = executor
        self._schema = schema
        self._services = services
        self._type = core.subscription_type
        self._fields, self._deferred, _ = collect_fields(
            core, executor.fragments, executor.variable_values, self._type, executor.operation
        )
        self._root = next(iter(self._fields))  # a subscription has one root field
        self._complete_event: Complete | None = None
        self._context = Context(services)

    def __call__(self, item: Item) -> Text:
        """The payload of the message that delivers it."""
        is_event = isinstance(item, dict)
        if is_event and self._complete_event is not None:
            with suppress(Exception):  # graphql-core says what is wrong, below
                return _dumped({"data": {self._root: self._complete_event(item, self._context)}})
        executor = self._executor.build_per_event_executor(delivery(item, self._services.log.identity.tag))
        executor.context_value = Context(self._services)  # what one event asks for is not counted against the next
        try:
            data: Any = executor.execute_collected_root_fields(
                self._type, executor.root_value, self._fields, False, self._deferred
            )
        except Exception as error:
            return self._failed(executor, error)
        if executor.is_awaitable(data):
            return self._awaited(executor, data)
        if is_event and isinstance(executor, CompiledExecutor):
            self._complete_event = executor.complete_object
        return self._text(executor, data)

    async def _awaited(self, executor: Executor[None], data: Awaitable[Any]) -> str:
        try:
            try:
                found = await data
            except Exception as error:
                return self._failed(executor, error)
            return self._text(executor, found)
        finally:
            executor.context_value.leave()

    def _failed(self, executor: Executor[None], error: Exception) -> str:
        own = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
        executor.collected_errors.add(own, None)
        return self._text(executor, None)

    def _text(self, executor: Executor[None], data: Any) -> str:
        result = cast("ExecutionResult", executor.build_response(data))
        payload: dict[str, Any] = {"data": result.data}
        if result.errors:
            self._schema.process_errors(result.errors)
            payload["errors"] = [error.formatted for error in result.errors]
        try:
            return _dumped(payload)
        except TypeError as error:  # the log holds what JSON has no form for; the subscriber must hear that it is there
            return orjson.dumps({"data": None, "errors": [to_client(error)]}).decode()


def _dumped(payload: dict[str, Any]) -> str:
    return orjson.dumps(payload, default=plain).decode()


def prepared(schema: Schema, outlet: Outlet) -> Prepared:
    """The document that is subscribed to."""
    documents: Documents = schema.documents  # type: ignore[attr-defined]  # it is ours, which imports this module
    return documents.of(outlet.query)


def key(prepared: Prepared, outlet: Outlet) -> Hashable:
    """What is the same for all who get the same. Where each of them begins is not."""
    own = starts(prepared, outlet.operation_name)
    shared = {name: value for name, value in (outlet.variables or {}).items() if name not in own}
    return outlet.rights, outlet.query, outlet.operation_name, json.dumps(shared, sort_keys=True)


def starts(prepared: Prepared, name: str | None) -> frozenset[str]:
    """The variables that say where to begin, and are used for nothing else."""
    operation = next(iter(prepared.operations.values())) if name is None else prepared.operations[name]
    everywhere = _Variables(operation, *prepared.fragments.values()).found
    starting = Counter(
        argument.value.name.value
        for field in operation.selection_set.selections
        if isinstance(field, FieldNode)
        for argument in field.arguments or ()
        if argument.name.value in STARTS and isinstance(argument.value, VariableNode)
    )
    return frozenset(name for name, uses in starting.items() if everywhere[name] == uses)


class _Variables(Visitor):
    """Counts the uses of variables."""

    def __init__(self, *nodes: Node) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        for node in nodes:
            visit(node, self)

    def enter_variable_definition(self, *_: object) -> VisitorAction:
        return SKIP

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.found[node.name.value] += 1
