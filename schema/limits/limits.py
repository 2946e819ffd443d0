"""The limits of what one operation may request. Each is checked before anything is executed, in time linear in the size
of the document; an operation over a limit is refused with the limit and its own number (I8)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSyntaxError, OperationDefinitionNode, Token, TokenKind

from eventscope.errors import BadInput, EventscopeError, TooComplex
from eventscope.schema.limits.cost import Bill
from eventscope.schema.limits.extent import Extent, extents
from eventscope.schema.limits.inputs import MOST, has_too_many_objects
from eventscope.store.values.json_text import MOST_DIGITS

MOST_NESTED = 128  # values within values: events may nest up to 100, and variables wrap them in a few more
UNCOUNTED = 10**9
QUOTED = 20  # characters of a number in an error


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum that one operation may have of each kind. The parser stops at `tokens`.

    `bytes` limits what is read from the log, which is known only while it is read.
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
        """What is wrong with the document whatever the variables are. It need not have been validated yet."""
        if (long := _long_number(document)) is not None:
            return [long]
        return [
            _refusal(problem, operation)
            for operation, extent in extents(document)
            for problem in self._problems(extent)
        ]

    def charge(
        self, bills: Mapping[str | None, Bill], operation_name: str | None, variables: Mapping[str, Any] | None
    ) -> list[GraphQLError]:
        """What is wrong with an operation of a valid document, whose bills are known, with these variables."""
        nested = _nested(variables)
        if nested is not None:
            return [nested]
        bill = next(iter(bills.values())) if operation_name is None else bills[operation_name]
        if variables and has_too_many_objects(bill.input_types, variables):
            return [_refusal(f"the variables hold over {MOST} input objects; send fewer at once")]
        entries = bill.of(variables)
        return [] if entries <= self.entries else [_refusal(too_many_entries(self.entries, entries))]

    def _problems(self, extent: Extent) -> Iterator[str]:
        for problem, count, most in (
            ("nests fields {} deep; the limit is {}", extent.depth, self.depth),
            ("selects {} root fields; the limit is {}", extent.roots, self.root_fields),
            ("has {} fields with all fragments spread; the limit is {}", extent.fields, self.fields),
            ("has {} aliases with all fragments spread; the limit is {}", extent.aliases, self.aliases),
            ("has {} directives with all fragments spread; the limit is {}", extent.directives, self.directives),
        ):
            if count > most:
                yield "the operation " + problem.format(_number(count), most)


def too_many_entries(most: int, entries: int | None = None) -> str:
    """The message for an operation of too many entries; their number is unknown if reading met the limit."""
    excess = f"over {most} entries" if entries is None else f"{_number(entries)} entries, and the limit is {most}"
    return f"the operation requests {excess}; ask for smaller pages or fewer lists"


def has_too_many_tokens(error: GraphQLError) -> bool:
    """Whether the parser stopped because of the number of tokens."""
    return isinstance(error, GraphQLSyntaxError) and error.description.startswith("Document contains more than")


def _long_number(document: DocumentNode) -> GraphQLError | None:
    """What is wrong with a number of so many digits that Python refuses to parse it."""
    token: Token | None = document.loc.start_token if document.loc else None
    while token is not None:
        text = token.value or ""
        if token.kind in (TokenKind.INT, TokenKind.FLOAT) and len(text) > MOST_DIGITS:
            problem = (
                f"the number {text[:QUOTED]}… has {len(text)} characters; no number here may have over {MOST_DIGITS}"
            )
            source = document.loc.source if document.loc else None
            return GraphQLError(problem, source=source, positions=[token.start], original_error=BadInput(problem))
        token = token.next
    return None


def _nested(variables: Mapping[str, Any] | None) -> GraphQLError | None:
    """What is wrong with variables that nest too deeply. Level by level, since recursion would fail on these."""
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


def _number(count: int) -> str:
    return str(count) if count <= UNCOUNTED else f"over {UNCOUNTED}"
