"""Strawberry extensions that every operation passes, for its name, its limits, its time and the size of its answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError

from eventscope.errors import QuestionTimedOut
from eventscope.schema.compiled.documents import Documents, PreparedDocument
from eventscope.schema.compiled.internals import requested_operation
from eventscope.schema.large import mark_large
from eventscope.schema.limits.limits import Limits

GRACE_SECONDS: Final = 1.0  # the store observes the time limit itself, and knows better what took so long


class UnclearOperation(CannotGetOperationTypeError):
    """The document has several operations, and the request does not name one."""

    def as_http_error_reason(self) -> str:
        """The sentence for the caller."""
        return "The document holds several operations; choose one with operationName"


class OneOperation(SchemaExtension):
    """Refuses a document of several operations if the request names none, where Strawberry would run the first."""

    def on_validate(self) -> Iterator[None]:
        """Check before anything is executed; raises UnclearOperation."""
        document = self.execution_context.graphql_document
        if document is not None and requested_operation(self.execution_context) is None:
            operations = [part for part in document.definitions if isinstance(part, OperationDefinitionNode)]
            if len(operations) > 1:
                raise UnclearOperation(None)
        yield


class Preparation(SchemaExtension):
    """Uses the document that was prepared at the first request with its text: checked against limits, and validated.

    Limits that depend on the variables are checked each time. Strawberry's own limiters walk every fragment as often as
    it is spread, which would be a way to keep a server busy.
    """

    def __init__(self, documents: Documents, limits: Limits) -> None:
        self._documents = documents
        self._limits = limits
        self._prepared: PreparedDocument | None = None

    def on_parse(self) -> Iterator[None]:
        """Take the prepared document; leave syntax errors to the parser, whose error reaches WebSocket clients too."""
        context = self.execution_context
        if context.query:
            with suppress(GraphQLError):
                self._prepared = self._documents.of(context.query)
                context.graphql_document = self._prepared.document
        yield

    def on_validate(self) -> Iterator[None]:
        """Set the errors that the document or its variables are refused for."""
        context, prepared = self.execution_context, self._prepared
        if prepared is not None:
            context.pre_execution_errors = prepared.refusals() or self._limits.charge(
                prepared.bills, context.operation_name, context.variables
            )
        yield


class TimeLimit(SchemaExtension):
    """Ends an operation that takes too long to execute."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def on_execute(self) -> AsyncIterator[None]:
        """Cancel the operation at the limit, with everything that it awaits."""
        async with time_limit(self._seconds):
            yield


class LargeAnswer(SchemaExtension):
    """Marks the data of an answer that took much reading."""

    def on_operation(self) -> Iterator[None]:
        """Mark the data once it is complete."""
        yield
        result = self.execution_context.result
        if isinstance(result, ExecutionResult):
            result.data = mark_large(result.data, self.execution_context.context)


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """Cancel the block when it takes longer than an operation may, and raise the error that says so."""
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            yield
    except TimeoutError:
        raise timeout_error(seconds) from None


def timeout_error(seconds: float) -> GraphQLError:
    """The error of an operation that took longer than it may."""
    late = QuestionTimedOut(seconds)
    return GraphQLError(str(late), original_error=late)
