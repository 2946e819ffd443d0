"""The page for browsers at /graphql: GraphiQL if it was built (`make web`), or else a plain one.

Neither page loads anything from another host, and the content security policy forbids it.
"""

import gzip
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from eventscope.http.accept import parse_accept

BUILT = Path(__file__).parents[1] / "page"
PLAIN = Path(__file__).parents[1] / "fallback"
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; "
    # Monaco places its lines with style attributes
    "style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)

_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# not from the machine's own table: if that calls .js plain text, then nosniff keeps browsers from running it
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
}
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_JSON = {"application/json", "application/graphql-response+json"}


def wants_html(request: Request) -> bool:
    """Whether a browser requests the page: by a GET that prefers HTML to a GraphQL answer."""
    if request.method not in {"GET", "HEAD"}:
        return False
    ranked = sorted(parse_accept(request.headers.get("accept", "")), key=lambda pair: -pair[1])
    kinds = [kind for kind, weight in ranked if weight > 0 and (kind == "text/html" or kind in _JSON)]
    return kinds[:1] == ["text/html"]


def html(built: Path = BUILT) -> Response:
    """The page itself."""
    folder = built if (built / "index.html").is_file() else PLAIN
    headers = _SAFE | {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
        "Vary": "Accept, Accept-Encoding",
    }
    return Response((folder / "index.html").read_bytes(), media_type="text/html", headers=headers)


def routes(built: Path = BUILT) -> list[Route]:
    """The files that the pages load."""

    # not async, since it reads files: Starlette runs it in a thread
    def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if not _NAME.fullmatch(name):
            return _missing()
        file = built / "assets" / f"{name}.gz"
        if file.is_file():
            # its name contains a hash of its content
            return _gzip_response(request, file, name, _SAFE | {"Cache-Control": "public, max-age=31536000, immutable"})
        if (PLAIN / name).is_file() and Path(name).suffix in _TYPES:
            return FileResponse(PLAIN / name, media_type=_type(name), headers=_SAFE | {"Cache-Control": "no-cache"})
        return _missing()

    return [Route("/graphql/assets/{name}", asset, methods=["GET"])]


def _gzip_response(request: Request, file: Path, name: str, headers: dict[str, str]) -> Response:
    headers = headers | {"Vary": "Accept-Encoding"}
    weights = dict(parse_accept(request.headers.get("accept-encoding", "")))
    if weights.get("gzip", weights.get("*", 0)) > 0:
        return FileResponse(file, media_type=_type(name), headers=headers | {"Content-Encoding": "gzip"})
    return Response(gzip.decompress(file.read_bytes()), media_type=_type(name), headers=headers)


def _missing() -> Response:
    return PlainTextResponse("there is no such file", status_code=404, headers=_SAFE)


def _type(name: str) -> str:
    return _TYPES.get(Path(name).suffix, "application/octet-stream")
