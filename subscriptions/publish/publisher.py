"""Publishing events on JetStream in order, many at once, again and again until each is acknowledged."""

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
from eventscope.subscriptions.publish.outgoing import EventMessage, OutgoingMessage, write

WINDOW: Final = 256
ACK_SECONDS: Final = 10.0
LONGEST_PAUSE: Final = 5.0
LOOK_SECONDS: Final = 0.1

logger = logging.getLogger(__name__)


class _Broken(Exception):
    """This connection is of no use any more, but the next one may be."""


_Handed = asyncio.Queue[tuple[OutgoingMessage, Acknowledgement, bool]]


class Publisher:
    """Sends events through a window of unacknowledged ones, over a connection of its own.

    Order: each connection carries the messages in the order of `publish`, without a gap, from the first that was not
    acknowledged. When anything goes wrong, the connection is given up with all that it still holds back, and the next
    one begins again there. So nothing overtakes, whatever dies in between; what comes twice is dropped by JetStream or
    by the ingester, since its id is the same. One exception: a stream that is full for a moment may refuse a message
    and take the next one, which was on its way already.
    """

    def __init__(
        self, url: str, access: Access, name: str, subjects: Sequence[str], window: int, patience: float
    ) -> None:
        self._url = url
        self._access = access
        self._stream = name
        self._subjects = tuple(subjects)
        self._patience = patience
        self._room = asyncio.Semaphore(window)
        self._waiting: asyncio.Queue[OutgoingMessage] = asyncio.Queue()
        self._sent: deque[OutgoingMessage] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._most_bytes = 0
        self._acknowledged = 0
        self._repeated = 0
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
        """A publisher to this stream, which is made if it is missing. The block ends when all is acknowledged.

        CannotStart when NATS or its JetStream is not there at the beginning; later it is waited for. After `patience`
        seconds without the next acknowledgement all that waits for one is sent again.
        """
        publisher = cls(url, access, name, subjects, window, patience)
        client = await publisher._connection()
        try:
            info = await stream.ensure(client.jetstream(), name, subjects)
            publisher._most_bytes = min(client.max_payload, _or_unlimited(info.config.max_msg_size))
            publisher._work = asyncio.create_task(publisher._deliver(client), name="publisher")
            publisher._work.add_done_callback(publisher._ended)
            try:
                yield publisher
                await publisher.flush()
            finally:
                await cancel(publisher._work)
        finally:
            await stream.close(client)

    @property
    def acknowledged(self) -> int:
        """How many messages JetStream has acknowledged so far."""
        return self._acknowledged

    @property
    def repeated(self) -> int:
        """How many of these it had already, by their ids, before they were sent here for the first time."""
        return self._repeated

    async def publish(self, message: EventMessage, *, exported: bool = False) -> str:
        """Send the message as soon as the window has room; its id is returned, a new one if it had none.

        BadInput when this message can never be sent: it is then as if it had not been given. Unavailable when the
        stream is gone or takes no such messages any more: then none that is not acknowledged will be sent.
        """
        letter = write(message, self._stream, self._subjects, self._most_bytes, exported=exported)
        await self._room.acquire()
        if self._work.done():
            self._room.release()
            raise self._why()
        self._idle.clear()
        self._waiting.put_nowait(letter)
        return letter.id

    async def flush(self) -> None:
        """Return when all that was published is acknowledged."""
        await self._idle.wait()
        if self._work.done():
            raise self._why()

    def _ended(self, work: asyncio.Task[None]) -> None:
        if not work.cancelled() and (error := work.exception()):
            logger.error("publishing has ended with %d messages not acknowledged: %s", self._open(), error)
        # wakes all who wait, each by the one before
        self._idle.set()
        self._room.release()

    def _why(self) -> BaseException:
        error = None if self._work.cancelled() else self._work.exception()
        return error or Unavailable("the publisher is closed")

    def _open(self) -> int:
        return len(self._sent) + self._waiting.qsize()

    async def _connection(self) -> Client:
        return await stream.connect(self._url, f"publisher of {self._stream}", access=self._access, lasting=False)

    async def _deliver(self, client: Client | None) -> None:
        failures = 0
        while True:
            before = self._acknowledged
            try:
                client = client or await self._connection()
                await self._carry(client)
            except (_Broken, CannotStart) as trouble:
                failures = 1 if self._acknowledged > before else failures + 1
                pause = min(LONGEST_PAUSE, 0.1 * 2**failures) * random.uniform(0.5, 1)
                logger.warning(
                    "%d messages are not acknowledged (%s); they are sent again in %.1f s", self._open(), trouble, pause
                )
            client = None
            await asyncio.sleep(pause)

    async def _carry(self, client: Client) -> None:
        handed: _Handed = asyncio.Queue()
        tasks = [
            asyncio.create_task(work)
            for work in (self._send(client, handed), self._confirm(client, handed), _end(client))
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            # first, since nats-py swallows the cancellation of a write for which there is no room
            await stream.close(client)
            await cancel(*tasks)

    async def _send(self, client: Client, handed: _Handed) -> None:
        line = await AckChannel.open(client)
        for letter in list(self._sent):
            await _hand(line, letter, handed, again=True)
        while True:
            letter = await self._waiting.get()
            self._sent.append(letter)
            await _hand(line, letter, handed, again=False)

    async def _confirm(self, client: Client, handed: _Handed) -> None:
        while True:
            letter, acknowledgement, again = await handed.get()
            try:
                async with asyncio.timeout(self._patience):
                    had = await acknowledgement
            except TimeoutError:
                raise _Broken(f"no acknowledgement within {self._patience:g} s") from None
            except NoStreamResponseError:
                await self._find_stream(client, letter)
            except BadRequestError as error:
                raise Unavailable(f"JetStream refuses the message {letter.id[:60]}: {error.description}") from None
            except APIError as error:
                raise _Broken(f"JetStream refuses a message for now: {error.description}") from None
            self._sent.popleft()
            self._acknowledged += 1
            self._repeated += had and not again
            self._room.release()
            if not self._open():
                self._idle.set()

    async def _find_stream(self, client: Client, letter: OutgoingMessage) -> NoReturn:
        """Tell a stream that is not back yet from one that will not take the message however long we wait."""
        try:
            info = await client.jetstream().stream_info(self._stream)
        except NotFoundError:
            raise Unavailable(f"the stream {self._stream} is gone") from None
        except errors.Error:
            raise _Broken("JetStream is not back yet") from None
        if any(covers(pattern, letter.subject) for pattern in info.config.subjects or ()):
            raise _Broken("the stream is not back yet")
        raise Unavailable(f"the stream {self._stream} does not take {letter.subject} any more")


async def _hand(line: AckChannel, letter: OutgoingMessage, handed: _Handed, *, again: bool) -> None:
    try:
        handed.put_nowait((letter, await line.send(letter), again))
    except errors.Error as error:
        raise _Broken(str(error)) from None


async def _end(client: Client) -> None:
    # looked for, not waited for: nats-py forgets its closed_cb when the last write to a dead socket fails
    while client.is_connected:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_SECONDS)
    raise _Broken("the connection is lost")


def _or_unlimited(limit: int | None) -> int:
    return limit if limit is not None and limit >= 0 else 2**62
