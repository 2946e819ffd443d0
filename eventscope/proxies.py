"""The proxy that leads to an address, as the environment says; to this machine itself none does."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from eventscope.errors import CannotStart
from eventscope.redact import redacted

OVER_HTTP: Final = {"ws": "http", "wss": "https"}


def proxy_to(url: str) -> str | None:
    """The address of the proxy for `http(s)://` or `ws(s)://`; None where it is asked directly."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_here(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    found = proxies.get(OVER_HTTP.get(parts.scheme, parts.scheme)) or proxies.get("all")
    return f"http://{found}" if found and "://" not in found else found


def through(proxy: str | None) -> str:
    """Words for a message about what went wrong on the way: empty where there is no proxy."""
    return "" if proxy is None else f" through the proxy {redacted(proxy)} that the environment names"


def unusable(url: str) -> CannotStart:
    """What to raise where the proxy to that address is of a kind that cannot be used."""
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
