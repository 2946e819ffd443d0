"""Addresses of the API: what a service gives, and what requests and subscriptions use. No I/O."""

from contextlib import suppress
from urllib.parse import urlsplit

from eventscope.errors import BadInput
from eventscope.redact import redacted


def base_url(api_url: str) -> str:
    """The address of the API without `/graphql`; the default scheme is http. BadInput if it is not an address."""
    url = api_url if "://" in api_url else f"http://{api_url}"
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return url.rstrip("/").removesuffix("/graphql")
    raise BadInput(f"api_url is {redacted(api_url)[:200]!r}, not an address like http://127.0.0.1:8000", "api_url")


def socket_url(api_url: str) -> str:
    """The address for subscriptions to the API with this `base_url`."""
    return f"{api_url.replace('http', 'ws', 1).rstrip('/')}/graphql"
