"""What a document must be before anything of it is executed, where Strawberry is too lenient or says nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError

from eventscope.errors import QuestionTimedOut
from eventscope.schema.compiled.documents import Documents, Prepared
from eventscope.schema.large import marked
from eventscope.schema.limits.limits import Limits

GRACE_SECONDS: Final = 1.0  # the store keeps to the time by itself, and knows better what the matter is


class UnclearOperation(CannotGetOperationTypeError):
    """The document has several operations, and the request does not name one."""

    def as_http_error_reason(self) -> str:
        """The sentence for the caller."""
        return "The document holds several operations; say with operationName which one is meant"


class OneOperation(SchemaExtension):
    """Refuses to guess which operation of several is meant, where Strawberry would take the first."""

    def on_validate(self) -> Iterator[None]:
        """Look before anything is executed."""
        document = self.execution_context.graphql_document
        if document is not None and self.execution_context._provided_operation_name is None:
            operations = [part for part in document.definitions if isinstance(part, OperationDefinitionNode)]
            if len(operations) > 1:
                raise UnclearOperation(None)
        yield


class Ready(SchemaExtension):
    """Takes the document as it was prepared when its text first came: held to the limits, and validated.

    What depends on the variables is looked at each time. Strawberry's own limiters walk every fragment as often as it
    is spread, and so are a way to keep a server busy.
    """

    def __init__(self, documents: Documents, limits: Limits) -> None:
        self._documents = documents
        self._limits = limits
        self._found: Prepared | None = None

    def on_parse(self) -> Iterator[None]:
        """A text that cannot be parsed is left to the parser, whose error reaches WebSocket clients too."""
        given = self.execution_context
        if given.query:
            with suppress(GraphQLError):
                self._found = self._documents.of(given.query)
                given.graphql_document = self._found.document
        yield

    def on_validate(self) -> Iterator[None]:
        """Look before anything is executed."""
        given, found = self.execution_context, self._found
        if found is not None:
            given.pre_execution_errors = found.refusals() or self._limits.charge(
                found.bills, given.operation_name, given.variables
            )
        yield


class InTime(SchemaExtension):
    """Ends what takes longer to execute than a question may."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def on_execute(self) -> AsyncIterator[None]:
        """Cancel it then, with everything that it awaits."""
        async with in_time(self._seconds):
            yield


class Sized(SchemaExtension):
    """Marks the data of an answer for which much was read."""

    def on_operation(self) -> Iterator[None]:
        """Look after it was made."""
        yield
        result = self.execution_context.result
        if isinstance(result, ExecutionResult):
            result.data = marked(result.data, self.execution_context.context)


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Cancel what is awaited inside when it takes longer than a question may, and raise the error that says so."""
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            yield
    except TimeoutError:
        raise too_late(seconds) from None


def too_late(seconds: float) -> GraphQLError:
    """The error that says that the answer took longer than it may."""
    late = QuestionTimedOut(seconds)
    return GraphQLError(str(late), original_error=late)
