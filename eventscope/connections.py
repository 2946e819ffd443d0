"""The connections to the two servers that everything depends on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields

from nats.aio.client import Client

from eventscope.errors import CannotStart, EventscopeError
from eventscope.redact import explanation, redacted
from eventscope.settings import Settings, variable
from eventscope.store.log import Log, open_log, synchronise
from eventscope.store.recent_events import RecentEvents
from eventscope.subscriptions.nats import stream
from eventscope.subscriptions.nats.access import Access


@dataclass(frozen=True, slots=True)
class Connections:
    """The log in MongoDB, and NATS."""

    log: Log
    nats: Client


@asynccontextmanager
async def connect_mongo(settings: Settings, recent: RecentEvents | None = None) -> AsyncIterator[Log]:
    """The log for the length of the block; CannotStart if MongoDB is not configured or cannot be reached."""
    require(settings, "mongo_url")
    async with open_log(
        settings.mongo_url,
        settings.mongo_database,
        settings.mongo_driver,
        question_seconds=settings.question_seconds,
        indexed_paths=settings.indexed_paths,
        recent=recent,
    ) as log:
        try:
            await synchronise(log)
        except CannotStart:
            raise
        except EventscopeError as error:
            url = settings.mongo_url
            raise CannotStart(
                f"MongoDB cannot be reached at {redacted(url)} ({explanation(error, url)});"
                f" start it, or give its address with {variable('mongo_url')}"
            ) from error
        yield log


@asynccontextmanager
async def connect(settings: Settings, name: str, recent: RecentEvents | None = None) -> AsyncIterator[Connections]:
    """Connections to both servers for the length of the block; CannotStart if one is unset or unreachable."""
    require(settings, "mongo_url", "nats_url")
    async with connect_mongo(settings, recent) as log, connect_nats(settings, name) as client:
        yield Connections(log, client)


@asynccontextmanager
async def connect_nats(settings: Settings, name: str) -> AsyncIterator[Client]:
    """A connection to NATS for the length of the block; CannotStart if it is not configured or cannot be reached."""
    require(settings, "nats_url")
    client = await stream.connect(settings.nats_url, name, access=access(settings))
    try:
        yield client
    finally:
        await stream.close(client)


def access(settings: Settings) -> Access:
    """The credentials and options for NATS."""
    return Access(**{field.name: getattr(settings, f"nats_{field.name}") for field in fields(Access)})


def require(settings: Settings, *fields: str) -> None:
    """Raise CannotStart if one of these addresses is not set."""
    for field in fields:
        if not getattr(settings, field):
            raise CannotStart(
                f"{variable(field)} is not set: set it to the address of the server, or run `eventscope dev`,"
                " which starts its own servers (in another folder than this one, commands find it with --data-dir)"
            )
