"""The gate that all requests and WebSockets come through first: who asks, by which name, and for whose page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventscope.errors import BadInput, to_client
from eventscope.http.edge.compression import MOST_HEADER, NotAcceptable, packing, smallest
from eventscope.http.edge.hosts import Hosts
from eventscope.http.edge.origins import Origins
from eventscope.http.edge.proxies import Proxies
from eventscope.http.refusals import error_response
from eventscope.settings import Settings, variable

HeaderMap: TypeAlias = dict[bytes, bytes]

# asked by machines, under whatever name they have for this one; there are numbers to be had, and no data
OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
ONCE: Final = (b"host", b"origin", b"sec-fetch-site")
REMEMBERED: Final = "7200"  # seconds; Chromium remembers for no longer
SHOWN: Final = 80  # letters of a header in an error


@dataclass(frozen=True, slots=True)
class Rules:
    """What is let through."""

    hosts: Hosts
    origins: Origins
    proxies: Proxies

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """The rules of these settings."""
        origins = Origins(settings.origins)
        return cls(Hosts((*settings.hosts, settings.host.lower(), *origins.hosts)), origins, Proxies(settings.proxies))


class Gate:
    """An application that gets only what the rules let through.

    `is_data` tells whether a request is for something that pages of other sites may not have.
    """

    def __init__(self, app: ASGIApp, rules: Rules, is_data: Callable[[Scope], bool]) -> None:
        self._app = app
        self._hosts = rules.hosts
        self._origins = rules.origins
        self._proxies = rules.proxies
        self._is_data = is_data
        # asked for each request, and the same for ever
        self._has_origins, self._has_proxies = bool(rules.origins), bool(rules.proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket, or refuse it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        headers: HeaderMap = dict(scope["headers"])
        if self._has_origins and self._is_data(scope):
            send = self._readable(send, headers.get(b"origin"))
        hosts = self._asked(scope, headers) if self._has_proxies else (headers.get(b"host", b""),)
        answer = self._refusal(scope, headers, hosts)
        if answer is None and scope.get("method") == "OPTIONS":
            answer = self._preflight(scope, headers)
        if answer is None and (taken := headers.get(b"accept-encoding")) is not None and len(taken) <= MOST_HEADER:
            try:
                least = smallest(taken)
            except NotAcceptable:
                answer = _refused(406, "Answers come as gzip or identity, and Accept-Encoding takes neither")
            else:
                send = send if least is None else packing(send, least)
        await (answer or self._app)(scope, receive, send)

    def _asked(self, scope: Scope, headers: HeaderMap) -> tuple[bytes, ...]:
        """The hosts that were asked: ours, and that of a proxy before us; whose client then is the client."""
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
            for once in ONCE:
                if sum(name == once for name, _ in raw) > 1:
                    return _refused(400, f"The header {once.decode()} is given more than once")
        for host in hosts:
            if not self._hosts.takes(host):
                return self._unknown(host)
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if site is None and origin is None:
            return None
        if self._origins.refuses(site, origin, hosts) and self._is_data(scope):
            return _refused(
                403,
                f"Pages of {'another site' if origin is None else _shown(origin)} may not ask {_shown(hosts[-1])}; "
                f"if they should, name their origin in {variable('origins')}, and if it is this API's own, "
                "let the proxy before it pass on the header Host",
            )
        return None

    def _unknown(self, host: bytes) -> Response:
        if self._hosts.takes(host) is None:
            return _refused(400, f"The header Host is missing, or no name or address of a server: {_shown(host)}")
        return _refused(
            421, f"This API is not known as {_shown(host)}; if it should be, add the name to {variable('hosts')}"
        )

    def _preflight(self, scope: Scope, headers: HeaderMap) -> Response | None:
        """The answer to a browser that asks beforehand, by OPTIONS, whether a page may ask."""
        if b"access-control-request-method" not in headers:
            return None
        if not (self._origins.takes(headers.get(b"origin")) and self._is_data(scope)):
            return None
        allowed = {"access-control-allow-methods": "GET, POST", "access-control-max-age": REMEMBERED}
        if (asked := headers.get(b"access-control-request-headers")) is not None:
            allowed["access-control-allow-headers"] = asked.decode("latin-1")
        if b"access-control-request-private-network" in headers:
            allowed["access-control-allow-private-network"] = "true"
        vary = "Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"
        return Response(None, 204, allowed | {"vary": vary})

    def _readable(self, send: Send, origin: bytes | None) -> Send:
        """A way to send what pages of that origin may read, if it is listed."""
        more = [] if self._origins.any else [(b"vary", b"Origin")]
        if origin is not None and self._origins.takes(origin):
            allowed = b"*" if self._origins.any else origin
            more += [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", b"*")]

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        return sent


def _shown(header: bytes) -> str:
    return repr(header[:SHOWN].decode("latin-1"))


def _refused(status: int, message: str) -> Response:
    return error_response(status, to_client(BadInput(message)))
