"""Checks at the start that compiled functions give the same answers as graphql-core alone.

They depend on internals of graphql-core and Strawberry. If another version lacks these, or gives another answer to one
of a few documents, nothing is compiled. The check takes milliseconds.
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
from eventscope.resolvers.page import Count, Page, PageRequest, page
from eventscope.schema import sources
from eventscope.schema.compiled import executor as compiled_executor
from eventscope.schema.compiled import internals
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.compiled.fallbacks import Fallbacks
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


def passes() -> bool:
    """Whether both ways give the same answers; if not, a warning says why."""
    reason = next(filter(None, (needed.fault() for needed in (*internals.NEEDED, *internals.COMPILED))), None)
    if reason is None:
        reason = _difference()
    if reason is not None:
        logger.warning("queries are not compiled, and take longer: %s", reason)
    return reason is None


def _difference() -> str | None:
    """How the two ways differ, if they do."""
    try:
        schema = strawberry.Schema(
            CheckQuery, config=StrawberryConfig(default_resolver=sources.read, scalar_map=SCALARS)
        )
        same = all(_execute(schema, text, CompiledExecutor) == _execute(schema, text, None) for text in DOCUMENTS)
    # any error: whatever another version makes fail, queries are answered without compiled functions
    except Exception as error:
        return f"with this graphql-core or Strawberry, compiled functions raise {error!r}"
    return None if same else "with this graphql-core or Strawberry, compiled functions give other answers"


def _execute(schema: strawberry.Schema, text: str, executor: type[CompiledExecutor] | None) -> list[bytes]:
    """The answers to as many requests as it takes until everything is compiled."""
    document = parse(text)
    if executor is not None:
        compiled_executor.attach(document, lambda lines: None, Fallbacks())
    results = [
        execute(
            internals.graphql_schema(schema),
            document,
            context_value=CONTEXT,
            executor_class=executor or StrawberryGraphQLCoreExecutionContext,
        )
        for _ in range(compiled_executor.WARM // compiled_executor.REQUEST + 1)
    ]
    return [orjson.dumps(result.formatted) for result in results if isinstance(result, ExecutionResult)]


def _page(*documents: dict[str, Any]) -> Page[Any]:
    async def total() -> Count:
        return Count(0, 0)

    request = PageRequest(len(documents), backward=False, after=None, before=None)
    return page(request, documents, cursor.of_events("tag"), total)


@strawberry.type
class CheckQuery:
    @strawberry.field(graphql_type=Connection[Event] | None)
    def good(self) -> object:
        return _page(GOOD, GOOD)

    @strawberry.field(graphql_type=Connection[Event] | None)
    def broken(self) -> object:
        return _page(GOOD, BROKEN)

    @strawberry.field(graphql_type=Event | None)
    def event(self) -> object:
        return BROKEN
