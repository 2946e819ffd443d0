"""What a writer remembers of the batches it wrote, so that it need not read it from MongoDB for the next one.

It is valid as long as the lease: any other writer moves the checkpoint, so the next batch fails, and its writer is
discarded together with this cache.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from eventscope.store.heads import AggregateName
from eventscope.store.values.documents import Head

MOST: Final = 50_000  # heads, of about a kilobyte each
LOOK_UPS: Final = 8  # batches without a duplicate, after which duplicates are no longer looked up beforehand


class WriterCache:
    """The most recently used heads, and whether duplicates came lately."""

    def __init__(self, most: int = MOST, most_look_ups: int = LOOK_UPS) -> None:
        self._most = most
        self._most_look_ups = most_look_ups
        self._look_ups = most_look_ups
        self._heads: OrderedDict[AggregateName, Head] = OrderedDict()

    def __len__(self) -> int:
        return len(self._heads)

    def heads(self, names: Iterable[AggregateName]) -> dict[AggregateName, Head]:
        """Those of the heads of these aggregates that are cached."""
        return {name: self._heads[name] for name in names if name in self._heads}

    @property
    def expects_duplicates(self) -> bool:
        """Whether duplicates are likely, so that looking them up first costs less than a failed write."""
        return self._look_ups > 0

    def note(self, duplicates: int) -> None:
        """Note how many duplicates a batch had."""
        self._look_ups = self._most_look_ups if duplicates else max(0, self._look_ups - 1)

    def keep(self, heads: Mapping[AggregateName, Head]) -> None:
        """Cache these heads, and drop the least recently used ones over the limit."""
        for name, head in heads.items():
            self._heads[name] = head
            self._heads.move_to_end(name)
        while len(self._heads) > self._most:
            self._heads.popitem(last=False)
