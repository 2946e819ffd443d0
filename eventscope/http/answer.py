"""Answers as JSON. Large ones are encoded in pieces, since all other clients wait during each piece."""

from collections.abc import Iterator
from typing import Any, Final

import orjson
from graphql import GraphQLError
from strawberry.http import process_result
from strawberry.types import ExecutionResult

from eventscope.errors import QuestionTimedOut, TooComplex, to_client
from eventscope.schema.large import Large
from eventscope.store.pace import Pace
from eventscope.store.values.documents import plain

PIECE: Final = 5_000  # values, about a millisecond's work
LETTERS: Final = 64  # characters of a text that take as much work as one value
MOST: Final = 64 * 1024**2  # bytes of one answer, in which the same event may occur many times


async def encode_answer(answer: dict[str, Any], most_bytes: int = MOST, piece: int = PIECE) -> dict[str, Any]:
    """The answer with its `data` encoded if that is large; an error in its place if it has over `most_bytes`.

    At most `piece` values are encoded in one go, except for a single one that takes more.
    """
    data = answer.get("data")
    if not isinstance(data, Large):
        return answer
    pace, text = Pace(), bytearray()
    for part in pieces(data, piece):
        text += part
        if len(text) > most_bytes:
            error = TooComplex(f"the answer has over {most_bytes} bytes; ask for smaller pages, or for data only once")
            return {"data": None, "errors": [to_client(error)]}
        await pace.pause()
    return {**answer, "data": orjson.Fragment(bytes(text))}


def body_of(result: ExecutionResult) -> tuple[dict[str, Any], bool]:
    """The answer's body, and whether the request was wrong: then it was not executed, and the body has no `data`."""
    body: dict[str, Any] = dict(process_result(result))
    errors = result.errors or []
    is_request_error = result.data is None and bool(errors) and all(map(_is_before_execution, errors))
    if is_request_error:
        del body["data"]
    return body, is_request_error


def _is_before_execution(error: GraphQLError) -> bool:
    return error.path is None and not isinstance(error.original_error, QuestionTimedOut)


def pieces(value: Any, piece: int) -> Iterator[bytes]:
    """The value as JSON, in parts of at most `piece` values, except for a single one that takes more."""
    if _work(value, piece) <= piece or not isinstance(value, dict | list):
        yield orjson.dumps(value, default=plain)
    elif isinstance(value, dict):
        mark = b"{"
        for key, inner in value.items():
            yield mark + orjson.dumps(key) + b":"
            yield from pieces(inner, piece)
            mark = b","
        yield b"}"
    else:
        mark = b"["
        for run in _runs(value, piece):
            yield mark
            if len(run) == 1:
                yield from pieces(run[0], piece)
            else:
                yield orjson.dumps(run, default=plain)[1:-1]
            mark = b","
        yield b"]"


def _runs(values: list[Any], piece: int) -> Iterator[list[Any]]:
    """The values in runs of at most one piece's work, except for single values that take more."""
    run, work = list[Any](), 0
    for value in values:
        more = _work(value, piece)
        if run and work + more > piece:
            yield run
            run, work = [], 0
        run.append(value)
        work += more
    yield run


def _work(value: Any, most: int) -> int:
    """The work of encoding the value; counting stops once it exceeds `most`."""
    work, rest = 0, [value]
    while rest and work <= most:
        one = rest.pop()
        work += 1
        if isinstance(one, str):
            work += len(one) // LETTERS
        elif isinstance(one, dict):
            work += len(one) + sum(map(len, one)) // LETTERS
            rest.extend(one.values())
        elif isinstance(one, list):
            work += len(one)
            if work <= most:
                rest.extend(one)
    return work
