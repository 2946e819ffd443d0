"""Whose word about the client is taken: that of the proxies that are named, and nobody else's. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

FOR: Final = b"x-forwarded-for"
HOST: Final = b"x-forwarded-host"

Address: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What a proxy says of a request: the address it came from, and the host that was asked, if the proxy says so."""

    client: str
    host: bytes | None


class Proxies:
    """Addresses and networks of proxies; ValueError for what is neither."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(map(ip_network, networks))
        self._known = lru_cache(1024)(self._look)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def forwarded(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> Forwarded | None:
        """What the peer says, if it is such a proxy."""
        address = _address(peer)
        if address is None or not self._known(address):
            return None
        clients: list[str] = []
        host: bytes | None = None
        for name, value in headers:
            if name == FOR:
                clients += value.decode("latin-1").split(",")
            elif name == HOST:
                host = value.rpartition(b",")[2].strip()
        return Forwarded(str(self._client(address, clients)), host)

    def _client(self, peer: Address, clients: list[str]) -> Address:
        """Who is behind the proxies: each adds who asked it at the end, behind whatever a client wrote itself."""
        for text in reversed(clients):
            if not self._known(peer) or (before := _address(text)) is None:
                break
            peer = before
        return peer

    def _look(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """The address in a text that may have a port too; None if there is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
