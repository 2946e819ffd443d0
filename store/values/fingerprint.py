"""The fingerprint of a message: the same whenever the message is sent again. No I/O."""

from hashlib import blake2b
from typing import Final

from eventscope.store.values.headers import every
from eventscope.store.values.message import ATTRIBUTE, ENVELOPE, EXPECTED_VERSION, Arrival

# headers that are always content
CONTENT_HEADERS: Final = frozenset({EXPECTED_VERSION, ENVELOPE})


def fingerprint(arrival: Arrival) -> bytes:
    """A 16-byte hash of the bytes that a rejection keeps, the subject, and the headers that are content.

    Other headers, such as a trace context, may differ each time a message is sent.
    """
    content_headers = [
        (name, value)
        for name, value in every(arrival.headers).items()
        if name in CONTENT_HEADERS or (lower := name.lower()) in arrival.decisive or lower.startswith(ATTRIBUTE)
    ]
    context = repr((arrival.subject, sorted(content_headers, key=lambda one: one[0])))
    return blake2b(
        arrival.kept_bytes, digest_size=16, key=blake2b(context.encode(errors="surrogatepass")).digest()
    ).digest()
