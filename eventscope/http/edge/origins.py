"""Which pages may ask, by the headers `Origin` and `Sec-Fetch-Site` that browsers send. No I/O.

What sends neither is no browser, or it is one that opens what somebody typed.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from strawberry.http.websocket_origin import is_same_origin, normalize_allowed_origins, normalize_origin

ANY: Final = "*"
OWN: Final = frozenset({b"same-origin", b"none"})  # none: somebody typed the address, or opened a bookmark
MOST: Final = 400  # bytes of a header that is looked at


class Origins:
    """The origins of other sites whose pages may ask; `*` stands for all of them."""

    def __init__(self, listed: Iterable[str]) -> None:
        self._listed = normalize_allowed_origins(listed)
        self.any = ANY in self._listed
        self._known = lru_cache(1024)(self._look)

    def __bool__(self) -> bool:
        return bool(self._listed)

    @property
    def hosts(self) -> frozenset[str]:
        """Their names: pages of such a name may ask in any case, so it does no harm if the name leads here."""
        return frozenset(ANY if one == ANY else urlsplit(one).hostname or "" for one in self._listed)

    def takes(self, origin: bytes | None) -> bool:
        """Whether pages of that origin, or of one that is not said, may ask."""
        return self.any or (origin is not None and len(origin) <= MOST and self._known(origin))

    def refuses(self, site: bytes | None, origin: bytes | None, hosts: Sequence[bytes]) -> bool:
        """Whether a page asks that is not one of ours, at these hosts, nor of an origin that is listed."""
        if self.takes(origin):
            return False
        if site is not None:  # which no page can write itself
            return site not in OWN
        return origin is not None and not any(is_same_origin(_text(origin), _text(host)) for host in hosts)

    def _look(self, origin: bytes) -> bool:
        return normalize_origin(_text(origin)) in self._listed


def _text(header: bytes) -> str:
    return header.decode("latin-1")
