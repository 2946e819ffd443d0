"""Reports how long each operation took and how it ended, over HTTP and WebSocket alike."""

from asyncio import CancelledError
from collections.abc import Iterator
from time import perf_counter
from typing import Final, Protocol

from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from eventscope.errors import INTERNAL, BadInput
from eventscope.subscriptions.observer import Guard

OK: Final = "OK"
GIVEN_UP: Final = "GIVEN_UP"
ABANDONED: Final = (CancelledError, GeneratorExit)  # how an operation ends when nobody waits for it any more
UNCLEAR: Final = (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError)


class Observer(Protocol):
    """Receives reports about operations."""

    def on_operation(self, kind: str, code: str, seconds: float) -> None:
        """An operation ended: `OK`, with the code of its first error, or `GIVEN_UP` before there was an answer."""
        ...

    def on_fallback(self, reason: str) -> None:
        """graphql-core took over from compiled code, for one of the reasons in `compiled/fallbacks.py`."""
        ...


class GuardedObserver:
    """An Observer that never raises: an answer is sent even if it could not be counted."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._guard = Guard()

    def on_operation(self, kind: str, code: str, seconds: float) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_operation(kind, code, seconds)

    def on_fallback(self, reason: str) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_fallback(reason)


class ObserverExtension(SchemaExtension):
    """Measures one operation, from before it is parsed until its last answer is ready."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def on_operation(self) -> Iterator[None]:
        """Measure the operation."""
        began = perf_counter()
        code = INTERNAL
        try:
            yield
            code = self._code()
        except UNCLEAR:
            code = BadInput.code
            raise
        except GraphQLError as error:
            code = getattr(error.original_error, "code", INTERNAL)
            raise
        except ABANDONED:
            # a subscription ends when its subscriber leaves, which is no error
            code = self._code() if self._kind() == "subscription" else GIVEN_UP
            raise
        finally:
            self._observer.on_operation(self._kind(), code, perf_counter() - began)

    def _code(self) -> str:
        context = self.execution_context
        errors = context.pre_execution_errors if context.result is None else getattr(context.result, "errors", None)
        return str((errors[0].extensions or {}).get("code", INTERNAL)) if errors else OK

    def _kind(self) -> str:
        try:
            kind: OperationType = self.execution_context.operation_type
        except RuntimeError:  # there is no operation, or it is unclear which one was requested
            return "unknown"
        return str(kind.value)
