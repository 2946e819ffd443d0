"""Addresses that lead to others, all of them relative: a proxy may have taken a prefix off what was asked."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

NO_PAGE = """Eventscope

graphql          GraphQL by POST, by WebSocket and as event streams
events/history   REST, and likewise events/replay, events/aggregate and events/stats
readyz           whether all is well
metrics          for Prometheus
"""


def root(*, has_page: bool) -> Route:
    """`/`, which leads to the page, or says what there is instead."""

    async def serve(request: Request) -> Response:
        query = request.url.query
        return RedirectResponse(f"graphql?{query}" if query else "graphql") if has_page else PlainTextResponse(NO_PAGE)

    return Route("/", serve)


def with_slash(paths: Iterable[str]) -> list[Route]:
    """The same paths with a slash at the end, which lead to those without."""

    async def serve(request: Request) -> Response:
        last, query = request.url.path.rstrip("/").rpartition("/")[2], request.url.query
        return RedirectResponse(f"../{last}?{query}" if query else f"../{last}")

    return [Route(f"{path}/", serve, methods=["GET", "POST"]) for path in paths]
