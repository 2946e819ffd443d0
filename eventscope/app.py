"""The composition root of the API: its parts are created and put together here, and only here."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Final

from nats.aio.client import Client
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from eventscope.connections import connect
from eventscope.http import graphiql, health, refusals, rest
from eventscope.http.admission import Admission
from eventscope.http.edge import redirects
from eventscope.http.edge.gate import Gate, Rules
from eventscope.http.endpoint import Endpoint
from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.metrics.api import ApiMetrics, RequestCounter
from eventscope.metrics.workers import SiblingMetrics
from eventscope.schema.build import build as build_schema
from eventscope.schema.compiled import fallbacks, self_check
from eventscope.schema.context import Services
from eventscope.schema.direct import Direct
from eventscope.schema.limits.limits import Limits
from eventscope.settings import Settings
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.mongo.permits import Permits
from eventscope.store.recent_events import RecentEvents
from eventscope.subscriptions.current.aggregates import AggregateUpdates
from eventscope.subscriptions.current.changes import ChangeNotifier
from eventscope.subscriptions.current.queries import SharedQueries
from eventscope.subscriptions.ingest.lag import lag
from eventscope.subscriptions.live.feed import open_feed
from eventscope.subscriptions.live.hub import open_hub
from eventscope.subscriptions.live.log_key import LogKey
from eventscope.subscriptions.live.recent_events import keep_recent_events
from eventscope.subscriptions.live.subscriber import SendBudget
from eventscope.subscriptions.nats.client import violations_text
from eventscope.subscriptions.publish.confirmed import open_confirmed

GRAPHQL: Final = "/graphql"
EVENTS: Final = "/events/"


@asynccontextmanager
async def services(settings: Settings) -> AsyncIterator[Services]:
    """The services that answer requests, for the length of the block; CannotStart if a server cannot be reached."""
    async with (
        connect(
            settings, "eventscope api", RecentEvents(settings.tail_events) if settings.tail_events else None
        ) as connections,
        open_feed(connections.log, connections.nats, settings.stream) as feed,
        keep_recent_events(connections.log, feed),
        open_hub(connections.log, feed, SendBudget(settings.live_client_bytes, settings.live_total_bytes)) as hub,
        open_confirmed(connections.nats, settings.stream, settings.subjects, LogKey(connections.log)) as publisher,
    ):
        notifier = ChangeNotifier(connections.log, feed)
        yield Services(
            log=connections.log,
            feed=feed,
            hub=hub,
            aggregate_updates=AggregateUpdates(connections.log, notifier),
            shared_queries=SharedQueries(notifier),
            publisher=publisher,
            lag=lambda: lag(connections.log, connections.nats, settings.stream),
            retention=settings.retention,
            nats_version=lambda: _version(connections.nats),
            nats_connected=lambda: connections.nats.is_connected,
            # clients choose the types of events: it is not our fault if NATS lets nobody publish some of them
            nats_refusal=lambda: violations_text(connections.nats, apart=settings.subjects),
            limits=limits(settings),
            # wait for at most half of the time that an answer may take: the other half is for building it
            permits=Permits(settings.large_answers, settings.question_seconds / 2),
        )


def limits(settings: Settings) -> Limits:
    """The limits of one operation."""
    return Limits(**{field.name: getattr(settings, f"most_{field.name}") for field in fields(Limits)})


def _version(client: Client) -> str:
    version = client.connected_server_version
    return f"{version.major}.{version.minor}.{version.patch}"


class Application(Starlette):
    """The application, in which requests to `/graphql` skip middleware and routes to save time."""

    def __init__(self, graphql: ASGIApp, routes: Sequence[BaseRoute], middleware: Sequence[Middleware]) -> None:
        super().__init__(routes=routes, middleware=middleware, exception_handlers={HTTPException: refusals.answer})
        self.router.redirect_slashes = False  # such redirects are absolute, and ignore prefixes that proxies strip
        self._graphql = graphql

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "http" and scope["path"] == GRAPHQL:
            await self._graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def build(
    settings: Settings,
    services: Services,
    metrics: ApiMetrics | None = None,
    siblings: SiblingMetrics | None = None,
    http_limits: HttpLimits | None = None,
) -> Starlette:
    """The application: GraphQL, the page for browsers, REST, health, and metrics with those of sibling workers."""
    metrics, http_limits = metrics or ApiMetrics(), http_limits or HttpLimits()
    services.feed.observer = metrics
    services.publisher.trust.on_distrust = metrics.distrusted_answer
    compiled = settings.compiled and self_check.passes()
    if settings.compiled and not compiled:
        metrics.on_fallback(fallbacks.SELF_CHECK)
    schema = build_schema(metrics, services.limits, settings.question_seconds, compiled=compiled)
    rules = Rules.of(settings)
    endpoint = Endpoint(
        schema,
        services,
        html=graphiql.html if settings.graphiql else None,
        admission=Admission(settings.connections, settings.connections_per_address),
        direct=Direct(schema, services.limits, settings.question_seconds, metrics) if compiled else None,
        limits=http_limits,
    )

    def is_data(scope: Scope) -> bool:
        """Whether a request is for data, and not for the page or its files."""
        path: str = scope["path"]
        if path.removesuffix("/") == GRAPHQL:
            return scope["type"] == "websocket" or not (settings.graphiql and graphiql.wants_html(Request(scope)))
        return path.startswith(EVENTS)

    answers = [
        Route(GRAPHQL, endpoint, methods=None),
        *rest.routes(lambda: services.log, lambda: ReadBudget(services.limits.bytes, permits=services.permits)),
        *health.routes(services, http_limits.look_seconds),
        metrics.route(services, siblings),
    ]
    return Application(
        RequestCounter(Gate(endpoint, rules, is_data), metrics),
        routes=[
            *answers,
            *(WebSocketRoute(path, endpoint) for path in (GRAPHQL, f"{GRAPHQL}/")),  # clients do not follow redirects
            *(graphiql.routes() if settings.graphiql else []),
            redirects.root(has_graphiql=settings.graphiql),
            *redirects.with_slash(route.path for route in answers),
            rest.other(),
            refusals.no_websocket(),
        ],
        middleware=[Middleware(RequestCounter, metrics=metrics), Middleware(Gate, rules=rules, is_data=is_data)],
    )
