"""The schema, put together, and what it does with errors."""

import logging
from collections.abc import Sequence
from typing import Any, Final

import strawberry
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import MaxTokensLimiter, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionContext

from eventscope.errors import INTERNAL, BadInput, EventscopeError, QuestionTimedOut, Unavailable, told
from eventscope.schema import event
from eventscope.schema.measured import Measured, Observer
from eventscope.schema.mutation import Mutation
from eventscope.schema.operation import CachedDocument, OneOperation
from eventscope.schema.query import Query
from eventscope.schema.scalars import SCALARS
from eventscope.schema.subscription import Subscription

MOST_TOKENS: Final = 2000
LEVELS: Final = {Unavailable.code: logging.WARNING, QuestionTimedOut.code: logging.WARNING}

logger = logging.getLogger(__name__)


class Schema(strawberry.Schema):
    """The schema; every error leaves it with a code, and none with a secret (I9)."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Give each error its code, and put an id in the place of what is our own fault."""
        for error in errors:
            describe(error)


def describe(error: GraphQLError) -> None:
    """Give the error its code; mask it, and log it under an `errorId`, if the caller is not to blame."""
    extensions: dict[str, Any] = dict(error.extensions or {})
    if "code" in extensions:
        return
    root = error
    while isinstance(root.original_error, GraphQLError):
        root = root.original_error
    cause = root.original_error
    if not isinstance(cause, EventscopeError) and _is_in_the_question(error, root):
        extensions["code"] = BadInput.code
    else:
        answer = told(cause or root)
        extensions |= answer["extensions"]
    if extensions["code"] == INTERNAL:
        error.message = answer["message"]
    else:
        logger.log(LEVELS.get(extensions["code"], logging.INFO), "%s: %s", extensions["code"], error.message[:200])
    error.extensions = extensions


def _is_in_the_question(error: GraphQLError, root: GraphQLError) -> bool:
    """Whether the error is about the document or the variables, and not about what came out of executing them."""
    if isinstance(root.original_error, MissingQueryError | CannotGetOperationTypeError | InvalidOperationTypeError):
        return True
    if root.original_error is None:
        # what cannot be written as its type points nowhere, until the path is added to it
        return error.path is None or bool(root.nodes)
    return error.path is None and bool(error.nodes)


def build(observer: Observer | None = None) -> Schema:
    """The schema as it is served; the observer hears of every operation."""
    measured = () if observer is None else (lambda: Measured(observer),)
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(default_resolver=event.read, scalar_map=SCALARS),
        extensions=[*measured, *EXTENSIONS],
    )


EXTENSIONS: Final[Sequence[Any]] = (
    lambda: MaxTokensLimiter(max_token_count=MOST_TOKENS),
    OneOperation,
    lambda: CachedDocument(maxsize=128),
    lambda: ValidationCache(maxsize=128),
)
