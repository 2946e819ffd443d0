"""Documents, made ready for execution once a text: parsed, held to the limits, validated, and open to be compiled."""

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
from eventscope.schema.compiled.plan import Question, variables
from eventscope.schema.limits.cost import Bill, bills
from eventscope.schema.limits.limits import Limits

RULES: Final = (*specified_rules, Exact)
# a token of a parsed document takes about 600 bytes, a compiled line as much
MOST_DOCUMENTS: Final = 1_000
MOST_TOKENS: Final = 50_000
MOST_LINES: Final = 50_000
MOST_TEXT: Final = 1_000_000
SHARE_OF_BAD_ONES: Final = 10  # documents that are refused get a tenth of the room, and take nothing from good ones


@dataclass(frozen=True, slots=True)
class Prepared:
    """A parsed document. `problems` are what it is refused for, and the rest is of use only where there are none."""

    document: DocumentNode
    problems: tuple[GraphQLError, ...]
    operations: Mapping[str | None, OperationDefinitionNode]
    fragments: dict[str, FragmentDefinitionNode]
    fragment_details: dict[str, FragmentDetails]
    bills: Mapping[str | None, Bill]
    questions: dict[str | None, Question] = field(default_factory=dict)

    def refusals(self) -> list[GraphQLError]:
        """The problems, as errors of one answer's own: what becomes of them there is no other answer's matter."""
        return [
            GraphQLError(one.message, one.nodes, one.source, one.positions, one.path, one.original_error)
            for one in self.problems
        ]

    def question(self, schema: GraphQLSchema, name: str | None) -> Question | None:
        """The query that is meant: the one of that name, or the only one; None when that is no query."""
        found = self.questions.get(name)
        if found is not None or self.problems:
            return found
        only = next(iter(self.operations.values())) if len(self.operations) == 1 else None
        operation = only if name is None else self.operations.get(name)
        if operation is None or operation.operation is not OperationType.QUERY:
            return None
        found = self.questions[name] = Question(operation, variables(schema, operation), executor.conditions(operation))
        return found


class Documents:
    """Those that were asked for lately; how many, and how large together, is bounded."""

    def __init__(self, schema: GraphQLSchema, limits: Limits) -> None:
        self._schema = schema
        self._limits = limits
        self._good: Remembered = Remembered(MOST_DOCUMENTS, MOST_TOKENS, MOST_TEXT)
        self._bad: Remembered = Remembered(*(n // SHARE_OF_BAD_ONES for n in (MOST_DOCUMENTS, MOST_TOKENS, MOST_TEXT)))
        self.lines = 0
        """How many lines of functions have been compiled since they were last dropped."""
        self.cleared = 0
        """How often all were forgotten; whoever keeps one of them must let go of it then."""

    def of(self, text: str) -> Prepared:
        """The document with that text; GraphQLSyntaxError when it cannot be parsed."""
        found = self._good.get(text) or self._bad.get(text)
        if found is None:
            found = self._prepare(text)
            (self._bad if found.problems else self._good).add(text, found)
        return found

    def _prepare(self, text: str) -> Prepared:
        document = parse(text, max_tokens=self._limits.tokens)
        problems = self._limits.check(document) or validate_document(self._schema, document, RULES)
        if not problems:
            executor.attach(document, self._compiled)
        fragments = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
        return Prepared(
            document,
            tuple(problems),
            {_name(part): part for part in document.definitions if isinstance(part, OperationDefinitionNode)},
            fragments,
            {name: FragmentDetails(fragment) for name, fragment in fragments.items()},
            {} if problems else bills(self._schema, document),
        )

    def _compiled(self, lines: int) -> None:
        self.lines += lines
        if self.lines > MOST_LINES:
            # functions live as long as their documents; those in use are back after two requests
            self.lines = 0
            self.cleared += 1
            self._good.clear()


class Remembered:
    """Prepared documents by their texts; the one that was not asked for the longest makes room."""

    def __init__(self, documents: int, tokens: int, characters: int) -> None:
        self._most = (documents, tokens, characters)
        self._known: OrderedDict[str, Prepared] = OrderedDict()
        self._held = (0, 0, 0)

    def __len__(self) -> int:
        return len(self._known)

    def get(self, text: str) -> Prepared | None:
        """The document with that text, if it is known."""
        found = self._known.get(text)
        if found is not None:
            self._known.move_to_end(text)
        return found

    def add(self, text: str, prepared: Prepared) -> None:
        """Remember one that is not known yet, unless it is too large."""
        size = _size(text, prepared)
        if any(part > most for part, most in zip(size, self._most, strict=True)):
            return
        self._known[text] = prepared
        self._count(size, 1)
        while any(held > most for held, most in zip(self._held, self._most, strict=True)):
            self._count(_size(*self._known.popitem(last=False)), -1)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
        self._held = (0, 0, 0)

    def _count(self, size: tuple[int, int, int], sign: int) -> None:
        documents, tokens, characters = self._held
        self._held = (documents + sign * size[0], tokens + sign * size[1], characters + sign * size[2])


def _size(text: str, prepared: Prepared) -> tuple[int, int, int]:
    return 1, prepared.document.token_count, len(text)


def _name(operation: OperationDefinitionNode) -> str | None:
    return None if operation.name is None else operation.name.value
