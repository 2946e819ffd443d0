"""Tells of every operation how long it took and how it ended, over HTTP and over WebSocket alike."""

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
UNCLEAR: Final = (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError)


class Observer(Protocol):
    """Hears of operations."""

    def answered(self, kind: str, code: str, seconds: float) -> None:
        """An operation ended: `OK`, with the code of its first error, or `GIVEN_UP` before there was an answer."""
        ...


class GuardedObserver:
    """An Observer that never raises: an answer is given whether it can be counted or not."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._guard = Guard()

    def answered(self, kind: str, code: str, seconds: float) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.answered(kind, code, seconds)


class Measured(SchemaExtension):
    """Measures one operation, from before it is parsed until its last answer is made."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def on_operation(self) -> Iterator[None]:
        """Look at the clock before and after."""
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
        except Exception:
            raise
        except BaseException:
            # a subscription ends when its subscriber leaves, and nothing is wrong with that
            code = self._code() if self._kind() == "subscription" else GIVEN_UP
            raise
        finally:
            self._observer.answered(self._kind(), code, perf_counter() - began)

    def _code(self) -> str:
        given = self.execution_context
        errors = given.pre_execution_errors if given.result is None else getattr(given.result, "errors", None)
        return str((errors[0].extensions or {}).get("code", INTERNAL)) if errors else OK

    def _kind(self) -> str:
        try:
            kind: OperationType = self.execution_context.operation_type
        except RuntimeError:  # there is none, or nobody knows which
            return "unknown"
        return str(kind.value)
