"""Limits the number of open WebSockets and event streams, in all and from one address."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Admission:
    """Counts open connections, in all and by address."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._by_address: Counter[str] = Counter()
        self._all = 0

    @contextmanager
    def admit(self, address: str) -> Iterator[str | None]:
        """Count one more connection for the length of the block and yield None; if that is too many, yield why."""
        if self._all >= self._most:
            yield f"{self._most} connections are open; try again later"
        elif self._by_address[address] >= self._most_per_address:
            yield f"{self._most_per_address} connections are open from this address; close one, or try again later"
        else:
            self._all += 1
            self._by_address[address] += 1
            try:
                yield None
            finally:
                self._all -= 1
                self._by_address[address] -= 1
                if not self._by_address[address]:
                    del self._by_address[address]
