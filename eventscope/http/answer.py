"""Answers as JSON; large ones are written a piece at a time, for others wait while one is written."""

from collections.abc import Iterator
from typing import Any, Final

import orjson

from eventscope.errors import TooComplex, to_client
from eventscope.schema.large import Large
from eventscope.store.pace import Pace
from eventscope.store.values.documents import plain

PIECE: Final = 5_000  # values that are written in one go, about a millisecond's work
LETTERS: Final = 64  # of a text, that are as much work as a value
MOST: Final = 64 * 1024**2  # bytes of one answer, in which the same event may be written many times


async def encoded(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with its `data` written out, if that is large; an error in its place when it has too many bytes."""
    data = answer.get("data")
    if not isinstance(data, Large):
        return answer
    pace, text = Pace(), bytearray()
    for piece in _pieces(data):
        text += piece
        if len(text) > MOST:
            error = TooComplex(f"the answer has over {MOST} bytes; ask for smaller pages, or for data only once")
            return {"data": None, "errors": [to_client(error)]}
        await pace.pause()
    return {**answer, "data": orjson.Fragment(bytes(text))}


def _pieces(value: Any) -> Iterator[bytes]:
    """The value as JSON, in pieces of bounded work."""
    if _work(value) <= PIECE or not isinstance(value, dict | list):
        yield orjson.dumps(value, default=plain)
    elif isinstance(value, dict):
        mark = b"{"
        for key, inner in value.items():
            yield mark + orjson.dumps(key) + b":"
            yield from _pieces(inner)
            mark = b","
        yield b"}"
    else:
        mark = b"["
        for some in _together(value):
            yield mark
            if len(some) == 1:
                yield from _pieces(some[0])
            else:
                yield orjson.dumps(some, default=plain)[1:-1]
            mark = b","
        yield b"]"


def _together(values: list[Any]) -> Iterator[list[Any]]:
    """The values in as many runs as there are pieces of them."""
    run, work = list[Any](), 0
    for value in values:
        more = _work(value)
        if run and work + more > PIECE:
            yield run
            run, work = [], 0
        run.append(value)
        work += more
    yield run


def _work(value: Any) -> int:
    """How much work it is to write the value, looked at no further than to find that it is more than a piece."""
    work, waiting = 0, [value]
    while waiting and work <= PIECE:
        one = waiting.pop()
        work += 1
        if isinstance(one, str):
            work += len(one) // LETTERS
        elif isinstance(one, dict):
            work += len(one) + sum(map(len, one)) // LETTERS
            waiting.extend(one.values())
        elif isinstance(one, list):
            work += len(one)
            if work <= PIECE:
                waiting.extend(one)
    return work
