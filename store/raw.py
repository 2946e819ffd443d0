"""Documents out of MongoDB's bytes: counted before they are made, and made a few at a time, for that may take long.

The driver would make all documents of an answer in one go, with nothing else running meanwhile: of 16 MiB of small
values for a second and more.
"""

import gc
from collections.abc import Iterator
from typing import Any, Final

from bson import decode_all
from bson.codec_options import CodecOptions

from eventscope.store.budget import Budget
from eventscope.store.pace import Pace

SMALL: Final = 1024**2  # bytes that are made into documents in one go: one event may have as many
EACH: Final = 16 * 1024**2  # bytes that were made into documents, after which what is left of them is looked for
LENGTH: Final = 4  # bytes at the beginning of each document that tell how long it is

_made = 0  # since the last look for garbage, which is one for the whole process

Document = dict[str, Any]
Options = CodecOptions[Document]


async def documents(raw: bytes, budget: Budget, usual: Options) -> list[Document]:
    """The documents that lie there one behind the other."""
    budget.spend(len(raw))
    await budget.enter()
    if len(raw) < SMALL:
        return decode_all(raw, usual)
    _collect(len(raw))
    pace, found = Pace(), list[Document]()
    for part in _parts(raw):
        found += decode_all(part, usual)
        await pace.pause()
    return found


def _collect(size: int) -> None:
    """Have Python look for garbage, if there may be much of it: to free all of a long time at once takes as long."""
    global _made
    _made += size
    if _made > EACH:
        _made = 0
        gc.collect()


def _parts(raw: bytes) -> Iterator[bytes]:
    """Runs of whole documents: as many as are made in one go, or a single one that is larger."""
    start = end = 0
    while end < len(raw):
        after = end + int.from_bytes(raw[end : end + LENGTH], "little")
        if after - start > SMALL and end > start:
            yield raw[start:end]
            start = end
        end = after
    yield raw[start:end]
