"""Seals on the messages of ingesters: without the key of the log, nobody can make one or replay one. No I/O.

A sealed message is a JSON object whose first member is the signature, of a fixed length, over everything after it. Then
come the term of the ingester and the number of the message within it, which rise from each message to the next, and the
name of the log. The seal of an answer to a publisher is valid for one inbox and for what was published: an answer to
one's own message cannot be passed off as the answer to somebody else's.
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
    """The seal of one ingester in one term."""

    key: bytes
    term: int
    log: str | None = None
    """The name of the log."""
    number: int = 0
    """The number of the last message."""

    def of(self, key: bytes, term: int, log: str | None) -> Self:
        """The seal of that key, term and log: this one if none has changed, since its numbers must keep rising."""
        return self if (key, term, log) == (self.key, self.term, self.log) else type(self)(key, term, log)

    def on(self, body: bytes) -> bytes:
        """The JSON object with these members, sealed; `body` is the text between its braces."""
        self.number += 1
        content = b'"term":%d,"number":%d,"log":%b,%b}' % (self.term, self.number, orjson.dumps(self.log), body)
        return b"".join((OPENING, _signature(content, self.key), CLOSING, content))


def is_sealed(raw: bytes) -> bool:
    """Whether the message has a seal, genuine or not."""
    return raw.startswith(OPENING)


def is_genuine(raw: bytes, key: bytes) -> bool:
    """Whether the message was sealed with the key."""
    return _is_signed(raw, memoryview(raw)[BODY:], key)


def seal_answer(answer: bytes, inbox: str, published: bytes, key: bytes) -> bytes:
    """The answer, a JSON object with members, sealed for that inbox and for what was published."""
    content = answer[1:]
    return b"".join((OPENING, _signature(_bound(content, inbox, published), key), CLOSING, content))


def is_genuine_answer(raw: bytes, inbox: str, published: bytes, key: bytes) -> bool:
    """Whether the answer was sealed with the key, for that inbox and for what was published."""
    return _is_signed(raw, _bound(raw[BODY:], inbox, published), key)


def _bound(content: bytes, inbox: str, published: bytes) -> bytes:
    # live batches begin with a quotation mark, so neither can pass for the other; inboxes have no line breaks
    return b"".join((b"answer ", inbox.encode(), b"\n", hashlib.sha256(published).digest(), content))


def _is_signed(raw: bytes, content: bytes | memoryview, key: bytes) -> bool:
    if not raw.startswith(OPENING) or raw[BODY - len(CLOSING) : BODY] != CLOSING:
        return False
    return hmac.compare_digest(raw[len(OPENING) : BODY - len(CLOSING)], _signature(content, key))


def _signature(content: bytes | memoryview, key: bytes) -> bytes:
    return hmac.digest(key, content, "sha256").hex().encode()
