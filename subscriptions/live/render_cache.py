"""Results that were written out lately, so that whoever comes late, or comes back, costs no second execution."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

BESIDE: Final = 200  # bytes that an entry takes beside its text


class RenderCache:
    """Texts by who made them of which position; those that were not asked for the longest make room."""

    def __init__(self, most_bytes: int) -> None:
        self.held = 0
        self._most = most_bytes
        self._known: OrderedDict[tuple[Hashable, int], str] = OrderedDict()

    def get(self, maker: Hashable, position: int) -> str | None:
        """The text, if it is known."""
        key = (maker, position)
        text = self._known.get(key)
        if text is not None:
            self._known.move_to_end(key)
        return text

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
        self.held = 0

    def add(self, maker: Hashable, position: int, text: str) -> None:
        """Remember a text that is not known."""
        size = len(text) + BESIDE
        if size > self._most:
            return
        self._known[maker, position] = text
        self.held += size
        while self.held > self._most:
            _, dropped = self._known.popitem(last=False)
            self.held -= len(dropped) + BESIDE
