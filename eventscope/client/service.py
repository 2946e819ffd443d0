"""`EventsService`: how a service publishes, follows and reads events.

Publishing uses NATS, everything else the API; a service needs only the address of what it uses.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import date, datetime
from typing import Any, Final, NoReturn, Self, TypeVar, Unpack, overload
from weakref import WeakSet

from eventscope.client import history
from eventscope.client.addresses import base_url, socket_url
from eventscope.client.api import ApiClient
from eventscope.client.event import JSON, Event, NewEvent, PublishedEvent
from eventscope.client.filters import FilterArgs, graphql_filter
from eventscope.client.subscription import EventSubscription, OnGap, StartFrom, call
from eventscope.errors import BadInput, CannotStart, OutcomeUnknown, Unavailable
from eventscope.subscriptions.nats import stream
from eventscope.subscriptions.nats.access import Access, BadAccess, NatsFiles
from eventscope.subscriptions.publish.confirmed import ConfirmedPublisher, open_confirmed

DEADLINE_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 0.2

State = TypeVar("State")

logger = logging.getLogger(__name__)


class EventsService:
    """A service's access to the events. Open one with `EventsService.connect`.

    All methods may be called any number of times concurrently.
    """

    def __init__(self, publisher: ConfirmedPublisher | None, api: ApiClient | None, api_url: str | None) -> None:
        self._publisher = publisher
        self._api = api
        self._api_url = api_url
        self._subscriptions: WeakSet[EventSubscription] = WeakSet()

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        nats_url: str | None = None,
        api_url: str | None = None,
        *,
        stream: str = "EVENTS",
        subjects: Sequence[str] = ("events.>",),
        **access: Unpack[NatsFiles],
    ) -> AsyncIterator[Self]:
        """A service, connected for the length of the block.

        `nats_url`, one address or several separated by commas, is for publishing; `api_url`, like
        `http://127.0.0.1:8000` with or without `/graphql`, is for reading and subscribing; one of them may be left out.
        `stream` and `subjects` must be those of Eventscope's settings; a missing stream is created. `access` gives
        the files that NATS requires, such as `nats_credentials_file`, `nats_nkey_file` and `nats_ca_file`.

        Raises Unavailable if NATS cannot be reached or denies access, and BadInput if an address or a file is wrong.
        The API need not be running yet.
        """
        if nats_url is None and api_url is None:
            raise BadInput("give nats_url to publish, api_url to read, or both", "nats_url")
        async with AsyncExitStack() as stack:
            publisher = api = None
            if api_url is not None:
                api_url = base_url(api_url)
                api = ApiClient(api_url)
                stack.push_async_callback(api.close)
            if nats_url is not None:
                publisher = await stack.enter_async_context(_open_publisher(nats_url, stream, subjects, access))
            service = cls(publisher, api, api_url)
            stack.callback(service._close_subscriptions)
            yield service

    async def publish_event(
        self,
        type: str,
        data: JSON = None,
        *,
        aggregate_id: str | None = None,
        aggregate_type: str | None = None,
        user_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        metadata: JSON = None,
        message_id: str | None = None,
        expected_version: int | None = None,
        timestamp: datetime | date | None = None,
        deadline: float = DEADLINE_SECONDS,
    ) -> PublishedEvent:
        """Publish one event, and return once it is in the log; `NewEvent` describes the arguments.

        The event is sent again until its outcome is known, and is stored once. Raises VersionConflict if its aggregate
        is not at `expected_version`, Rejected if the log does not take it, BadInput if it cannot be sent, and
        OutcomeUnknown after `deadline` seconds without an outcome.
        """
        event = NewEvent(
            type,
            data,
            aggregate_id=aggregate_id,
            aggregate_type=aggregate_type,
            user_id=user_id,
            correlation_id=correlation_id,
            causation_id=causation_id,
            metadata=metadata,
            message_id=message_id,
            expected_version=expected_version,
            timestamp=timestamp,
        )
        [published] = await self._publish([event], together=False, deadline=deadline)
        return published

    async def publish_events(
        self, events: Sequence[NewEvent], *, deadline: float = DEADLINE_SECONDS
    ) -> list[PublishedEvent]:
        """Publish up to 1000 events of up to 1 MiB in all. Either all are stored, in this order and with nothing in
        between, or none.

        Raises what `publish_event` raises; the `index` of a Rejected is that of the event at fault.
        """
        return await self._publish(events, together=True, deadline=deadline) if events else []

    @overload
    def subscribe_to_events(
        self,
        callback: None = None,
        *,
        after: str | None = None,
        start: StartFrom = "NOW",
        on_gap: OnGap | None = None,
        **filters: Unpack[FilterArgs],
    ) -> AsyncGenerator[Event, None]: ...

    @overload
    def subscribe_to_events(
        self,
        callback: Callable[[Event], object],
        *,
        after: str | None = None,
        start: StartFrom = "NOW",
        on_gap: OnGap | None = None,
        **filters: Unpack[FilterArgs],
    ) -> Coroutine[Any, Any, NoReturn]: ...

    def subscribe_to_events(
        self,
        callback: Callable[[Event], object] | None = None,
        *,
        after: str | None = None,
        start: StartFrom = "NOW",
        on_gap: OnGap | None = None,
        **filters: Unpack[FilterArgs],
    ) -> AsyncGenerator[Event, None] | Coroutine[Any, Any, NoReturn]:
        """All matching events, in order, each once; resumes after every broken connection.

        Without a callback, iterate over it: `async for event in service.subscribe_to_events()`. With one, await it: it
        runs until it is cancelled or the callback raises; what an async callback returns is awaited before the next
        event. It starts after the cursor `after`, or else `NOW` or at the `BEGINNING` of the log. To resume in another
        process, keep `event.cursor` of the last event you handled, and pass it as `after`.

        Events that expired before they could be delivered are reported to `on_gap`, or else logged as an error. Raises
        what `EventSubscription.events` raises, and Unavailable once the service is closed.
        """
        _, api_url = self._require_api()
        subscription = EventSubscription(
            socket_url(api_url), graphql_filter(filters), after=after, start=start, on_gap=on_gap
        )
        self._subscriptions.add(subscription)
        return subscription.events() if callback is None else _deliver(subscription, callback)

    async def get_events_for_aggregate(
        self,
        aggregate_type: str,
        aggregate_id: str,
        *,
        from_version: int | None = None,
        to_version: int | None = None,
    ) -> list[Event]:
        """All events of one aggregate that have not expired, oldest first."""
        events = self.replay_events(
            aggregate_type=aggregate_type, aggregate_id=aggregate_id, from_version=from_version, to_version=to_version
        )
        return [event async for event in events]

    def replay_events(
        self, *, after: str | None = None, up_to: str | None = None, **filters: Unpack[FilterArgs]
    ) -> AsyncGenerator[Event, None]:
        """Matching events in the order of the log, between two cursors; by default up to its end at the first read.

        They are read page by page, so the log may be of any length.
        """
        api, _ = self._require_api()
        return history.replay(api, graphql_filter(filters), after, up_to)

    async def get_event_history(self, *, limit: int = 50, **filters: Unpack[FilterArgs]) -> list[Event]:
        """The newest `limit` matching events, newest first."""
        api, _ = self._require_api()
        return await history.newest(api, graphql_filter(filters), limit)

    async def reconstruct_state(
        self,
        aggregate_id: str,
        aggregate_type: str,
        initial_state: State,
        reducer: Callable[[State, Event], State],
        *,
        to_version: int | None = None,
    ) -> State:
        """The state of an aggregate: `initial_state` and its events, up to `to_version`, folded by `reducer`.

        Events that have expired are missing from it; a warning in the log names their versions.
        """
        events = self.replay_events(aggregate_type=aggregate_type, aggregate_id=aggregate_id, to_version=to_version)
        state, version = initial_state, 0
        async for event in events:
            if event.version != version + 1:
                logger.warning(
                    "the state of %s %s lacks its versions %d to %s, which have expired",
                    aggregate_type,
                    aggregate_id,
                    version + 1,
                    (event.version or 0) - 1,
                )
            state, version = reducer(state, event), event.version or 0
        return state

    async def _publish(self, events: Sequence[NewEvent], *, together: bool, deadline: float) -> list[PublishedEvent]:
        if self._publisher is None:
            raise BadInput("publishing needs NATS: give EventsService.connect a nats_url", "nats_url")
        messages = [event.message() for event in events]
        expected = [event.expected_version for event in events]
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        reason = ""
        while True:
            try:
                stored = await self._publisher.publish(
                    messages, together=together, expected=expected, seconds=end - loop.time()
                )
                return [PublishedEvent(one.id, one.position, one.version) for one in stored]
            except Unavailable as error:
                if loop.time() + RETRY_SECONDS >= end:
                    ids = tuple(message["messageId"] for message in messages)
                    raise OutcomeUnknown(
                        f"no outcome within {deadline:g} seconds{reason}; publish again with the same message_id to"
                        f" learn it ({', '.join(ids[:3])}{', …' if len(ids) > 3 else ''})",
                        ids,
                    ) from error
                reason = f" ({error})"
                await asyncio.sleep(RETRY_SECONDS)

    def _require_api(self) -> tuple[ApiClient, str]:
        if self._api is None or self._api_url is None:
            raise BadInput("reading needs the API: give EventsService.connect an api_url", "api_url")
        return self._api, self._api_url

    def _close_subscriptions(self) -> None:
        for subscription in self._subscriptions:
            subscription.close()


async def _deliver(subscription: EventSubscription, callback: Callable[[Event], object]) -> NoReturn:
    async with aclosing(subscription.events()) as events:
        async for event in events:
            await call(callback, event)
    raise AssertionError("a subscription has no end")


@asynccontextmanager
async def _open_publisher(
    url: str, stream_name: str, subjects: Sequence[str], files: NatsFiles
) -> AsyncIterator[ConfirmedPublisher]:
    access = Access(**{name.removeprefix("nats_"): str(value) for name, value in files.items()})
    try:
        access.check()
        client = await stream.connect(url, f"publisher of {stream_name}", access=access)
    except BadAccess as error:
        raise BadInput(str(error), f"nats_{error.field}") from None
    except CannotStart as error:
        # the advice after the semicolon is left out: it is for operators of Eventscope
        raise Unavailable(str(error).partition("; ")[0]) from error
    try:
        await stream.ensure(client.jetstream(), stream_name, subjects)
        async with open_confirmed(client, stream_name, subjects) as publisher:
            yield publisher
    finally:
        await stream.close(client)
