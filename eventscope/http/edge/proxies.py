"""Trusts the proxies in the settings, and nobody else, about the client's address and the host. No I/O."""

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
    """What a proxy reports of a request: the client's address, and the host that the client used, if known."""

    client: str
    host: bytes | None


class Proxies:
    """Addresses and networks of trusted proxies; raises ValueError for anything else."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(map(ip_network, networks))
        self._is_trusted = lru_cache(1024)(self._look_up)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def forwarded(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> Forwarded | None:
        """What the peer reports, if it is a trusted proxy."""
        address = _address(peer)
        if address is None or not self._is_trusted(address):
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
        """The client behind the proxies. Each appends its own peer, after whatever the client itself sent.

        So the list is read from its end, for as long as the reporter is trusted: a client can forge only entries that
        are never reached.
        """
        for text in reversed(clients):
            if not self._is_trusted(peer) or (previous := _address(text)) is None:
                break
            peer = previous
        return peer

    def _look_up(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """The address in a text, which may include a port; None if there is none."""
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
