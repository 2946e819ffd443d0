"""Prepares each document once: it is parsed, checked against the limits, validated, and ready to be compiled."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
)
from graphql.execution.collect_fields import FragmentDetails
from strawberry.schema.schema import validate_document

from eventscope.schema.compiled import executor
from eventscope.schema.compiled.exact import Exact
from eventscope.schema.compiled.fallbacks import Fallbacks
from eventscope.schema.compiled.plan import PlannedQuery, variables
from eventscope.schema.limits.cost import Bill, bills
from eventscope.schema.limits.limits import Limits

RULES: Final = (*specified_rules, Exact)
# a token of a parsed document takes about 600 bytes, a compiled line as much
MOST_DOCUMENTS: Final = 1_000
MOST_TOKENS: Final = 50_000
MOST_LINES: Final = 50_000
MOST_TEXT: Final = 1_000_000
SHARE_OF_REFUSED: Final = 10  # refused documents get a tenth as much memory, and take none from valid ones


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A parsed document. `problems` say why it is refused; if there are any, nothing else here is used."""

    document: DocumentNode
    problems: tuple[GraphQLError, ...]
    operations: Mapping[str | None, OperationDefinitionNode]
    fragments: dict[str, FragmentDefinitionNode]
    fragment_details: dict[str, FragmentDetails]
    bills: Mapping[str | None, Bill]
    fallbacks: Fallbacks
    queries: dict[str | None, PlannedQuery] = field(default_factory=dict)

    def refusals(self) -> list[GraphQLError]:
        """The problems, as new errors for each answer, since an answer adds codes to its errors."""
        return [
            GraphQLError(one.message, one.nodes, one.source, one.positions, one.path, one.original_error)
            for one in self.problems
        ]

    def query(self, schema: GraphQLSchema, name: str | None) -> PlannedQuery | None:
        """The query of that name, or the only operation if there is no name; None if that is not a query."""
        query = self.queries.get(name)
        if query is not None or self.problems:
            return query
        only = next(iter(self.operations.values())) if len(self.operations) == 1 else None
        operation = only if name is None else self.operations.get(name)
        if operation is None or operation.operation is not OperationType.QUERY:
            return None
        query = self.queries[name] = PlannedQuery(
            operation, variables(schema, operation), executor.conditions(operation), self.fallbacks
        )
        return query


class Documents:
    """The documents of recent requests; their number and their total size are bounded."""

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: Limits,
        fallbacks: Fallbacks | None = None,
        *,
        most_documents: int = MOST_DOCUMENTS,
        most_tokens: int = MOST_TOKENS,
        most_text: int = MOST_TEXT,
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._fallbacks = fallbacks or Fallbacks()
        bounds = (most_documents, most_tokens, most_text)
        self._valid = DocumentCache(*bounds)
        self._invalid = DocumentCache(*(bound // SHARE_OF_REFUSED for bound in bounds))
        self.lines = 0
        """How many lines of functions have been compiled since all documents were last dropped."""
        self.generation = 0
        """How often all documents were dropped. A document that is kept elsewhere must be dropped with them."""

    def of(self, text: str) -> PreparedDocument:
        """The document with that text; GraphQLSyntaxError when it cannot be parsed."""
        prepared = self._valid.get(text) or self._invalid.get(text)
        if prepared is None:
            prepared = self._prepare(text)
            (self._invalid if prepared.problems else self._valid).add(text, prepared)
        return prepared

    def _prepare(self, text: str) -> PreparedDocument:
        document = parse(text, max_tokens=self._limits.tokens)
        problems = self._limits.check(document) or validate_document(self._schema, document, RULES)
        if not problems:
            executor.attach(document, self._on_compiled, self._fallbacks)
        fragments = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
        return PreparedDocument(
            document,
            tuple(problems),
            {_name(part): part for part in document.definitions if isinstance(part, OperationDefinitionNode)},
            fragments,
            {name: FragmentDetails(fragment) for name, fragment in fragments.items()},
            {} if problems else bills(self._schema, document),
            self._fallbacks,
        )

    def _on_compiled(self, lines: int) -> None:
        self.lines += lines
        if self.lines > MOST_LINES:
            # functions live as long as their documents; those in use are compiled again within two requests
            self.lines = 0
            self.generation += 1
            self._valid.clear()


class DocumentCache:
    """Prepared documents by their texts; the least recently used one makes room for another."""

    def __init__(self, documents: int, tokens: int, characters: int) -> None:
        self._most = (documents, tokens, characters)
        self._documents: OrderedDict[str, PreparedDocument] = OrderedDict()
        self._total = (0, 0, 0)

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, text: str) -> PreparedDocument | None:
        """The document with that text, if it is here."""
        prepared = self._documents.get(text)
        if prepared is not None:
            self._documents.move_to_end(text)
        return prepared

    def add(self, text: str, prepared: PreparedDocument) -> None:
        """Keep a document that is not kept yet, unless it is too large."""
        size = _size(text, prepared)
        if any(part > most for part, most in zip(size, self._most, strict=True)):
            return
        self._documents[text] = prepared
        self._count(size, 1)
        while any(total > most for total, most in zip(self._total, self._most, strict=True)):
            self._count(_size(*self._documents.popitem(last=False)), -1)

    def clear(self) -> None:
        """Drop all documents."""
        self._documents.clear()
        self._total = (0, 0, 0)

    def _count(self, size: tuple[int, int, int], sign: int) -> None:
        documents, tokens, characters = self._total
        self._total = (documents + sign * size[0], tokens + sign * size[1], characters + sign * size[2])


def _size(text: str, prepared: PreparedDocument) -> tuple[int, int, int]:
    return 1, prepared.document.token_count, len(text)


def _name(operation: OperationDefinitionNode) -> str | None:
    return None if operation.name is None else operation.name.value
