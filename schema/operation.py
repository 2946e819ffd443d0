"""What a document must be before anything of it is executed, where Strawberry is too lenient or says nothing."""

from collections.abc import Iterator
from contextlib import suppress

from graphql import GraphQLError, OperationDefinitionNode
from strawberry.extensions import ParserCache, SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError


class CachedDocument(ParserCache):
    """The cache, but a text that cannot be parsed is left to the parser, whose error reaches WebSocket clients too."""

    def on_parse(self) -> Iterator[None]:
        """Take the document from the cache."""
        given = self.execution_context
        with suppress(GraphQLError):
            given.graphql_document = self.cached_parse_document(given.query, **given.parse_options)
        yield


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
