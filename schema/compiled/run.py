"""Runs one planned query: its resolver, then the compiled function for the result, or else graphql-core."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from graphql import ExecutionResult as CoreResult
from graphql.execution.executor import default_field_resolver, default_type_resolver
from graphql.execution.values import VariableValues
from strawberry import Schema
from strawberry.execution import optimized_is_awaitable
from strawberry.types import ExecutionResult

from eventscope.schema.compiled.documents import PreparedDocument
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.compiled.internals import graphql_schema
from eventscope.schema.compiled.plan import PlannedQuery, RawInfo, RootField


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """A valid query with its variables: everything that is the same each time it is requested.

    `arguments` are those of its root field, None if one of them is wrong. `generation` is that of the documents when
    the plan was made.
    """

    prepared: PreparedDocument
    query: PlannedQuery
    values: VariableValues
    root: RootField | None
    arguments: dict[str, Any] | None
    generation: int


async def run(schema: Schema, plan: QueryPlan, context: object) -> ExecutionResult:
    """The result of the query; raises what graphql-core raises."""

    def executor() -> CompiledExecutor:
        return CompiledExecutor(
            graphql_schema(schema),
            plan.prepared.fragments,
            plan.prepared.fragment_details,
            None,
            context,
            plan.query.operation,
            plan.values,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            is_awaitable=optimized_is_awaitable,
        )

    if plan.root is None or plan.arguments is None:
        return await _execute(executor())
    return await _run_root(schema, executor, plan.root, dict(plan.arguments), context)


async def _run_root(
    schema: Schema,
    executor: Callable[[], CompiledExecutor],
    root: RootField,
    arguments: dict[str, Any],
    context: object,
) -> ExecutionResult:
    try:
        raw = RawInfo(context, root, executor)
        value = await root.resolve(schema.config.info_class, raw, arguments)
    # any error: graphql-core gets it again in place of the resolver's result, and adds its path
    except Exception as error:
        return await _execute(executor(), _raising(error))
    if root.complete is not None:
        # The executor below calls the same function again; there it raises again, and is counted as a fallback.
        with suppress(Exception):
            return ExecutionResult({root.key: root.complete(value, context)}, None)
    fallback = executor()
    result = await _execute(fallback, _returning(value))
    root.complete = fallback.ready_completer(root.definition.type, root.details)
    return result


async def _execute(
    executor: CompiledExecutor, root_result: Callable[[], Awaitable[Any]] | None = None
) -> ExecutionResult:
    """Have graphql-core execute the query, with this result of the root field's resolver if it was called before."""
    executor.root_result = root_result
    result: Any = executor.execute_operation()
    done = cast("CoreResult", await result if executor.is_awaitable(result) else result)
    return ExecutionResult(done.data, done.errors)


def _returning(value: Any) -> Callable[[], Awaitable[Any]]:
    async def root_result() -> Any:
        return value

    return root_result


def _raising(error: Exception) -> Callable[[], Awaitable[Any]]:
    async def root_result() -> Any:
        raise error

    return root_result
