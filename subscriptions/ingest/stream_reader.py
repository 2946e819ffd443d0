"""Reading a JetStream stream as a log: every message from a sequence on, in order, each once.

A pull consumer without acknowledgements serves as a cursor: it lives in memory, is replaced whenever anything looks
odd, and nothing depends on its state. Its own sequence must rise by one; a jump means that a message was lost on the
way. (nats-py's fetch stalls after an empty answer, nats.py issue 986, so requests are sent by hand.)
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final, Generic, TypeVar

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from eventscope.errors import Unavailable
from eventscope.store.values.message import Arrival
from eventscope.subscriptions.ingest.limits import IngestLimits
from eventscope.subscriptions.nats.client import api_subject
from eventscope.subscriptions.nats.stream import unavailable

T = TypeVar("T")

AHEAD: Final = 4  # batches in one request
# How much is parsed at a stretch; MongoDB's answers, heartbeats and signals wait for its end.
TURN: Final = 20  # messages
TURN_SECONDS: Final = 0.005
REQUEST_BYTES: Final = 64 * 1024 * 1024
REQUEST_SECONDS: Final = 30
HEARTBEAT_SECONDS: Final = 1.0
ENDS: Final = ("Batch Completed", "Message Size Exceeds MaxBytes")
MESSAGE: Final = "$JS.ACK."  # prefix of the reply subject of messages of the stream, and of no others
FORGOTTEN_SECONDS: Final = 60.0  # until the server removes a consumer that nobody reads


class ReadInterrupted(Unavailable):
    """The messages must be requested again, from the last one on, although NATS itself still answers."""


class StreamReader(Generic[T]):
    """The messages of a stream from a sequence on, each parsed by `parse`. Made by `open_reader`.

    They are parsed as they arrive, and more are requested than one batch has: while MongoDB stores a batch, the next is
    prepared. That is at most one batch, and at most what takes `ahead_seconds` to parse; `weigh` returns the bytes that
    a message makes in MongoDB.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        inbox: str,
        most: int,
        parse: Callable[[Arrival], T],
        weigh: Callable[[T], int],
        limits: IngestLimits,
    ) -> None:
        self._client = client
        self._subject = api_subject(client, f"CONSUMER.MSG.NEXT.{stream}.{consumer}")
        self._stream = stream
        self._consumer = consumer
        self._inbox = inbox
        self._most = most
        self._parse = parse
        self._weigh = weigh
        self._silence_seconds = limits.silence_seconds
        self._batch_bytes = limits.batch_bytes
        self._ahead_seconds = limits.ahead_seconds
        self._ready: deque[tuple[T, int, float]] = deque()  # each with its bytes, and the seconds that parsing it took
        self._bytes = 0  # of all that are ready
        self._seconds = 0.0
        self._turn = (0, 0.0)  # messages parsed since other tasks had their turn, and the seconds that took
        self._room = asyncio.Event()
        self._room.set()
        self._wake_up = asyncio.Event()
        self._full = asyncio.Event()
        self._request_size = 0
        self._consumer_sequence = 0
        self._failure: Exception | None = None
        self._last_message_at = monotonic()
        self._reconnects = client.stats["reconnects"]
        self.backlog = 0  # messages in the stream after the last one that came
        self.share = 1.0  # of the limit `ahead_seconds`

    async def next(self, seconds: float) -> list[T]:
        """The messages that have come, at most a batch; waits for the first one for at most `seconds`.

        Unavailable when messages were lost on the way or the server is silent: then read again from the checkpoint.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await self._request()
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            if monotonic() - self._last_message_at > self._silence_seconds:
                if self._client.is_connected:  # perhaps only this end is deaf, which pings would notice later
                    await self._client.force_reconnect()
                raise Unavailable("NATS is silent")
            if self._client.stats["reconnects"] != self._reconnects:
                raise ReadInterrupted("the connection to NATS was replaced")  # the server has dropped the request
            await self._request()
            self._wake_up.clear()
            left = min(end - loop.time(), self._silence_seconds)
            if left <= 0:
                return []
            with suppress(TimeoutError):
                # not wait_for, which may swallow a cancellation in Python 3.11
                async with asyncio.timeout(left):
                    await self._wake_up.wait()
        return self._take()

    @property
    def is_full(self) -> bool:
        """Whether `next` returns as much as it ever does at once."""
        return len(self._ready) >= self._most or self._has_plenty

    async def fill(self, task: asyncio.Task[object]) -> None:
        """Wait until that is the case, or until the task is done."""
        self._full.clear()
        if not self.is_full and not task.done():
            task.add_done_callback(lambda done: self._full.set())
            await self._full.wait()

    async def has_all(self) -> bool:
        """Whether `next` has returned all that the server has sent; False if that is unknown."""
        if self._ready or self._failure is not None:
            return False
        try:
            info = await self._client.jetstream().consumer_info(self._stream, self._consumer)
        except (nats.errors.Error, APIError, TimeoutError, OSError):
            return False
        last = 0 if info.delivered is None else info.delivered.consumer_seq
        return last == self._consumer_sequence and not self._ready

    async def receive(self, message: Msg) -> None:
        """Handle what the server sends to the inbox."""
        self._last_message_at = monotonic()
        headers = {} if message.headers is None else message.headers
        # Not decided by headers: a publisher may send `Status` with an empty message.
        if message.reply.startswith(MESSAGE):
            # checked here, since most messages need neither wait, and a call would double the cost
            if self._has_plenty:
                await self._wait_for_room()
            self._add(message, headers)
            if self._turn[0] >= TURN or self._turn[1] >= TURN_SECONDS:
                await self._yield_turn()
        elif "Status" in headers:
            self._handle_status(headers["Status"], headers.get("Description", ""))
        self._wake_up.set()

    @property
    def _has_plenty(self) -> bool:
        return bool(self._ready) and (
            self._bytes >= self._batch_bytes or self._seconds >= self._ahead_seconds * self.share
        )

    async def _wait_for_room(self) -> None:
        while self._has_plenty:
            self._room.clear()
            await self._room.wait()

    async def _yield_turn(self) -> None:
        self._turn = (0, 0.0)
        self._wake_up.set()
        await asyncio.sleep(0)

    def _handle_status(self, status: str, description: str) -> None:
        if status == "100":
            return
        self._request_size = 0
        # these end the request, since nothing is left or it is filled; others mean that the consumer is gone
        if status not in ("404", "408") and description not in ENDS:
            self._failure = ReadInterrupted(f"NATS ended the read: {status} {description}".strip())

    def _add(self, raw: Msg, headers: dict[str, str]) -> None:
        sequence, consumer_sequence, nanoseconds, self.backlog = parse_reply(raw.reply)
        self._request_size -= 1
        if self._failure is not None:
            return  # a message before it is missing
        if consumer_sequence != self._consumer_sequence + 1:
            self._failure = ReadInterrupted(f"messages were lost on the way before sequence {sequence}")
            return
        self._consumer_sequence = consumer_sequence
        arrival = Arrival(raw.subject, headers, raw.data, sequence, nanoseconds // 1000)
        start = monotonic()
        try:
            message = self._parse(arrival)
            size, seconds = self._weigh(message), monotonic() - start
            self._ready.append((message, size, seconds))
            self._bytes += size
            self._seconds += seconds
            self._turn = (self._turn[0] + 1, self._turn[1] + seconds)
            if self.is_full:
                self._full.set()
        except Exception as error:  # nats-py would only log it, and the message would be lost
            self._failure = error

    async def _request(self) -> None:
        if self._request_size > 0:
            return
        self._request_size = AHEAD * self._most
        request = {
            "batch": self._request_size,
            "max_bytes": REQUEST_BYTES,
            "expires": REQUEST_SECONDS * 1_000_000_000,
            "idle_heartbeat": int(HEARTBEAT_SECONDS * 1_000_000_000),
        }
        await self._client.publish(self._subject, orjson.dumps(request), reply=self._inbox)

    def _take(self) -> list[T]:
        batch: list[T] = []
        size = 0
        while self._ready and len(batch) < self._most:
            size += self._ready[0][1]
            if batch and size > self._batch_bytes:
                break
            message, bytes, seconds = self._ready.popleft()
            self._bytes -= bytes
            self._seconds = self._seconds - seconds if self._ready else 0.0  # subtracting floats need not end at 0
            batch.append(message)
        if not self._room.is_set():
            self._last_message_at = monotonic()  # `receive` was paused until now
            self._room.set()
        return batch


def parse_reply(reply: str) -> tuple[int, int, int, int]:
    """Stream sequence, consumer sequence, timestamp (ns) and messages pending, from a JetStream reply subject.

    `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, or with domain and account
    after ACK and a token at the end (ADR-15 of nats-architecture-and-design).
    """
    tokens = reply.split(".")
    first = 5 if len(tokens) == 9 else 7
    stream_sequence, consumer_sequence, time, pending = map(int, tokens[first : first + 4])
    return stream_sequence, consumer_sequence, time, pending


@asynccontextmanager
async def open_reader(
    client: Client,
    js: JetStreamContext,
    stream: str,
    start: int,
    most: int,
    parse: Callable[[Arrival], T],
    weigh: Callable[[T], int],
    limits: IngestLimits | None = None,
) -> AsyncIterator[StreamReader[T]]:
    """A reader of the stream from that sequence on, for the length of the block. Raises Unavailable."""
    inbox = client.new_inbox()
    try:
        consumer = await js.add_consumer(
            stream,
            api.ConsumerConfig(
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=start,
                ack_policy=api.AckPolicy.NONE,
                inactive_threshold=FORGOTTEN_SECONDS,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        reader = StreamReader(client, stream, consumer.name, inbox, most, parse, weigh, limits or IngestLimits())
        subscription = await client.subscribe(inbox, cb=reader.receive)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise unavailable(error, client) from error
    try:
        yield reader
    finally:
        with suppress(nats.errors.Error, NotFoundError, TimeoutError, OSError):
            await subscription.unsubscribe()
            await js.delete_consumer(stream, consumer.name)
