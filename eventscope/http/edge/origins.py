"""Which pages may use the API, by the headers `Origin` and `Sec-Fetch-Site` that browsers send. No I/O.

A request with neither is from another program, or from a browser in which a person typed the address.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from strawberry.http.websocket_origin import is_same_origin, normalize_allowed_origins, normalize_origin

ANY: Final = "*"
OWN: Final = frozenset({b"same-origin", b"none"})  # none: a person typed the address, or opened a bookmark
MOST: Final = 400  # bytes of a valid header


class Origins:
    """The origins of other sites whose pages may use the API; `*` stands for all of them."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = normalize_allowed_origins(origins)
        self.any = ANY in self._origins
        self._cached_check = lru_cache(1024)(self._is_listed)

    def __bool__(self) -> bool:
        return bool(self._origins)

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts of these origins. Requests to such a host are answered too, as its pages may use the API anyway."""
        return frozenset(ANY if one == ANY else urlsplit(one).hostname or "" for one in self._origins)

    def allows(self, origin: bytes | None) -> bool:
        """Whether pages of that origin, None if unknown, may use the API from another site."""
        return self.any or (origin is not None and len(origin) <= MOST and self._cached_check(origin))

    def is_foreign(self, site: bytes | None, origin: bytes | None, hosts: Sequence[bytes]) -> bool:
        """Whether a request is from a page that is neither our own, at these hosts, nor of a listed origin."""
        if self.allows(origin):
            return False
        if site is not None:  # only the browser can set it; a page cannot
            return site not in OWN
        return origin is not None and not any(is_same_origin(_text(origin), _text(host)) for host in hosts)

    def _is_listed(self, origin: bytes) -> bool:
        return normalize_origin(_text(origin)) in self._origins


def _text(header: bytes) -> str:
    return header.decode("latin-1")
