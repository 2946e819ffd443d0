"""Looks, when the program starts, whether compiled functions give what graphql-core gives by itself.

They rest on methods that graphql-core and Strawberry do not promise to keep. Where a version differs, a few documents
show it within milliseconds, and everything is executed the ordinary way.
"""

import logging
from types import SimpleNamespace
from typing import Any, Final

import orjson
import strawberry
from graphql import ExecutionResult, execute, parse
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from eventscope.resolvers import cursor
from eventscope.resolvers.page import Count, Page, Request, page
from eventscope.schema import sources
from eventscope.schema.compiled import executor as compiled_executor
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.types.connection import Connection
from eventscope.schema.types.event import Event
from eventscope.schema.types.scalars import SCALARS

GOOD: Final[dict[str, Any]] = {
    "_id": 7,
    "messageId": "m7",
    "type": "user.created",
    "timestamp": 1_700_000_000_250_000,
    "recordedAt": 1_700_000_001_000_000,
    "version": 1,
    "data": {"name": "Ada", "tags": ["a", 1, 2.5, None]},
}
BROKEN: Final[dict[str, Any]] = {**GOOD, "type": None, "version": "one", "timestamp": "never"}
CONTEXT: Final = SimpleNamespace(suffix=".tag")
DOCUMENTS: Final = (
    """query ($yes: Boolean = true, $no: Boolean = false) {
      good { edges { cursor node { ...all at: timestamp } } nodes { id } pageInfo { hasNextPage endCursor } }
      more: good { nodes { id @skip(if: $yes) type @include(if: $no) position __typename } }
    }
    fragment all on Event { id position cursor type recordedAt version userId data metadata expiresAt }""",
    "{ broken { edges { cursor node { id type } } } }",
    "{ broken { nodes { id version timestamp } pageInfo { startCursor } } }",
    "{ event { id version type } }",
)

logger = logging.getLogger(__name__)


def holds() -> bool:
    """Whether both ways give the same; a warning says when they do not."""
    try:
        schema = strawberry.Schema(Query, config=StrawberryConfig(default_resolver=sources.read, scalar_map=SCALARS))
        same = all(_executed(schema, text, CompiledExecutor) == _executed(schema, text, None) for text in DOCUMENTS)
        reason = "they give other answers"
    except Exception as error:
        same, reason = False, repr(error)
    if not same:
        logger.warning(
            "queries are not compiled, and take longer: this graphql-core or Strawberry is not as expected (%s)", reason
        )
    return same


def _executed(schema: strawberry.Schema, text: str, executor: type[CompiledExecutor] | None) -> list[bytes]:
    """The answers, time after time until everything is compiled."""
    document = parse(text)
    if executor is not None:
        compiled_executor.attach(document, lambda lines: None)
    results = [
        execute(
            schema._schema,
            document,
            context_value=CONTEXT,
            executor_class=executor or StrawberryGraphQLCoreExecutionContext,
        )
        for _ in range(compiled_executor.WARM // compiled_executor.ASKED + 1)
    ]
    return [orjson.dumps(result.formatted) for result in results if isinstance(result, ExecutionResult)]


def _page(*documents: dict[str, Any]) -> Page[Any]:
    async def total() -> Count:
        return Count(0, 0)

    asked = Request(len(documents), backward=False, after=None, before=None)
    return page(asked, documents, cursor.of_events("tag"), total)


@strawberry.type
class Query:
    @strawberry.field(graphql_type=Connection[Event] | None)
    def good(self) -> object:
        return _page(GOOD, GOOD)

    @strawberry.field(graphql_type=Connection[Event] | None)
    def broken(self) -> object:
        return _page(GOOD, BROKEN)

    @strawberry.field(graphql_type=Event | None)
    def event(self) -> object:
        return BROKEN
