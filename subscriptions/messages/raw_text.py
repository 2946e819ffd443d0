"""Bytes that should be text, as text: different bytes never give the same text. No I/O.

UTF-8 is decoded; every other byte becomes U+FFFD followed by the byte in hexadecimal.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

MARK: Final = "\ufffd"
ESCAPED: Final = re.compile(f"{MARK}([0-9A-F]{{2}})")
# a mark in the bytes themselves that would look like one of ours
AMBIGUOUS: Final = re.compile(f"{MARK}(?=[0-9A-F]{{2}})")
HALVES: Final = re.compile("[\udc80-\udcff]")  # what Python's surrogateescape makes of bytes that are not UTF-8


def decode(raw: bytes) -> str:
    """The bytes as text; `encode` is the inverse."""
    text = raw.decode(errors="surrogateescape")
    if MARK in text:
        text = AMBIGUOUS.sub("".join(map(escaped, MARK.encode())), text)
    return text if text.isascii() else HALVES.sub(lambda half: escaped(ord(half[0]) - 0xDC00), text)


def encode(text: str) -> bytes:
    """The bytes from which `decode` made this text."""
    if MARK not in text:
        return text.encode()
    halves = ESCAPED.sub(lambda match: _half(int(match[1], 16)), text)
    return halves.encode(errors="surrogateescape")


def unquote(text: str) -> str:
    """The text with its percent-encoded bytes decoded."""
    return decode(unquote_to_bytes(encode(text))) if "%" in text else text


def escaped(byte: int) -> str:
    """The escape for a byte that is not text."""
    return f"{MARK}{byte:02X}"


def _half(byte: int) -> str:
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)
