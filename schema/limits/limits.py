"""How much one operation may ask for. Each limit is checked before anything is executed, in time that is linear in the
size of the document, and what is over one is refused with the limit and what was asked for (I8)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSyntaxError, OperationDefinitionNode

from eventscope.errors import BadInput, EventscopeError, TooComplex
from eventscope.schema.limits.cost import Bill
from eventscope.schema.limits.extent import Extent, extents
from eventscope.schema.limits.given import MOST, has_too_many

MOST_NESTED = 128  # values within values; events are taken up to 100, and lie in variables a little deeper
UNCOUNTED = 10**9


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operation may have at most. `tokens` is for the parser: of a document with more none is read.

    `bytes` are those of what is read for it, which shows only in reading.
    """

    tokens: int = 2_000
    depth: int = 20
    root_fields: int = 20
    fields: int = 500
    aliases: int = 30
    directives: int = 50
    entries: int = 10_000
    bytes: int = 32 * 1024**2

    def check(self, document: DocumentNode) -> list[GraphQLError]:
        """What is wrong with the document whatever the variables say; nothing of it needs to be valid yet."""
        return [
            _refusal(problem, operation)
            for operation, extent in extents(document)
            for problem in self._problems(extent)
        ]

    def charge(
        self, known: Mapping[str | None, Bill], operation_name: str | None, variables: Mapping[str, Any] | None
    ) -> list[GraphQLError]:
        """What is wrong with an operation of a valid document, whose bills are known, when it gets these variables."""
        nested = _nested(variables)
        if nested is not None:
            return [nested]
        bill = next(iter(known.values())) if operation_name is None else known[operation_name]
        if variables and has_too_many(bill.given, variables):
            return [_refusal(f"the variables have over {MOST} objects for inputs; ask for less at once")]
        asked = bill.of(variables)
        return [] if asked <= self.entries else [_refusal(exceeded(self.entries, asked))]

    def _problems(self, extent: Extent) -> Iterator[str]:
        for said, asked, most in (
            ("nests fields {} deep, and {} is the deepest", extent.depth, self.depth),
            ("asks {} questions at its root, and {} are the most", extent.roots, self.root_fields),
            ("has {} fields with all fragments spread, and {} are the most", extent.fields, self.fields),
            ("has {} aliases with all fragments spread, and {} are the most", extent.aliases, self.aliases),
            ("has {} directives with all fragments spread, and {} are the most", extent.directives, self.directives),
        ):
            if asked > most:
                yield "the operation " + said.format(_written(asked), most)


def exceeded(most: int, asked: int | None = None) -> str:
    """The sentence for who asks for too many entries; how many exactly is not known where they turned up in reading."""
    entries = f"over {most} entries" if asked is None else f"{_written(asked)} entries, and {most} are the most"
    return f"the operation asks for {entries}; ask for smaller pages or fewer lists"


def has_too_many_tokens(error: GraphQLError) -> bool:
    """Whether the parser gave up for the number of tokens."""
    return isinstance(error, GraphQLSyntaxError) and error.description.startswith("Document contains more than")


def _nested(variables: Mapping[str, Any] | None) -> GraphQLError | None:
    """What is wrong with variables that nest too deeply to be read; nobody recurses to find out."""
    if not any(isinstance(value, dict | list) for value in (variables or {}).values()):
        return None
    level: list[dict[str, Any] | list[Any]] = [dict(variables or {})]
    for _ in range(MOST_NESTED + 1):
        inner = [list(value.values()) if isinstance(value, dict) else value for value in level]
        level = [one for values in inner for one in values if isinstance(one, dict | list)]
        if not level:
            return None
    return _error(BadInput(f"the variables nest values over {MOST_NESTED} deep"))


def _refusal(problem: str, operation: OperationDefinitionNode | None = None) -> GraphQLError:
    return _error(TooComplex(problem), operation)


def _error(error: EventscopeError, node: OperationDefinitionNode | None = None) -> GraphQLError:
    return GraphQLError(str(error), node, original_error=error)


def _written(asked: int) -> str:
    return str(asked) if asked <= UNCOUNTED else f"over {UNCOUNTED}"
