"""What a writer remembers of the batches it wrote, so that it need not ask MongoDB again for the next one.

It holds as long as the lease does: whoever else writes moves the checkpoint, and then the batch fails and all of this
is forgotten with its writer.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from eventscope.store.heads import AggregateName
from eventscope.store.values.documents import Head

MOST: Final = 50_000  # heads, of about a kilobyte each
WATCHFUL: Final = 8  # batches without a known message, after which the next is not looked for beforehand


class WriterCache:
    """The heads that were used last, and for how many batches no message came that was known already."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._watchful = WATCHFUL
        self._heads: OrderedDict[AggregateName, Head] = OrderedDict()

    def __len__(self) -> int:
        return len(self._heads)

    def known(self, names: Iterable[AggregateName]) -> dict[AggregateName, Head]:
        """Those of the heads that are remembered."""
        return {name: self._heads[name] for name in names if name in self._heads}

    @property
    def watchful(self) -> bool:
        """Whether known messages are to be expected, so that looking for them first is less work than failing."""
        return self._watchful > 0

    def saw(self, duplicates: int) -> None:
        """Note how many messages of a batch were known already."""
        self._watchful = WATCHFUL if duplicates else max(0, self._watchful - 1)

    def keep(self, heads: Mapping[AggregateName, Head]) -> None:
        """Remember these, and forget those that were not used for longest where there is no room."""
        for name, head in heads.items():
            self._heads[name] = head
            self._heads.move_to_end(name)
        while len(self._heads) > self._most:
            self._heads.popitem(last=False)
