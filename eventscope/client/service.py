"""`EventsService`: publishing, following and reading events from a service, in Python.

Publishing goes over NATS, all else over the API; a service that does only one of them needs only that address.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import date, datetime
from typing import Any, Final, NoReturn, Self, TypeVar, Unpack, overload
from urllib.parse import urlsplit
from weakref import WeakSet

from eventscope.client import history
from eventscope.client.api import Questions
from eventscope.client.event import JSON, Event, NewEvent, PublishedEvent
from eventscope.client.filters import FilterArgs, filter_of
from eventscope.client.subscription import Follower, OnGap, StartFrom, called
from eventscope.errors import BadInput, CannotStart, OutcomeUnknown, Unavailable
from eventscope.redact import redacted
from eventscope.subscriptions.nats import stream as streams
from eventscope.subscriptions.nats.access import Access, BadAccess, NatsFiles
from eventscope.subscriptions.publish.confirmed import ConfirmedPublisher, open_confirmed

DEADLINE: Final = 30.0
PAUSE: Final = 0.2

State = TypeVar("State")

logger = logging.getLogger(__name__)


class EventsService:
    """A service's access to the events. Make it with `EventsService.connect`.

    Every method may be called any number of times at once.
    """

    def __init__(self, publisher: ConfirmedPublisher | None, questions: Questions | None, api_url: str | None) -> None:
        self._publisher = publisher
        self._questions = questions
        self._api_url = api_url
        self._followers: WeakSet[Follower] = WeakSet()

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
        """A service for the length of the block.

        `nats_url` (several servers are parted by commas) is for publishing, `api_url`, like `http://127.0.0.1:8000`,
        for reading and subscribing, with or without `/graphql` at its end; either may be left out. `stream` and
        `subjects` are those that Eventscope has in its settings; a stream that is missing is made. `access` is what
        NATS asks for beside what its address says: see `NatsFiles`. Unavailable when NATS cannot be reached now, or
        does not let the service in; BadInput when a file is not what it should be. The API may come later.
        """
        if nats_url is None and api_url is None:
            raise BadInput("give nats_url to publish, api_url to read, or both", "nats_url")
        async with AsyncExitStack() as stack:
            publisher = questions = None
            if api_url is not None:
                api_url = _base(api_url)
                questions = Questions(api_url)
                stack.push_async_callback(questions.close)
            if nats_url is not None:
                publisher = await stack.enter_async_context(_publishing(nats_url, stream, subjects, access))
            service = cls(publisher, questions, api_url)
            stack.callback(service._end)
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
        deadline: float = DEADLINE,
    ) -> PublishedEvent:
        """Publish one event, and return when it is in the log; see `NewEvent` for what the arguments mean.

        It is sent again for as long as no outcome comes, and stored once. VersionConflict when the aggregate is not at
        the `expected_version`; Rejected when the event cannot be taken; BadInput when it cannot even be sent;
        OutcomeUnknown when there was no outcome for `deadline` seconds.
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

    async def publish_events(self, events: Sequence[NewEvent], *, deadline: float = DEADLINE) -> list[PublishedEvent]:
        """Publish several events, up to 1000 and 1 MiB: all are stored, in this order and with nothing in between, or
        none is.

        Raises what `publish_event` raises; `index` of a rejection tells which event is to blame.
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
        **wanted: Unpack[FilterArgs],
    ) -> AsyncGenerator[Event, None]: ...

    @overload
    def subscribe_to_events(
        self,
        callback: Callable[[Event], object],
        *,
        after: str | None = None,
        start: StartFrom = "NOW",
        on_gap: OnGap | None = None,
        **wanted: Unpack[FilterArgs],
    ) -> Coroutine[Any, Any, NoReturn]: ...

    def subscribe_to_events(
        self,
        callback: Callable[[Event], object] | None = None,
        *,
        after: str | None = None,
        start: StartFrom = "NOW",
        on_gap: OnGap | None = None,
        **wanted: Unpack[FilterArgs],
    ) -> AsyncGenerator[Event, None] | Coroutine[Any, Any, NoReturn]:
        """Every event that is wanted, in order, none left out and none twice, whatever breaks in between.

        Without a callback this is iterated over: `async for event in service.subscribe_to_events()`. With one it is
        awaited, and runs until it is cancelled or the callback raises; a callback that is a coroutine function is
        waited for before the next event. It begins behind the cursor `after`, else `NOW` or from the `BEGINNING` of
        the log. Keep `event.cursor` of the last event that was dealt with, and give it as `after` the next time.

        Events that have expired before they could be delivered are told to `on_gap`, else to the log of the program.
        """
        follower = Follower(_socket_url(self._reading()[1]), filter_of(wanted), after=after, start=start, on_gap=on_gap)
        self._followers.add(follower)
        return follower.events() if callback is None else _deliver(follower, callback)

    async def get_events_for_aggregate(
        self,
        aggregate_type: str,
        aggregate_id: str,
        *,
        from_version: int | None = None,
        to_version: int | None = None,
    ) -> list[Event]:
        """All events of one aggregate that are kept, the oldest first."""
        events = self.replay_events(
            aggregate_type=aggregate_type, aggregate_id=aggregate_id, from_version=from_version, to_version=to_version
        )
        return [event async for event in events]

    def replay_events(
        self, *, after: str | None = None, up_to: str | None = None, **wanted: Unpack[FilterArgs]
    ) -> AsyncGenerator[Event, None]:
        """The events that are wanted in the order of the log, up to where it ends when the first is asked for.

        `after` and `up_to` are cursors. They are read page by page, so the log may be of any length.
        """
        return history.replay(self._reading()[0], filter_of(wanted), after, up_to)

    async def get_event_history(self, *, limit: int = 50, **wanted: Unpack[FilterArgs]) -> list[Event]:
        """The newest `limit` events that are wanted, the newest first."""
        return await history.newest(self._reading()[0], filter_of(wanted), limit)

    async def reconstruct_state(
        self,
        aggregate_id: str,
        aggregate_type: str,
        initial_state: State,
        reducer: Callable[[State, Event], State],
        *,
        to_version: int | None = None,
    ) -> State:
        """The state of an aggregate: its events folded by the reducer, up to a version if one is given.

        Where events have expired, a warning says which; they are left out.
        """
        events = self.replay_events(aggregate_type=aggregate_type, aggregate_id=aggregate_id, to_version=to_version)
        state, version = initial_state, 0
        async for event in events:
            if event.version != version + 1:
                logger.warning(
                    "the state of %s %s is made without its versions %d to %s, which have expired",
                    aggregate_type,
                    aggregate_id,
                    version + 1,
                    (event.version or 0) - 1,
                )
            state, version = reducer(state, event), event.version or 0
        return state

    async def _publish(self, events: Sequence[NewEvent], *, together: bool, deadline: float) -> list[PublishedEvent]:
        if self._publisher is None:
            raise BadInput("publishing goes over NATS: give EventsService.connect a nats_url", "nats_url")
        messages = [event.message() for event in events]
        expected = [event.expected_version for event in events]
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        refusal = ""
        while True:
            try:
                stored = await self._publisher.publish(
                    messages, together=together, expected=expected, seconds=end - loop.time()
                )
                return [PublishedEvent(one.id, one.position, one.version) for one in stored]
            except Unavailable as trouble:
                if loop.time() + PAUSE >= end:
                    ids = tuple(message["messageId"] for message in messages)
                    raise OutcomeUnknown(
                        f"no outcome within {deadline:g} seconds{refusal}; publish again with the same message_id to"
                        f" learn it ({', '.join(ids[:3])}{', …' if len(ids) > 3 else ''})",
                        ids,
                    ) from trouble
                refusal = f" ({trouble})"
                await asyncio.sleep(PAUSE)

    def _reading(self) -> tuple[Questions, str]:
        if self._questions is None or self._api_url is None:
            raise BadInput("reading goes over the API: give EventsService.connect an api_url", "api_url")
        return self._questions, self._api_url

    def _end(self) -> None:
        for follower in self._followers:
            follower.close()


async def _deliver(follower: Follower, callback: Callable[[Event], object]) -> NoReturn:
    async with aclosing(follower.events()) as events:
        async for event in events:
            await called(callback, event)
    raise AssertionError("a subscription has no end")


@asynccontextmanager
async def _publishing(
    url: str, stream: str, subjects: Sequence[str], files: NatsFiles
) -> AsyncIterator[ConfirmedPublisher]:
    access = Access(**{name.removeprefix("nats_"): str(value) for name, value in files.items()})
    try:
        access.check()
        client = await streams.connect(url, f"publisher of {stream}", access=access)
    except BadAccess as error:
        raise BadInput(str(error), f"nats_{error.field}") from None
    except CannotStart as error:
        # what it advises is for who runs Eventscope itself
        raise Unavailable(str(error).partition("; ")[0]) from error
    try:
        await streams.ensure(client.jetstream(), stream, subjects)
        async with open_confirmed(client, stream, subjects) as publisher:
            yield publisher
    finally:
        await streams.close(client)


def _base(api_url: str) -> str:
    """What all paths are below. Where no scheme is named, http is meant."""
    whole = api_url if "://" in api_url else f"http://{api_url}"
    with suppress(ValueError):
        parts = urlsplit(whole)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return whole.rstrip("/").removesuffix("/graphql")
    raise BadInput(f"api_url is {redacted(api_url)[:200]!r} and not an address like http://127.0.0.1:8000", "api_url")


def _socket_url(api_url: str) -> str:
    return f"{api_url.replace('http', 'ws', 1).rstrip('/')}/graphql"
