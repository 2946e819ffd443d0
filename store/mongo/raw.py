"""Documents out of MongoDB's bytes: counted before they are made, and made a few at a time, for that may take long.

The driver would make all documents of an answer in one go, with nothing else running meanwhile: of 16 MiB of small
values for a second and more.
"""

import gc
from collections.abc import Iterator
from typing import Any, Final

from bson import decode, decode_all, encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.pace import Pace

SMALL: Final = 1024**2  # bytes that are made into documents in one go: one event may have as many
EACH: Final = 16 * 1024**2  # bytes that were made into documents, after which what is left of them is looked for
LENGTH: Final = 4  # bytes at the beginning of each document that tell how long it is
CURSOR: Final = b"\x03cursor\0"  # what stands before a document of that name
START: Final = LENGTH + len(CURSOR)
EMPTY: Final = encode({"firstBatch": []})

_made = 0  # since the last look for garbage, which is one for the whole process

Document = dict[str, Any]
Options = CodecOptions[Document]


class Answer(Document):
    """What MongoDB answers to `find`, made by the driver: the documents of its batch stay bytes.

    All else is made as usual, for the driver looks at it: at an error that is not a dictionary it does not look.
    """

    # the mark of classes that are given bytes; the driver's own class of that kind is no dictionary
    _type_marker = RawBSONDocument._type_marker

    def __init__(self, answer: bytes | memoryview, options: object) -> None:
        if answer[LENGTH:START] == CURSOR:
            end = START + int.from_bytes(answer[START : START + LENGTH], "little")
            self._cursor: bytes | memoryview = memoryview(answer)[START:end]
            super().__init__(decode((len(answer) - end + LENGTH).to_bytes(LENGTH, "little") + answer[end:]))
        else:  # an error; or the answer of one that only speaks like MongoDB, in another order
            whole = RawBSONDocument(answer)
            self._cursor = whole["cursor"].raw if "cursor" in whole else EMPTY
            usual = whole if "cursor" in whole else decode(answer)
            super().__init__((name, value) for name, value in usual.items() if name != "cursor")
        self.size = len(self._cursor)
        """About how many bytes the documents are."""

    async def documents(self, budget: ReadBudget, usual: Options) -> list[Document]:
        """Those of the batch, once."""
        if self.size < SMALL:
            if budget.spend(self.size):
                await budget.enter()
            found: list[Document] = decode(self._cursor, usual)["firstBatch"]
            return found
        raw = b"".join(one.raw for one in RawBSONDocument(self._cursor)["firstBatch"])
        self._cursor = EMPTY
        return await documents(raw, budget, usual)


ANSWER: Final = CodecOptions(document_class=Answer)


async def documents(raw: bytes, budget: ReadBudget, usual: Options) -> list[Document]:
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
        after = end + _length(raw, end)
        if after - start > SMALL and end > start:
            yield raw[start:end]
            start = end
        end = after
    yield raw[start:end]


def _length(raw: bytes | memoryview, place: int) -> int:
    """That of the document or array which lies there."""
    return int.from_bytes(raw[place : place + LENGTH], "little")
