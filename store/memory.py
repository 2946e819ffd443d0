"""What a writer remembers of the heads it wrote, so that it need not read them again for the next batch.

It holds as long as the lease does: whoever else writes moves the checkpoint, and then the batch fails and all of this
is forgotten with its writer.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from eventscope.store.documents import Head

MOST: Final = 50_000  # heads, of about a kilobyte each

Name: TypeAlias = tuple[str, str]


class Memory:
    """The heads that were used last."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._heads: OrderedDict[Name, Head] = OrderedDict()

    def __len__(self) -> int:
        return len(self._heads)

    def known(self, names: Iterable[Name]) -> dict[Name, Head]:
        """Those of the heads that are remembered."""
        return {name: self._heads[name] for name in names if name in self._heads}

    def keep(self, heads: Mapping[Name, Head]) -> None:
        """Remember these, and forget those that were not used for longest where there is no room."""
        for name, head in heads.items():
            self._heads[name] = head
            self._heads.move_to_end(name)
        while len(self._heads) > self._most:
            self._heads.popitem(last=False)
