"""Checks the header `Host`: requests for names that are not ours get no answer. No I/O.

The owner of a name can point it at any address (DNS rebinding); to a browser, that owner's pages then have the same
origin as the API. An IP address cannot be pointed elsewhere, nor can the names of this machine itself.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

ANY: Final = "*"
LOCAL: Final = "localhost"
MOST: Final = 300  # bytes of a valid header: a name has at most 253, and a port follows
# RFC 3986, 3.2.2, without characters that names of servers never have; underscores stay, as some networks use them
HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::([0-9]{0,5}))?", re.ASCII)


def name_of(header: str) -> str | None:
    """The name or address in lower case, without its port, brackets and final dot; None if there is none."""
    match = HOST.fullmatch(header.strip(" \t"))
    if match is None or int(match[3] or 0) > 65535:
        return None
    if match[1] is not None:
        return match[1].lower() if _is_ipv6(match[1]) else None
    name = match[2].lower().removesuffix(".")
    return name if all(name.split(".")) else None


class Hosts:
    """The allowed names; `*.example.org` stands for all names below `example.org`, and `*` for any name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset((LOCAL, *names))
        self._suffixes = (f".{LOCAL}", *(name[1:] for name in self._names if name.startswith("*.")))
        self._cached_check = lru_cache(1024)(self._check)

    def allows(self, header: bytes) -> bool | None:
        """Whether requests with this `Host` are answered; None if it is not a valid host."""
        return self._cached_check(header) if len(header) <= MOST else None

    def _check(self, header: bytes) -> bool | None:
        name = name_of(header.decode("latin-1"))
        if name is None:
            return None
        return ANY in self._names or name in self._names or name.endswith(self._suffixes) or _is_address(name)


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
