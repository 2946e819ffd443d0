"""Subscriptions to events over graphql-transport-ws, resumed after every broken connection.

Each connection starts after the cursor of the last event that was delivered, so none is lost or delivered twice.
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

from eventscope.client.api import api_error, parse_answer
from eventscope.client.event import SELECTION, Event, parse_event
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
# a retry may succeed after these; all other errors are the subscription's or the client's fault
TRANSIENT: Final = frozenset({"TIMEOUT", "INTERNAL"})
TRANSIENT_STATUS: Final = frozenset({408, 425, 429})

StartFrom: TypeAlias = Literal["NOW", "BEGINNING"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetentionGap:
    """Events after one cursor up to another have expired, and those that would match cannot be delivered."""

    after: str
    through: str


OnGap: TypeAlias = Callable[[RetentionGap], object]


class _Ended(Exception):
    """The API ended the subscription; the next connection resumes it."""


class EventSubscription:
    """One subscription, over one connection after another."""

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
        self._reported_through: str | None = None
        self._socket: ClientConnection | None = None
        self._is_acknowledged = False
        self._closed = False

    def close(self) -> None:
        """End the subscription: waiting for its next event raises Unavailable."""
        self._closed = True
        if self._socket is not None:
            self._socket.transport.abort()

    async def events(self) -> AsyncGenerator[Event, None]:
        """All matching events, in order, without end.

        Raises BadInput for a wrong filter or cursor, WrongLog for a cursor of another log, and NotAnswered for any
        other refusal that a retry cannot change.
        """
        async with aclosing(self._deliveries()) as deliveries:
            async for delivery in deliveries:
                if isinstance(delivery, Event):
                    yield delivery
                else:
                    await self._report(delivery)

    async def _deliveries(self) -> AsyncGenerator[Event | RetentionGap, None]:
        failures = 0
        while not self._closed:
            before = self._cursor
            try:
                async with aclosing(self._connection()) as deliveries:
                    async for delivery in deliveries:
                        yield delivery
            except (ImportError, InvalidProxy):
                raise unusable(self._url) from None
            except (_Ended, WebSocketException, Unavailable, NotAnswered, OSError) as error:
                self._raise_permanent(error)
                failures = 1 if self._cursor != before else failures + 1
                pause = min(LONGEST_PAUSE, 0.1 * 2**failures) * random.uniform(0.5, 1)
                if not self._closed:
                    way, reason = through(self._proxy), error or repr(error)
                    logger.warning("the subscription was interrupted%s (%s); it resumes in %.1f s", way, reason, pause)
                    await asyncio.sleep(pause)
        raise Unavailable("the service is closed")

    def _raise_permanent(self, error: Exception) -> None:
        """Raise the error if a retry cannot cure it."""
        if isinstance(error, NotAnswered) and error.api_code not in TRANSIENT:
            raise error
        if isinstance(error, InvalidStatus) and not self._is_acknowledged:
            status = error.response.status_code
            if 400 <= status < 500 and status not in TRANSIENT_STATUS:
                # a 404 with errors comes from an Eventscope API too, but from another path than /graphql
                if status != 404 and (errors := parse_answer(error.response.body or b"").get("errors")):
                    raise api_error(errors[0]) from error
                raise NotAnswered(
                    f"{redacted(self._url)} answers HTTP {status}; is api_url right?", "NOT_GRAPHQL"
                ) from error

    async def _connection(self) -> AsyncGenerator[Event | RetentionGap, None]:
        async with connect(
            self._url,
            proxy=self._proxy,
            subprotocols=[PROTOCOL],
            compression=None,
            max_size=None,  # events may be of any size, and the API is trusted
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
        ) as self._socket:
            try:
                await self._subscribe(self._socket)
                while not self._closed:
                    delivery = self._handle(await _receive(self._socket))
                    if delivery is not None:
                        yield delivery
            finally:
                # a closing handshake would first read all frames that are still waiting
                self._socket.transport.abort()

    async def _subscribe(self, socket: ClientConnection) -> None:
        await _send(socket, {"type": "connection_init"})
        async with asyncio.timeout(ACK_SECONDS):
            while (await _receive(socket))["type"] != "connection_ack":
                pass
        self._is_acknowledged = True
        variables = {"filter": self._filter, "after": self._cursor, "from": self._start}
        await _send(socket, {"id": "1", "type": "subscribe", "payload": {"query": FEED, "variables": variables}})

    def _handle(self, message: Mapping[str, Any]) -> Event | RetentionGap | None:
        """What the message delivers, if anything; moves the cursor. Raises the error that the message reports."""
        match message["type"]:
            case "next" if not message["payload"].get("errors"):
                return self._delivery(message["payload"]["data"]["events"])
            case "next":
                raise api_error(message["payload"]["errors"][0])
            case "error":
                raise api_error(message["payload"][0])
            case "complete":
                raise _Ended("the API ended it")
            case _:
                return None

    def _delivery(self, payload: Mapping[str, Any]) -> Event | RetentionGap | None:
        if payload["__typename"] == "RetentionGap":
            # the cursor stays: within the gap there may be events of types that are kept longer
            return RetentionGap(payload["after"], payload["through"])
        self._cursor = payload.get("cursor", self._cursor)
        return parse_event(payload) if payload["__typename"] == "Event" else None

    async def _report(self, gap: RetentionGap) -> None:
        if gap.through == self._reported_through:  # it was reported on an earlier connection
            return
        self._reported_through = gap.through
        if self._on_gap is None:
            logger.error(
                "events after the cursor %s up to %s have expired and are not delivered", gap.after, gap.through
            )
        else:
            await call(self._on_gap, gap)


async def call(callback: Callable[[Any], object], value: object) -> None:
    """Call the callback, and await its result if it is awaitable."""
    result = callback(value)
    if inspect.isawaitable(result):
        await result


async def _send(socket: ClientConnection, message: Mapping[str, Any]) -> None:
    await socket.send(orjson.dumps(message).decode())


async def _receive(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(await socket.recv())
    if message["type"] == "ping":
        await _send(socket, {"type": "pong"})
    return message
