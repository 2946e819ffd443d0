"""Following the log from a service: events over graphql-transport-ws, resumed where it broke off, whatever dies.

The cursor of the last event that was handed on is where the next connection begins, so none is lost or comes twice.
"""

import asyncio
import inspect
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidProxy, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from eventscope.client.api import answer_in, error_of
from eventscope.client.event import SELECTION, Event, read
from eventscope.errors import NotAnswered, Unavailable
from eventscope.proxies import proxy_to, through, unusable
from eventscope.redact import redacted

PROTOCOL: Final = Subprotocol("graphql-transport-ws")
FEED: Final = f"""subscription ($filter: EventFilter, $after: String, $from: StartFrom) {{
  events(filter: $filter, after: $after, from: $from) {{
    __typename
    ... on Event {{ {SELECTION} }}
    ... on CaughtUp {{ cursor }}
    ... on FellBehind {{ cursor }}
    ... on Checkpoint {{ cursor }}
    ... on RetentionGap {{ after through }}
  }}
}}"""
LONGEST_PAUSE: Final = 5.0
ACK_SECONDS: Final = 10.0
PING_SECONDS: Final = 10
# what asking again may cure; all else is wrong with the question or with who asks
PASSING: Final = frozenset({"TIMEOUT", "INTERNAL"})
PASSING_STATUS: Final = frozenset({408, 425, 429})

StartFrom: TypeAlias = Literal["NOW", "BEGINNING"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetentionGap:
    """Events between two cursors, which may have been meant, have expired and cannot be delivered."""

    after: str
    through: str


OnGap: TypeAlias = Callable[[RetentionGap], object]


class _BrokeOff(Exception):
    """The connection is of no use any more; the next one may be."""


class Follower:
    """One subscription, over as many connections as it takes, one after the other."""

    def __init__(
        self,
        url: str,
        filter: Mapping[str, Any],
        *,
        after: str | None,
        start: StartFrom,
        on_gap: OnGap | None,
    ) -> None:
        self._url = url
        self._proxy = proxy_to(url)
        self._filter = filter
        self._cursor = after
        self._start = start
        self._on_gap = on_gap
        self._told_through: str | None = None
        self._socket: ClientConnection | None = None
        self._was_there = False
        self._closed = False

    def close(self) -> None:
        """End the subscription: who waits for its next event gets Unavailable."""
        self._closed = True
        if self._socket is not None:
            self._socket.transport.abort()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Every event that is meant, in order, for ever.

        BadInput when the filter or the cursor is none, WrongLog when the cursor is of another log, NotAnswered when the
        API will never answer this subscription.
        """
        async with aclosing(self._deliveries()) as deliveries:
            async for one in deliveries:
                if isinstance(one, Event):
                    yield one
                else:
                    await self._tell(one)

    async def _deliveries(self) -> AsyncGenerator[Event | RetentionGap, None]:
        failures = 0
        while not self._closed:
            before = self._cursor
            try:
                async with aclosing(self._connection()) as deliveries:
                    async for one in deliveries:
                        yield one
            except (ImportError, InvalidProxy):
                raise unusable(self._url) from None
            except (_BrokeOff, WebSocketException, Unavailable, NotAnswered, OSError) as error:
                self._check(error)
                failures = 1 if self._cursor != before else failures + 1
                pause = min(LONGEST_PAUSE, 0.1 * 2**failures) * random.uniform(0.5, 1)
                if not self._closed:
                    way, reason = through(self._proxy), error or repr(error)
                    logger.warning("the subscription broke off%s (%s); it goes on in %.1f s", way, reason, pause)
                    await asyncio.sleep(pause)
        raise Unavailable("the service is closed")

    def _check(self, error: Exception) -> None:
        """Raise what trying again cannot cure."""
        if isinstance(error, NotAnswered) and error.api_code not in PASSING:
            raise error
        if isinstance(error, InvalidStatus) and not self._was_there:
            status = error.response.status_code
            if 400 <= status < 500 and status not in PASSING_STATUS:
                # an API of ours whose /graphql is elsewhere answers with an error too
                if status != 404 and (errors := answer_in(error.response.body or b"").get("errors")):
                    raise error_of(errors[0]) from error
                raise NotAnswered(
                    f"{redacted(self._url)} answers HTTP {status}; is api_url right?", "NOT_GRAPHQL"
                ) from error

    async def _connection(self) -> AsyncGenerator[Event | RetentionGap, None]:
        async with connect(
            self._url,
            proxy=self._proxy,
            subprotocols=[PROTOCOL],
            compression=None,
            max_size=None,  # an event is as large as it is, and the API is trusted
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
        ) as self._socket:
            try:
                await self._subscribe(self._socket)
                while not self._closed:
                    one = self._taken(await _hear(self._socket))
                    if one is not None:
                        yield one
            finally:
                # a closing handshake would wait for a frame that lies behind all that has not been read
                self._socket.transport.abort()

    async def _subscribe(self, socket: ClientConnection) -> None:
        await _say(socket, {"type": "connection_init"})
        async with asyncio.timeout(ACK_SECONDS):
            while (await _hear(socket))["type"] != "connection_ack":
                pass
        self._was_there = True
        variables = {"filter": self._filter, "after": self._cursor, "from": self._start}
        await _say(socket, {"id": "1", "type": "subscribe", "payload": {"query": FEED, "variables": variables}})

    def _taken(self, message: Mapping[str, Any]) -> Event | RetentionGap | None:
        """What the message delivers, if anything; the cursor moves along."""
        match message["type"]:
            case "next" if not message["payload"].get("errors"):
                return self._delivered(message["payload"]["data"]["events"])
            case "next":
                raise error_of(message["payload"]["errors"][0])
            case "error":
                raise error_of(message["payload"][0])
            case "complete":
                raise _BrokeOff("the API ended it")
            case _:
                return None

    def _delivered(self, delivery: Mapping[str, Any]) -> Event | RetentionGap | None:
        if delivery["__typename"] == "RetentionGap":
            # the cursor stays: events that are kept for longer lie within the gap
            return RetentionGap(delivery["after"], delivery["through"])
        self._cursor = delivery.get("cursor", self._cursor)
        return read(delivery) if delivery["__typename"] == "Event" else None

    async def _tell(self, gap: RetentionGap) -> None:
        if gap.through == self._told_through:  # on an earlier connection
            return
        self._told_through = gap.through
        if self._on_gap is None:
            logger.error(
                "events after the cursor %s up to %s have expired and are not delivered", gap.after, gap.through
            )
        else:
            await called(self._on_gap, gap)


async def called(callback: Callable[[Any], object], value: object) -> None:
    """Call it, and wait for what it returns if that can be waited for."""
    outcome = callback(value)
    if inspect.isawaitable(outcome):
        await outcome


async def _say(socket: ClientConnection, message: Mapping[str, Any]) -> None:
    await socket.send(orjson.dumps(message).decode())


async def _hear(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(await socket.recv())
    if message["type"] == "ping":
        await _say(socket, {"type": "pong"})
    return message
