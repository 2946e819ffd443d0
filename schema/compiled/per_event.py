"""Executes a subscription's fields for one event after another, as graphql-core does, but collects them only once.

If all selected fields of an event are plain, the function that was compiled for them completes the next events alone.
"""

from collections.abc import Awaitable
from typing import Any, cast

from graphql import ExecutionResult, GraphQLError
from graphql.execution.collect_fields import collect_fields
from graphql.execution.executor import Executor
from strawberry import Schema
from strawberry.execution import optimized_is_awaitable

from eventscope.schema.compiled.compiler import Complete
from eventscope.schema.compiled.documents import PreparedDocument
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.compiled.internals import graphql_schema


class PerEvent:
    """The execution of one subscription whose document and variables are known to be valid."""

    def __init__(
        self, schema: Schema, prepared: PreparedDocument, variables: dict[str, Any] | None, operation_name: str | None
    ) -> None:
        core = graphql_schema(schema)
        executor = schema.execution_context_class.build(
            core,
            prepared.document,
            raw_variable_values=variables,
            operation_name=operation_name,
            is_awaitable=cast("Any", optimized_is_awaitable),  # its annotation is narrower than what it does
        )
        assert isinstance(executor, Executor)  # `build` returns a list of errors only for wrong variables
        assert core.subscription_type is not None
        self._executor: Executor[None] = executor
        self._type = core.subscription_type
        self._fields, self._deferred, _ = collect_fields(
            core, executor.fragments, executor.variable_values, self._type, executor.operation
        )
        self._root = next(iter(self._fields))  # a subscription has one root field
        self._complete: Complete | None = None

    def complete(self, event: Any, context: object) -> dict[str, Any] | None:
        """The data for an event by the compiled function alone; None if there is none yet, or if it raised."""
        if self._complete is None:
            return None
        try:
            return {self._root: self._complete(event, context)}
        # Any error: `execute` calls the same function again; there it raises again, and is counted as a fallback.
        except Exception:
            return None

    def execute(self, root_value: object, context: object) -> ExecutionResult | Awaitable[ExecutionResult]:
        """The result for one event, at once if nothing has to be awaited. Errors are in the result."""
        executor = self._executor.build_per_event_executor(root_value)
        executor.context_value = cast("Any", context)
        try:
            data: Any = executor.execute_collected_root_fields(
                self._type, executor.root_value, self._fields, False, self._deferred
            )
        # any error: as in graphql-core, it becomes an error of the result, which then has no data
        except Exception as error:
            return _failure(executor, error)
        if executor.is_awaitable(data):
            return _awaited(executor, data)
        if isinstance(root_value, dict) and isinstance(executor, CompiledExecutor):
            self._complete = executor.complete_object
        return _result(executor, data)


async def _awaited(executor: Executor[None], data: Awaitable[Any]) -> ExecutionResult:
    try:
        completed = await data
    # any error, as above
    except Exception as error:
        return _failure(executor, error)
    return _result(executor, completed)


def _failure(executor: Executor[None], error: Exception) -> ExecutionResult:
    own = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
    executor.collected_errors.add(own, None)
    return _result(executor, None)


def _result(executor: Executor[None], data: Any) -> ExecutionResult:
    return cast("ExecutionResult", executor.build_response(data))
