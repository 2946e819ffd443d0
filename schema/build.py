"""Builds the schema, and gives each error its code."""

from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionContext

from eventscope.errors import INTERNAL, BadInput, EventscopeError, TooComplex, log_client_error, shorten, to_client
from eventscope.schema import sources
from eventscope.schema.compiled import internals
from eventscope.schema.compiled.documents import Documents
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.compiled.fallbacks import Fallbacks
from eventscope.schema.compiled.selection import SelectionInfo
from eventscope.schema.extensions import LargeAnswer, OneOperation, Preparation, TimeLimit
from eventscope.schema.limits.limits import Limits, has_too_many_tokens
from eventscope.schema.mutation import Mutation
from eventscope.schema.observer import GuardedObserver, Observer, ObserverExtension
from eventscope.schema.query import Query
from eventscope.schema.subscription import Subscription
from eventscope.schema.types.scalars import SCALARS


class Schema(strawberry.Schema):
    """The schema; every error that leaves it has a code, and none contains a secret (I9)."""

    documents: Documents

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Give each error its code, and mask the errors that are our own fault."""
        for error in errors:
            describe(error)


def describe(error: GraphQLError) -> None:
    """Give the error its code; if the caller is not to blame, mask it and log it under an `errorId`."""
    extensions: dict[str, Any] = dict(error.extensions or {})
    if "code" in extensions:
        return
    root = error
    while isinstance(root.original_error, GraphQLError):
        root = root.original_error
    cause = root.original_error
    if not isinstance(cause, EventscopeError) and _is_in_the_request(error, root):
        error.message = shorten(error.message)
        extensions["code"] = TooComplex.code if has_too_many_tokens(error) else BadInput.code
        log_client_error(extensions["code"], error.message)
    else:
        answer = to_client(cause or root)
        extensions |= answer["extensions"]
        if cause is not None or extensions["code"] == INTERNAL:
            error.message = answer["message"]
        _forget(cause)
        _forget(error)
    error.extensions = extensions


def _forget(error: BaseException | None) -> None:
    """Drop the tracebacks, whose frames would keep everything alive that was being read. The errors are logged."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _is_in_the_request(error: GraphQLError, root: GraphQLError) -> bool:
    """Whether the error is in the document or the variables, and not in the result of executing them."""
    if isinstance(root.original_error, MissingQueryError | CannotGetOperationTypeError | InvalidOperationTypeError):
        return True
    if root.original_error is None:
        # a value that its type cannot serialize raises an error without nodes, to which only the path is added
        return error.path is None or bool(root.nodes)
    return error.path is None and bool(error.nodes)


def build(
    observer: Observer | None = None, limits: Limits | None = None, seconds: float = 10.0, *, compiled: bool = True
) -> Schema:
    """The schema as it is served: reports operations to the observer, and ends them after `seconds`.

    CannotStart when graphql-core or Strawberry lacks internals that every answer needs.
    """
    for needed in internals.NEEDED:
        needed.demand()
    effective = limits or Limits()
    guarded = None if observer is None else GuardedObserver(observer)
    observing = () if guarded is None else (lambda: ObserverExtension(guarded),)
    schema = Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(default_resolver=sources.read, scalar_map=SCALARS, info_class=SelectionInfo),
        extensions=[
            *observing,
            lambda: MaxTokensLimiter(max_token_count=effective.tokens),
            OneOperation,
            lambda: Preparation(schema.documents, effective),
            lambda: TimeLimit(seconds),
            LargeAnswer,
        ],
        execution_context_class=CompiledExecutor if compiled else None,
    )
    fallbacks = Fallbacks() if guarded is None else Fallbacks(guarded.on_fallback)
    schema.documents = Documents(internals.graphql_schema(schema), effective, fallbacks)
    return schema
