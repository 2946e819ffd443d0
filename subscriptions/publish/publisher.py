"""Publishing events on JetStream in order, many at once, each again and again until it is acknowledged."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NoReturn, Self

from nats import errors
from nats.aio.client import Client
from nats.js.errors import APIError, BadRequestError, NoStreamResponseError, NotFoundError

from eventscope.background import cancel
from eventscope.errors import CannotStart, Unavailable
from eventscope.subscriptions.nats import stream
from eventscope.subscriptions.nats.access import NO_ACCESS, Access
from eventscope.subscriptions.nats.subjects import covers
from eventscope.subscriptions.publish.ack_channel import AckChannel, Acknowledgement
from eventscope.subscriptions.publish.protocol import EventMessage, OutgoingMessage, compose

WINDOW: Final = 256
ACK_SECONDS: Final = 10.0
LONGEST_PAUSE: Final = 5.0
LOOK_SECONDS: Final = 0.1
UNLIMITED: Final = 2**62

logger = logging.getLogger(__name__)


class _Broken(Exception):
    """Give up this connection; the next one may work."""


_InFlight = asyncio.Queue[tuple[OutgoingMessage, Acknowledgement, bool]]
"""Each message with its pending acknowledgement, and whether it was sent before, on another connection."""


class Publisher:
    """Sends events through a window of unacknowledged ones, over a connection of its own.

    Order: each connection carries the messages in the order of `publish`, without a gap, from the first one that was
    not acknowledged. When anything goes wrong, the connection is aborted with all that it still buffers, and the next
    one starts again there. So no message overtakes another, whatever fails; JetStream or the ingester drops the second
    copy of a message by its id. One exception: a stream that is full for a moment may refuse a message and accept the
    next one, which was already on its way.
    """

    def __init__(
        self, url: str, access: Access, name: str, subjects: Sequence[str], window: int, patience: float
    ) -> None:
        self._url = url
        self._access = access
        self._stream = name
        self._subjects = tuple(subjects)
        self._patience = patience
        self._window = asyncio.Semaphore(window)
        self._waiting: asyncio.Queue[OutgoingMessage] = asyncio.Queue()
        self._unacknowledged: deque[OutgoingMessage] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._most_bytes = 0
        self._acknowledgements = 0
        self._duplicates = 0
        self._work: asyncio.Task[None]

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        name: str,
        subjects: Sequence[str],
        *,
        access: Access = NO_ACCESS,
        window: int = WINDOW,
        patience: float = ACK_SECONDS,
    ) -> AsyncIterator[Self]:
        """A publisher to this stream, which is created if it is missing. The block ends when all is acknowledged.

        CannotStart when NATS or its JetStream is not there at the start; if it goes away later, this waits for it.
        After `patience` seconds without the next acknowledgement, all unacknowledged messages are sent again.
        """
        publisher = cls(url, access, name, subjects, window, patience)
        client = await publisher._connection()
        try:
            info = await stream.ensure(client.jetstream(), name, subjects)
            publisher._most_bytes = min(client.max_payload, _or_unlimited(info.config.max_msg_size))
            publisher._work = asyncio.create_task(publisher._deliver(client), name="publisher")
            publisher._work.add_done_callback(publisher._on_end)
            try:
                yield publisher
                await publisher.flush()
            finally:
                await cancel(publisher._work)
        finally:
            await stream.close(client)

    @property
    def acknowledgements(self) -> int:
        """How many messages JetStream has acknowledged so far."""
        return self._acknowledgements

    @property
    def duplicates(self) -> int:
        """How many of these JetStream already had, by their ids, before this publisher first sent them."""
        return self._duplicates

    async def publish(self, message: EventMessage, *, exported: bool = False) -> str:
        """Send the message as soon as the window has room; returns its id, a generated one if it had none.

        BadInput when this message can never be sent; it has no effect on the others. Unavailable when the stream is
        gone or no longer takes such messages: then nothing unacknowledged will be sent.
        """
        outgoing = compose(message, self._stream, self._subjects, self._most_bytes, exported=exported)
        await self._window.acquire()
        if self._work.done():
            self._window.release()
            raise self._failure()
        self._idle.clear()
        self._waiting.put_nowait(outgoing)
        return outgoing.id

    async def flush(self) -> None:
        """Wait until all that was published is acknowledged. Raises Unavailable as `publish` does."""
        await self._idle.wait()
        if self._work.done():
            raise self._failure()

    def _on_end(self, work: asyncio.Task[None]) -> None:
        if not work.cancelled() and (error := work.exception()):
            logger.error("publishing has ended with %d messages not acknowledged: %s", self._pending_count(), error)
        # wakes all waiting callers: each wakes the next
        self._idle.set()
        self._window.release()

    def _failure(self) -> BaseException:
        error = None if self._work.cancelled() else self._work.exception()
        return error or Unavailable("the publisher is closed")

    def _pending_count(self) -> int:
        return len(self._unacknowledged) + self._waiting.qsize()

    async def _connection(self) -> Client:
        return await stream.connect(self._url, f"publisher of {self._stream}", access=self._access, lasting=False)

    async def _deliver(self, client: Client | None) -> None:
        failures = 0
        while True:
            before = self._acknowledgements
            try:
                client = client or await self._connection()
                await self._carry(client)
            except (_Broken, CannotStart) as trouble:
                failures = 1 if self._acknowledgements > before else failures + 1
                pause = min(LONGEST_PAUSE, 0.1 * 2**failures) * random.uniform(0.5, 1)
                logger.warning(
                    "%d messages are not acknowledged (%s); they are sent again in %.1f s",
                    self._pending_count(),
                    trouble,
                    pause,
                )
            client = None
            await asyncio.sleep(pause)

    async def _carry(self, client: Client) -> None:
        in_flight: _InFlight = asyncio.Queue()
        tasks = [
            asyncio.create_task(work)
            for work in (self._send(client, in_flight), self._confirm(client, in_flight), _end(client))
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            # closed before the tasks end: nats-py swallows the cancellation of a write that waits for room
            await stream.close(client)
            await cancel(*tasks)

    async def _send(self, client: Client, in_flight: _InFlight) -> None:
        channel = await AckChannel.open(client)
        for message in list(self._unacknowledged):
            await _send_on(channel, message, in_flight, again=True)
        while True:
            message = await self._waiting.get()
            self._unacknowledged.append(message)
            await _send_on(channel, message, in_flight, again=False)

    async def _confirm(self, client: Client, in_flight: _InFlight) -> None:
        while True:
            message, acknowledgement, again = await in_flight.get()
            try:
                async with asyncio.timeout(self._patience):
                    is_duplicate = await acknowledgement
            except TimeoutError:
                raise _Broken(f"no acknowledgement within {self._patience:g} s") from None
            except NoStreamResponseError:
                await self._find_stream(client, message)
            except BadRequestError as error:
                raise Unavailable(f"JetStream refuses the message {message.id[:60]}: {error.description}") from None
            except APIError as error:
                raise _Broken(f"JetStream refuses a message for now: {error.description}") from None
            self._unacknowledged.popleft()
            self._acknowledgements += 1
            self._duplicates += is_duplicate and not again
            self._window.release()
            if not self._pending_count():
                self._idle.set()

    async def _find_stream(self, client: Client, message: OutgoingMessage) -> NoReturn:
        """Raise _Broken for a stream that is not back yet, and Unavailable for one that will never take the message."""
        try:
            info = await client.jetstream().stream_info(self._stream)
        except NotFoundError:
            raise Unavailable(f"the stream {self._stream} is gone") from None
        except errors.Error:
            raise _Broken("JetStream is not back yet") from None
        if any(covers(pattern, message.subject) for pattern in info.config.subjects or ()):
            raise _Broken("the stream is not back yet")
        raise Unavailable(f"the stream {self._stream} does not take {message.subject} any more")


async def _send_on(channel: AckChannel, message: OutgoingMessage, in_flight: _InFlight, *, again: bool) -> None:
    try:
        in_flight.put_nowait((message, await channel.send(message), again))
    except errors.Error as error:
        raise _Broken(str(error)) from None


async def _end(client: Client) -> None:
    # polled: nats-py does not call its closed_cb when the last write to a dead socket fails
    while client.is_connected:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_SECONDS)
    raise _Broken("the connection is lost")


def _or_unlimited(limit: int | None) -> int:
    return limit if limit is not None and limit >= 0 else UNLIMITED
