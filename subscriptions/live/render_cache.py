"""Results that were rendered lately, so that late and returning subscribers cost no second execution."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

OVERHEAD: Final = 200  # bytes of an entry besides its text


class RenderCache:
    """Texts by renderer and position; the least recently used are dropped first."""

    def __init__(self, most_bytes: int) -> None:
        self.size = 0
        self._most = most_bytes
        self._texts: OrderedDict[tuple[Hashable, int], str] = OrderedDict()

    def get(self, renderer: Hashable, position: int) -> str | None:
        """The text; None if it is not cached."""
        key = (renderer, position)
        text = self._texts.get(key)
        if text is not None:
            self._texts.move_to_end(key)
        return text

    def clear(self) -> None:
        """Drop all texts."""
        self._texts.clear()
        self.size = 0

    def add(self, renderer: Hashable, position: int, text: str) -> None:
        """Add a text that is not in the cache."""
        size = len(text) + OVERHEAD
        if size > self._most:
            return
        self._texts[renderer, position] = text
        self.size += size
        while self.size > self._most:
            _, oldest = self._texts.popitem(last=False)
            self.size -= len(oldest) + OVERHEAD
