"""Seals on what ingesters say: who has not the key of the log can neither make one nor use one again. No I/O.

A sealed message is a JSON object whose first member is the signature, of a fixed length, over all behind it. Behind it
come the term of the ingester and the number of the message in it, which rise from each message to the next, and the
name of the log. That of an answer to a publisher is good at one place, and for what was published there: nobody can
have an answer to a message of their own sent to others as if it were one to theirs.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, Self

import orjson

OPENING: Final = b'{"signature":"'
CLOSING: Final = b'",'
BODY: Final = len(OPENING) + 64 + len(CLOSING)


@dataclass(slots=True)
class Seal:
    """That of one ingester in one term."""

    key: bytes
    term: int
    log: str | None = None
    """The name of the log."""
    number: int = 0
    """Of the last message."""

    def of(self, key: bytes, term: int, log: str | None) -> Self:
        """The seal of that key, term and log; the same one where they are, for its numbers go on."""
        return self if (key, term, log) == (self.key, self.term, self.log) else type(self)(key, term, log)

    def on(self, body: bytes) -> bytes:
        """The JSON object with these members, sealed; `body` is what stands between its braces."""
        self.number += 1
        told = b'"term":%d,"number":%d,"log":%b,%b}' % (self.term, self.number, orjson.dumps(self.log), body)
        return b"".join((OPENING, _signature(told, self.key), CLOSING, told))


def is_sealed(raw: bytes) -> bool:
    """Whether the message has a seal, be it right or wrong."""
    return raw.startswith(OPENING)


def is_genuine(raw: bytes, key: bytes) -> bool:
    """Whether the message was sealed with the key."""
    return _is_signed(raw, memoryview(raw)[BODY:], key)


def on_answer(answer: bytes, place: str, published: bytes, key: bytes) -> bytes:
    """The answer, a JSON object with members, sealed for that place and for what was published."""
    told = answer[1:]
    return b"".join((OPENING, _signature(_bound(told, place, published), key), CLOSING, told))


def is_genuine_answer(raw: bytes, place: str, published: bytes, key: bytes) -> bool:
    """Whether the answer was sealed with the key, for that place and for what was published."""
    return _is_signed(raw, _bound(raw[BODY:], place, published), key)


def _bound(told: bytes, place: str, published: bytes) -> bytes:
    # live batches begin with a quotation mark, so neither can pass for the other; places have no line breaks
    return b"".join((b"answer ", place.encode(), b"\n", hashlib.sha256(published).digest(), told))


def _is_signed(raw: bytes, told: bytes | memoryview, key: bytes) -> bool:
    if not raw.startswith(OPENING) or raw[BODY - len(CLOSING) : BODY] != CLOSING:
        return False
    return hmac.compare_digest(raw[len(OPENING) : BODY - len(CLOSING)], _signature(told, key))


def _signature(told: bytes | memoryview, key: bytes) -> bytes:
    return hmac.digest(key, told, "sha256").hex().encode()
