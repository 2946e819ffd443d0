"""Documents out of MongoDB's bytes: counted before they are made, and made a few at a time, for that may take long.

The driver would make all documents of an answer in one go, with nothing else running meanwhile: of 16 MiB of small
values for a second and more.
"""

import gc
from collections.abc import Iterator
from typing import Any, Final

from bson import decode, decode_all
from bson.codec_options import CodecOptions

from eventscope.store.budget import Budget
from eventscope.store.pace import Pace

SMALL: Final = 128 * 1024  # bytes that are made into documents in one go
EACH: Final = 16 * 1024**2  # bytes that were made into documents, after which what is left of them is looked for
LENGTH: Final = 4  # bytes at the beginning of each document that tell how long it is

_made = 0  # since the last look for garbage, which is one for the whole process

Document = dict[str, Any]
Options = CodecOptions[Document]


async def documents(raw: bytes, budget: Budget, usual: Options) -> list[Document]:
    """The documents that lie there one behind the other."""
    budget.spend(len(raw))
    if len(raw) < SMALL:
        return decode_all(raw, usual)
    _collect(len(raw))
    pace, found = Pace(), list[Document]()
    for part in _apart(raw):
        found.append(decode(part, usual))
        await pace.pause()
    return found


def _collect(size: int) -> None:
    """Have Python look for garbage, if there may be much of it: to free all of a long time at once takes as long."""
    global _made
    _made += size
    if _made > EACH:
        _made = 0
        gc.collect()


def _apart(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        end = at + int.from_bytes(raw[at : at + LENGTH], "little")
        yield raw[at:end]
        at = end
