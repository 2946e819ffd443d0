"""The composition root of the API: here, and only here, its parts are made and put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route, WebSocketRoute

from eventscope import health, page, rest
from eventscope.api_metrics import ApiMetrics, Counted
from eventscope.connections import connected
from eventscope.endpoint import Endpoint
from eventscope.schema.build import build as build_schema
from eventscope.schema.context import Services
from eventscope.settings import Settings
from eventscope.subscriptions.asking import asking
from eventscope.subscriptions.feed import feeding
from eventscope.subscriptions.lag import lag


@asynccontextmanager
async def services(settings: Settings) -> AsyncIterator[Services]:
    """What questions are answered with, for the length of the block."""
    async with (
        connected(settings, "eventscope api") as at,
        feeding(at.nats, settings.stream) as feed,
        asking(at.nats, settings.stream, settings.subjects) as asker,
    ):
        js = at.nats.jetstream()
        yield Services(
            log=at.log,
            feed=feed,
            asker=asker,
            lag=lambda: lag(at.log, js, settings.stream),
            retention=settings.retention,
            nats_version=lambda: _version(at.nats),
            nats_connected=lambda: at.nats.is_connected,
        )


def _version(client: Client) -> str:
    found = client.connected_server_version
    return f"{found.major}.{found.minor}.{found.patch}"


def build(settings: Settings, services: Services) -> Starlette:
    """The application: GraphQL, the page for browsers, REST, health and metrics."""
    metrics = ApiMetrics()
    services.feed.observer = metrics
    endpoint = Endpoint(
        build_schema(metrics),
        services,
        origins=settings.origins,
        seconds=settings.question_seconds,
        page=page.page if settings.graphiql else None,
    )
    return Starlette(
        routes=[
            Route("/graphql", endpoint, methods=None),
            WebSocketRoute("/graphql", endpoint),
            *(page.routes() if settings.graphiql else []),
            *rest.routes(lambda: services.log),
            *health.routes(services),
            metrics.route(services),
        ],
        middleware=[Middleware(Counted, metrics=metrics)],
    )
