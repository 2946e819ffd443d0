"""Bytes that others take for text, as text of which different bytes never give the same. No I/O.

What is UTF-8 is its text; every other byte is U+FFFD followed by the byte in hexadecimal.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

MARK: Final = "\ufffd"
ESCAPED: Final = re.compile(f"{MARK}([0-9A-F]{{2}})")
# a mark that came as such, where it would be taken for one of ours
AMBIGUOUS: Final = re.compile(f"{MARK}(?=[0-9A-F]{{2}})")
HALVES: Final = re.compile("[\udc80-\udcff]")  # what Python decodes bytes to that are not UTF-8


def decode(raw: bytes) -> str:
    """The bytes as text, of which `encode` makes the same bytes."""
    text = raw.decode(errors="surrogateescape")
    if MARK in text:
        text = AMBIGUOUS.sub("".join(map(escaped, MARK.encode())), text)
    return text if text.isascii() else HALVES.sub(lambda half: escaped(ord(half[0]) - 0xDC00), text)


def encode(text: str) -> bytes:
    """The bytes that were decoded to this text."""
    if MARK not in text:
        return text.encode()
    halves = ESCAPED.sub(lambda found: _half(int(found[1], 16)), text)
    return halves.encode(errors="surrogateescape")


def unquote(text: str) -> str:
    """The text with its percent-encoded bytes decoded."""
    return decode(unquote_to_bytes(encode(text))) if "%" in text else text


def escaped(byte: int) -> str:
    """How a byte is written that is no text."""
    return f"{MARK}{byte:02X}"


def _half(byte: int) -> str:
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)
