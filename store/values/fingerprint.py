"""The fingerprint of a message, which it has again whenever it is sent again. No I/O."""

from hashlib import blake2b
from typing import Final

from eventscope.store.values.headers import every
from eventscope.store.values.message import ATTRIBUTE, ENVELOPE, EXPECTED_VERSION, Arrival

# headers that say something of the message wherever they are
SAID: Final = frozenset({EXPECTED_VERSION, ENVELOPE})


def fingerprint(arrival: Arrival) -> bytes:
    """16 bytes of what a rejection keeps of its bytes, of its subject, and of the headers that are content.

    Of other headers, like the context of a trace, each sending may have its own.
    """
    said = [
        (name, value)
        for name, value in every(arrival.headers).items()
        if name in SAID or (lower := name.lower()) in arrival.decisive or lower.startswith(ATTRIBUTE)
    ]
    beside = repr((arrival.subject, sorted(said, key=lambda one: one[0])))
    return blake2b(arrival.kept, digest_size=16, key=blake2b(beside.encode(errors="surrogatepass")).digest()).digest()
