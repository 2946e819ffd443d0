"""Media types such as `text/csv; charset=utf-8`, as publishers write them, parsed in linear time. No I/O."""

import re
from dataclasses import dataclass
from typing import Final

MOST_CHARACTERS: Final = 1000  # of a type whose parameters are parsed
UNKNOWN: Final = "unknown"
PARAMETER: Final = re.compile(r';\s*(?:([^\s;="]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))\s*)?', re.DOTALL)
# Charsets only. Python also has codecs that undo escapes, and some of these make lone surrogates.
CHARSET: Final = re.compile(
    r"utf-?8|(?:us-)?ascii|iso-?8859-[0-9]{1,2}|latin-?1|windows-125[0-8]|utf-?16(?:le|be)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type in lower case; `charset` is None if it names none."""

    main: str
    sub: str
    charset: str | None = None

    @property
    def is_json(self) -> bool:
        """Whether it is JSON."""
        return self.sub == "json" or self.sub.endswith("+json")

    @property
    def is_text(self) -> bool:
        """Whether it is text, or claims to be by naming a charset."""
        is_xml = self.sub == "xml" or self.sub.endswith("+xml")
        return self.charset is not None or self.main == "text" or is_xml

    def decode(self, raw: bytes) -> str | None:
        """The bytes as text; None if the text would not encode to the same bytes."""
        charset = self.charset or "utf-8"
        if not CHARSET.fullmatch(charset):
            return None
        try:
            text = raw.decode(charset)
            return text if text.encode(charset) == raw else None
        except (LookupError, ValueError):
            return None


def parse(text: str) -> MediaType:
    """The type in the text; with an unknown charset if its parameters cannot be parsed."""
    essence = text.partition(";")[0]
    main, _, sub = essence.strip().lower().partition("/")
    if len(text) > MOST_CHARACTERS:
        return MediaType(main, sub, UNKNOWN)
    charset: str | None = None
    at = len(essence)
    while at < len(text):
        match = PARAMETER.match(text, at)
        if match is None:
            return MediaType(main, sub, UNKNOWN)
        name, quoted, plain = match.groups()
        if name is not None and name.lower().startswith("charset") and charset is None:
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            charset = value.lower() if name.lower() == "charset" else UNKNOWN  # split as in RFC 2231
        at = match.end()
    return MediaType(main, sub, charset)
