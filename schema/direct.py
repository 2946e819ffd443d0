"""Answers queries straight from their prepared documents, without the pipeline that Strawberry builds for each request.

What that pipeline and its extensions do for a query is done here once more: the limits, the time limit, the codes of
errors and the observer. Whatever is not an ordinary query (another kind of operation, or anything wrong with the
document or the variables) is left to the pipeline before anything has been executed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

from graphql import ExecutionResult as CoreResult
from graphql import GraphQLError
from graphql.execution.executor import default_field_resolver, default_type_resolver
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable
from strawberry.types import ExecutionResult

from eventscope.errors import INTERNAL
from eventscope.schema.build import Schema
from eventscope.schema.compiled.documents import Prepared
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.compiled.plan import Question, RawInfo, Root, coerced
from eventscope.schema.context import Context
from eventscope.schema.extensions import GRACE_SECONDS, too_late
from eventscope.schema.large import marked
from eventscope.schema.limits.limits import Limits
from eventscope.schema.measured import GIVEN_UP, OK, GuardedObserver, Observer


@dataclass(frozen=True, slots=True)
class Plan:
    """A query that is in order, with its variables: all that comes out the same each time it is asked.

    `arguments` are those of its root, and None where they are wrong. `cleared` is the documents' when it was made.
    """

    prepared: Prepared
    question: Question
    values: VariableValues
    root: Root | None
    arguments: dict[str, Any] | None
    cleared: int


class Direct:
    """Executes the queries of one schema."""

    def __init__(self, schema: Schema, limits: Limits, seconds: float, observer: Observer | None) -> None:
        self._schema = schema
        self._core = schema._schema
        self._limits = limits
        self._seconds = seconds
        self._observer = None if observer is None else GuardedObserver(observer)

    async def execute(
        self, text: str, variables: dict[str, Any] | None, name: str | None, context: Callable[[], Context]
    ) -> ExecutionResult | None:
        """The result of a query; None, and nothing has happened, when it must go the ordinary way."""
        plan = self.plan(text, variables, name)
        return None if plan is None else await self.follow(plan, context())

    @property
    def cleared(self) -> int:
        """Rises when all documents are forgotten, and plans should be."""
        return self._schema.documents.cleared

    def plan(self, text: str, variables: dict[str, Any] | None, name: str | None) -> Plan | None:
        """What there is to do for a query, however often it is asked; None when it must go the ordinary way."""
        try:
            prepared = self._schema.documents.of(text)
        except GraphQLError:
            return None
        question = prepared.question(self._core, name)
        if question is None or self._limits.charge(prepared.bills, name, variables):
            return None
        values = coerced(question.variables, variables or {})
        if values is None:
            return None
        root = question.root(self._schema, prepared.fragment_details, values)
        arguments = None
        if root is not None:
            with suppress(Exception):  # the same happens again when it is executed, before anything is asked
                arguments = root.filled(values)
        return Plan(prepared, question, values, root, arguments, self.cleared)

    async def follow(self, plan: Plan, context: Context) -> ExecutionResult:
        """The result of the query."""
        began = perf_counter()
        code = INTERNAL
        try:
            result = await self._executed(plan, context)
            if result.errors:
                self._schema.process_errors(result.errors)
                code = str((result.errors[0].extensions or {}).get("code", INTERNAL))
            else:
                code = OK
            result.data = marked(result.data, context)
        except Exception:
            raise
        except BaseException:
            code = GIVEN_UP
            raise
        finally:
            if self._observer is not None:
                self._observer.answered("query", code, perf_counter() - began)
        return result

    async def _executed(self, plan: Plan, context: Context) -> ExecutionResult:
        def executor() -> CompiledExecutor:
            return CompiledExecutor(
                self._core,
                plan.prepared.fragments,
                plan.prepared.fragment_details,
                None,
                context,
                plan.question.operation,
                plan.values,
                default_field_resolver,
                default_type_resolver,
                default_field_resolver,
                is_awaitable=optimized_is_awaitable,
            )

        try:
            async with asyncio.timeout(self._seconds + GRACE_SECONDS):
                if plan.root is None or plan.arguments is None:
                    return await _whole(executor())
                return await self._root(executor, plan.root, dict(plan.arguments), context)
        except TimeoutError:
            return ExecutionResult(None, [too_late(self._seconds)])
        except Exception as error:
            own = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
            return ExecutionResult(None, [own])

    async def _root(
        self, executor: Callable[[], CompiledExecutor], root: Root, arguments: dict[str, Any], context: Context
    ) -> ExecutionResult:
        try:
            raw = RawInfo(context, root, executor)
            answer = await root.resolve(self._schema.config.info_class, raw, arguments)
        except Exception as error:
            return await _whole(executor(), _raising(error))
        if root.complete is not None:
            with suppress(Exception):  # what the matter is, graphql-core will say
                return ExecutionResult({root.key: root.complete(answer, context)}, None)
        made = executor()
        result = await _whole(made, _giving(answer))
        root.complete = made.known(root.definition.type, root.details)
        return result


async def _whole(executor: CompiledExecutor, given: Callable[[], Awaitable[Any]] | None = None) -> ExecutionResult:
    """Have it executed by graphql-core, but for what is given."""
    executor.given = given
    result: Any = executor.execute_operation()
    done = cast("CoreResult", await result if executor.is_awaitable(result) else result)
    return ExecutionResult(done.data, done.errors)


def _giving(answer: Any) -> Callable[[], Awaitable[Any]]:
    async def given() -> Any:
        return answer

    return given


def _raising(error: Exception) -> Callable[[], Awaitable[Any]]:
    async def given() -> Any:
        raise error

    return given
