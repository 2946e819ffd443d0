"""Decoding documents from MongoDB's bytes: the bytes are counted first, then decoded a few at a time.

The driver would decode a whole answer in one go and block the event loop meanwhile: for over a second, if it is 16 MiB
of small values.
"""

import gc
from collections.abc import Iterator
from typing import Any, Final

from bson import decode, decode_all, encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from eventscope.internals import Internals
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.pace import Pace

SMALL: Final = 1024**2  # bytes that are decoded in one go: one event may have as many
EACH: Final = 16 * 1024**2  # bytes that are decoded between two runs of the garbage collector
LENGTH: Final = 4  # bytes at the start of each document that hold its length
CURSOR: Final = b"\x03cursor\0"  # what comes before an embedded document of that name
START: Final = LENGTH + len(CURSOR)
EMPTY: Final = encode({"firstBatch": []})

_decoded = 0  # bytes since the last garbage collection, which is for the whole process

Document = dict[str, Any]
Options = CodecOptions[Document]


INTERNALS: Final = Internals("pymongo", attributes={RawBSONDocument: "_type_marker"})


class Answer(Document):
    """MongoDB's answer to `find`, as the driver constructs it: its documents stay undecoded.

    All else is decoded as usual, because the driver reads it: it would overlook an error that is not a dictionary.
    """

    # marks classes that the driver constructs from bytes; its own class of that kind is not a dictionary
    _type_marker = getattr(RawBSONDocument, "_type_marker", None)

    def __init__(self, answer: bytes | memoryview, options: object) -> None:
        if answer[LENGTH:START] == CURSOR:
            end = START + int.from_bytes(answer[START : START + LENGTH], "little")
            self._cursor: bytes | memoryview = memoryview(answer)[START:end]
            super().__init__(decode((len(answer) - end + LENGTH).to_bytes(LENGTH, "little") + answer[end:]))
        else:  # an error, or a server that only speaks MongoDB's protocol and orders members differently
            whole = RawBSONDocument(answer)
            self._cursor = whole["cursor"].raw if "cursor" in whole else EMPTY
            usual = whole if "cursor" in whole else decode(answer)
            super().__init__((name, value) for name, value in usual.items() if name != "cursor")
        self.size = len(self._cursor)
        """About how many bytes the documents have."""

    async def documents(self, budget: ReadBudget, options: Options, small: int = SMALL) -> list[Document]:
        """The documents, at most `small` bytes decoded in one go. Call it once."""
        if self.size < small:
            if budget.spend(self.size):
                await budget.enter()
            rows: list[Document] = decode(self._cursor, options)["firstBatch"]
            return rows
        raw = b"".join(one.raw for one in RawBSONDocument(self._cursor)["firstBatch"])
        self._cursor = EMPTY
        return await documents(raw, budget, options, small)


ANSWER: Final = CodecOptions(document_class=Answer)


async def documents(raw: bytes, budget: ReadBudget, options: Options, small: int = SMALL) -> list[Document]:
    """The documents in `raw`, which holds them one after the other."""
    budget.spend(len(raw))
    await budget.enter()
    if len(raw) < small:
        return decode_all(raw, options)
    _collect(len(raw))
    pace, rows = Pace(), list[Document]()
    for piece in _pieces(raw, small):
        rows += decode_all(piece, options)
        await pace.pause()
    return rows


def _collect(size: int) -> None:
    """Run the garbage collector, if there may be much to free: the more there is, the longer one run blocks."""
    global _decoded
    _decoded += size
    if _decoded > EACH:
        _decoded = 0
        gc.collect()


def _pieces(raw: bytes, small: int) -> Iterator[bytes]:
    """Whole documents, in pieces that are decoded in one go; a larger document is a piece by itself."""
    start = end = 0
    while end < len(raw):
        after = end + _length(raw, end)
        if after - start > small and end > start:
            yield raw[start:end]
            start = end
        end = after
    yield raw[start:end]


def _length(raw: bytes | memoryview, offset: int) -> int:
    """The length of the document or array at that offset."""
    return int.from_bytes(raw[offset : offset + LENGTH], "little")
