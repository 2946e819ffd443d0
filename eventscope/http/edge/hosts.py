"""Which names this API answers to, by the header `Host`: pages of a name that somebody else owns get no answer. No I/O.

A name may be made to lead to any address (DNS rebinding), and to a browser the pages of that name are then of the same
origin as the API. An address cannot be made to lead elsewhere, nor can the names of this machine itself.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

ANY: Final = "*"
LOCAL: Final = "localhost"
MOST: Final = 300  # bytes of a header that is looked at: a name has at most 253, and a port follows
# RFC 3986, 3.2.2 without what no server's name has; some networks have underscores in theirs
HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::([0-9]{0,5}))?", re.ASCII)


def name_of(header: str) -> str | None:
    """The name or address in lower case, without its port, brackets and final dot; None if there is none."""
    found = HOST.fullmatch(header.strip(" \t"))
    if found is None or int(found[3] or 0) > 65535:
        return None
    if found[1] is not None:
        return found[1].lower() if _is_ipv6(found[1]) else None
    name = found[2].lower().removesuffix(".")
    return name if all(name.split(".")) else None


class Hosts:
    """The names that are taken: `*.` before one stands for all names below it, and `*` alone for any."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset((LOCAL, *names))
        self._below = (f".{LOCAL}", *(name[1:] for name in self._names if name.startswith("*.")))
        self._known = lru_cache(1024)(self._look)

    def takes(self, header: bytes) -> bool | None:
        """Whether requests with this `Host` are answered; None when it is no host at all."""
        return self._known(header) if len(header) <= MOST else None

    def _look(self, header: bytes) -> bool | None:
        name = name_of(header.decode("latin-1"))
        if name is None:
            return None
        return ANY in self._names or name in self._names or name.endswith(self._below) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
