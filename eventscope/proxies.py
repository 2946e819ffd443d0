"""The proxy for an address, according to the environment; there is none for this machine itself."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from eventscope.errors import CannotStart
from eventscope.redact import redacted

OVER_HTTP: Final = {"ws": "http", "wss": "https"}


def proxy_to(url: str) -> str | None:
    """The address of the proxy for an `http(s)://` or `ws(s)://` address; None for a direct connection."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_here(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(OVER_HTTP.get(parts.scheme, parts.scheme)) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def through(proxy: str | None) -> str:
    """The part of an error message that names the proxy; empty if there is none."""
    return "" if proxy is None else f" through the proxy {redacted(proxy)} that the environment names"


def unusable(url: str) -> CannotStart:
    """The error to raise if the proxy for that address is of an unsupported kind."""
    return CannotStart(
        f"{redacted(url)} cannot be reached{through(proxy_to(url))}: only http:// and https:// proxies are supported;"
        " name the host in NO_PROXY if it needs no proxy"
    )


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
