"""The gate that all requests and WebSockets pass first: it checks their host, their origin and their encodings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventscope.errors import BadInput, to_client
from eventscope.http.edge.compression import MOST_HEADER, NotAcceptable, compress_from, min_size
from eventscope.http.edge.hosts import Hosts
from eventscope.http.edge.origins import Origins
from eventscope.http.edge.proxies import Proxies
from eventscope.http.refusals import error_response
from eventscope.settings import Settings, variable

HeaderMap: TypeAlias = dict[bytes, bytes]

# for machines, which may know this one by any name; these paths give numbers, and no data
OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
SINGLE: Final = (b"host", b"origin", b"sec-fetch-site")
PREFLIGHT_SECONDS: Final = "7200"  # Chromium caches for no longer
QUOTED: Final = 80  # characters of a header in an error


@dataclass(frozen=True, slots=True)
class Rules:
    """Which hosts, origins and proxies are allowed."""

    hosts: Hosts
    origins: Origins
    proxies: Proxies

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """The rules of these settings."""
        origins = Origins(settings.origins)
        return cls(Hosts((*settings.hosts, settings.host.lower(), *origins.hosts)), origins, Proxies(settings.proxies))


class Gate:
    """Middleware that passes on only what the rules allow.

    `is_data` says whether a request is for data, which pages of other sites may not read.
    """

    def __init__(self, app: ASGIApp, rules: Rules, is_data: Callable[[Scope], bool]) -> None:
        self._app = app
        self._hosts = rules.hosts
        self._origins = rules.origins
        self._proxies = rules.proxies
        self._is_data = is_data
        # constant, but needed for each request
        self._has_origins, self._has_proxies = bool(rules.origins), bool(rules.proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket, or refuse it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        headers: HeaderMap = dict(scope["headers"])
        if self._has_origins and self._is_data(scope):
            send = self._readable(send, headers.get(b"origin"))
        hosts = self._hosts_of(scope, headers) if self._has_proxies else (headers.get(b"host", b""),)
        answer = self._refusal(scope, headers, hosts)
        if answer is None and scope.get("method") == "OPTIONS":
            answer = self._preflight(scope, headers)
        if answer is None and (accept := headers.get(b"accept-encoding")) is not None and len(accept) <= MOST_HEADER:
            try:
                least = min_size(accept)
            except NotAcceptable:
                answer = _refuse(406, "Answers are gzip or identity, but Accept-Encoding excludes both")
            else:
                send = send if least is None else compress_from(send, least)
        await (answer or self._app)(scope, receive, send)

    def _hosts_of(self, scope: Scope, headers: HeaderMap) -> tuple[bytes, ...]:
        """The host of the request, and the one that a trusted proxy reports; sets the client that the proxy reports."""
        host = headers.get(b"host", b"")
        client = scope.get("client")
        forwarded = self._proxies.forwarded(client[0], scope["headers"]) if client else None
        if forwarded is None:
            return (host,)
        scope["client"] = (forwarded.client, 0)
        return (host,) if forwarded.host is None else (host, forwarded.host)

    def _refusal(self, scope: Scope, headers: HeaderMap, hosts: tuple[bytes, ...]) -> Response | None:
        raw = scope["headers"]
        if len(headers) < len(raw):
            for single in SINGLE:
                if sum(name == single for name, _ in raw) > 1:
                    return _refuse(400, f"The header {single.decode()} is given more than once")
        for host in hosts:
            if not self._hosts.allows(host):
                return self._unknown(host)
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if site is None and origin is None:
            return None
        if self._origins.is_foreign(site, origin, hosts) and self._is_data(scope):
            return _refuse(
                403,
                f"Pages of {'another site' if origin is None else _quoted(origin)} may not use {_quoted(hosts[-1])}; "
                f"if they should, add their origin to {variable('origins')}, and if it is this API's own, "
                "have the proxy in front of it pass on the header Host",
            )
        return None

    def _unknown(self, host: bytes) -> Response:
        if self._hosts.allows(host) is None:
            return _refuse(400, f"The header Host is missing, or no name or address of a server: {_quoted(host)}")
        return _refuse(
            421, f"This API is not known as {_quoted(host)}; if it should be, add the name to {variable('hosts')}"
        )

    def _preflight(self, scope: Scope, headers: HeaderMap) -> Response | None:
        """The answer to a browser's preflight request (OPTIONS); None if the request is not one or is not allowed."""
        if b"access-control-request-method" not in headers:
            return None
        if not (self._origins.allows(headers.get(b"origin")) and self._is_data(scope)):
            return None
        allowed = {"access-control-allow-methods": "GET, POST", "access-control-max-age": PREFLIGHT_SECONDS}
        if (names := headers.get(b"access-control-request-headers")) is not None:
            allowed["access-control-allow-headers"] = names.decode("latin-1")
        if b"access-control-request-private-network" in headers:
            allowed["access-control-allow-private-network"] = "true"
        vary = "Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"
        return Response(None, 204, allowed | {"vary": vary})

    def _readable(self, send: Send, origin: bytes | None) -> Send:
        """`send`, wrapped so that pages of that origin may read the answers if the origin is listed."""
        more = [] if self._origins.any else [(b"vary", b"Origin")]
        if origin is not None and self._origins.allows(origin):
            allowed = b"*" if self._origins.any else origin
            more += [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", b"*")]

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        return send_readable


def _quoted(header: bytes) -> str:
    return repr(header[:QUOTED].decode("latin-1"))


def _refuse(status: int, message: str) -> Response:
    return error_response(status, to_client(BadInput(message)))
