"""Answers queries straight from their prepared documents, without the pipeline that Strawberry builds per request.

What that pipeline and its extensions do for a query is repeated here: the limits, the time limit, the codes of errors
and the observer. Everything else (another kind of operation, or anything wrong with the document or the variables) goes
to the pipeline before anything has been executed.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any

from graphql import GraphQLError
from strawberry.types import ExecutionResult

from eventscope.errors import INTERNAL
from eventscope.schema.build import Schema
from eventscope.schema.compiled.internals import graphql_schema
from eventscope.schema.compiled.plan import coerce
from eventscope.schema.compiled.run import QueryPlan, run
from eventscope.schema.context import Context
from eventscope.schema.extensions import GRACE_SECONDS, timeout_error
from eventscope.schema.large import mark_large
from eventscope.schema.limits.limits import Limits
from eventscope.schema.observer import ABANDONED, GIVEN_UP, OK, GuardedObserver, Observer


class Direct:
    """Executes the queries of one schema."""

    def __init__(self, schema: Schema, limits: Limits, seconds: float, observer: Observer | None) -> None:
        self._schema = schema
        self._core = graphql_schema(schema)
        self._limits = limits
        self._seconds = seconds
        self._observer = None if observer is None else GuardedObserver(observer)

    async def execute(
        self, text: str, variables: dict[str, Any] | None, name: str | None, context: Callable[[], Context]
    ) -> ExecutionResult | None:
        """The result of a query; None, with nothing executed, if it must go through the pipeline."""
        plan = self.plan(text, variables, name)
        return None if plan is None else await self.run(plan, context())

    @property
    def generation(self) -> int:
        """Changes when all documents are dropped; plans of another generation must be dropped then."""
        return self._schema.documents.generation

    def plan(self, text: str, variables: dict[str, Any] | None, name: str | None) -> QueryPlan | None:
        """A plan for running the query, any number of times; None if it must go through the pipeline."""
        try:
            prepared = self._schema.documents.of(text)
        except GraphQLError:
            return None
        query = prepared.query(self._core, name)
        if query is None or self._limits.charge(prepared.bills, name, variables):
            return None
        values = coerce(query.variables, variables or {})
        if values is None:
            return None
        root = query.root(self._schema, prepared.fragment_details, values)
        arguments = None if root is None else query.arguments(root, values)
        return QueryPlan(prepared, query, values, root, arguments, self.generation)

    async def run(self, plan: QueryPlan, context: Context) -> ExecutionResult:
        """The result of the query."""
        began = perf_counter()
        code = INTERNAL
        try:
            result = await self._execute(plan, context)
            if result.errors:
                self._schema.process_errors(result.errors)
                code = str((result.errors[0].extensions or {}).get("code", INTERNAL))
            else:
                code = OK
            result.data = mark_large(result.data, context)
        except ABANDONED:
            code = GIVEN_UP
            raise
        finally:
            if self._observer is not None:
                self._observer.on_operation("query", code, perf_counter() - began)
        return result

    async def _execute(self, plan: QueryPlan, context: Context) -> ExecutionResult:
        try:
            async with asyncio.timeout(self._seconds + GRACE_SECONDS):
                return await run(self._schema, plan, context)
        except TimeoutError:
            return ExecutionResult(None, [timeout_error(self._seconds)])
        # any error: as in Strawberry's pipeline, it becomes an error of the answer, logged if the fault is ours
        except Exception as error:
            own = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
            return ExecutionResult(None, [own])
