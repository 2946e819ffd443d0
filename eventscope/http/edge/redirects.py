"""Redirects, all of them relative: a proxy may have stripped a prefix from the path."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

OVERVIEW = """Eventscope

graphql          GraphQL by POST, by WebSocket and as event streams
events/history   REST, and likewise events/replay, events/aggregate and events/stats
readyz           whether all is well
metrics          for Prometheus
"""


def root(*, has_graphiql: bool) -> Route:
    """`/`, which redirects to GraphiQL, or lists what there is."""

    async def serve(request: Request) -> Response:
        query = request.url.query
        return (
            RedirectResponse(f"graphql?{query}" if query else "graphql")
            if has_graphiql
            else PlainTextResponse(OVERVIEW)
        )

    return Route("/", serve)


def with_slash(paths: Iterable[str]) -> list[Route]:
    """The same paths with a slash at the end, which redirect to those without."""

    async def serve(request: Request) -> Response:
        last, query = request.url.path.rstrip("/").rpartition("/")[2], request.url.query
        return RedirectResponse(f"../{last}?{query}" if query else f"../{last}")

    return [Route(f"{path}/", serve, methods=["GET", "POST"]) for path in paths]
