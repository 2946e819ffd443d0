"""Parses files of sample messages for `eventscope envelope try`."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from eventscope.errors import BadInput
from eventscope.store.values.headers import MessageHeaders
from eventscope.subscriptions.nats.header_block import format_block, parse

PARTS: Final = frozenset({"subject", "headers", "message"})
SURROGATES: Final = frozenset(map(chr, range(0xD800, 0xE000)))  # UTF-8 cannot encode them
UNSENDABLE: Final = SURROGATES | set("*> \t\r\n\0")
UNSENDABLE_IN_VALUE: Final = SURROGATES | set("\r\n")
UNSENDABLE_IN_NAME: Final = UNSENDABLE_IN_VALUE | {":"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A message as it would come over NATS."""

    subject: str
    headers: MessageHeaders
    raw: bytes


def samples(content: bytes, subject: str | None) -> list[Sample]:
    """The samples in a JSON document, a list of them, or lines of JSON.

    A sample is the message itself, with that subject, or `{"subject": …, "headers": {…}, "message": …}`. BadInput when
    there is none, or one has no subject or cannot be sent.
    """
    try:
        whole = _loads(content)
    except ValueError:
        # a line that is not JSON is a sample too: it shows how such a message is rejected
        parsed = [_sample(line, _line(line), number, subject) for number, line in enumerate(_lines(content), 1)]
    else:
        several = whole if isinstance(whole, list) else [whole]
        raws = [_dumps(one, number) for number, one in enumerate(several, 1)] if several is whole else [content]
        parsed = [_sample(raw, one, n, subject) for n, (raw, one) in enumerate(zip(raws, several, strict=True), 1)]
    if not parsed:
        raise BadInput("there are no sample messages")
    return parsed


def _sample(raw: bytes, content: Any, number: int, subject: str | None) -> Sample:
    headers: list[tuple[str, str]] = []
    if isinstance(content, dict) and {"subject", "message"} <= content.keys() <= PARTS:
        subject, raw = content["subject"], _dumps(content["message"], number)
        headers = _headers(content.get("headers", {}), number)
    if subject is None:
        raise BadInput(
            f'sample {number} names no subject; give --subject, or {{"subject": …, "headers": {{…}}, "message": …}}'
        )
    if not isinstance(subject, str):
        raise BadInput(f"sample {number}: its subject is not a string")
    if not all(subject.split(".")) or set(subject) & UNSENDABLE:
        raise BadInput(f"sample {number}: {subject!r} is not a subject like events.user.created")
    return Sample(subject, parse(format_block(headers)), raw)


def _headers(headers: Any, number: int) -> list[tuple[str, str]]:
    pairs = [
        (name, one)
        for name, value in (headers.items() if isinstance(headers, dict) else [("", headers)])
        for one in (value if isinstance(value, list) else [value])
    ]
    if not isinstance(headers, dict) or not all(isinstance(one, str) for _, one in pairs):
        raise BadInput(f"sample {number}: headers must be an object of strings, or of lists of strings")
    for name, value in pairs:
        if not name.strip() or set(name) & UNSENDABLE_IN_NAME or set(value) & UNSENDABLE_IN_VALUE:
            raise BadInput(f"sample {number}: the header {name!r} cannot be sent with the value {value[:80]!r}")
    return pairs


def _lines(content: bytes) -> list[bytes]:
    return [line for line in content.splitlines() if line.strip()]


def _line(line: bytes) -> Any:
    try:
        return _loads(line)
    except ValueError:
        return None


def _loads(content: bytes) -> Any:
    """The document; numbers, and objects with a key given twice, stay as they are written."""
    try:
        return json.loads(
            content.decode(), parse_int=_as_is, parse_float=_as_is, parse_constant=_as_is, object_pairs_hook=_object
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _as_is(text: str) -> orjson.Fragment:
    return orjson.Fragment(text)


def _object(pairs: list[tuple[str, Any]]) -> Any:
    members = dict(pairs)
    return members if len(members) == len(pairs) else orjson.Fragment(_braced(pairs))


def _dumps(value: Any, number: int) -> bytes:
    try:
        return _written(value)
    except RecursionError:
        raise BadInput(f"sample {number} is nested too deep") from None


def _written(value: Any) -> bytes:
    """The document as JSON. Not by orjson, which refuses lone surrogates: a publisher may send them."""
    if isinstance(value, orjson.Fragment):
        return orjson.dumps(value)
    if isinstance(value, dict):
        return _braced(value.items())
    if isinstance(value, list):
        return b"[" + b",".join(map(_written, value)) + b"]"
    return json.dumps(value).encode()


def _braced(pairs: Iterable[tuple[str, Any]]) -> bytes:
    return b"{" + b",".join(json.dumps(key).encode() + b":" + _written(value) for key, value in pairs) + b"}"
