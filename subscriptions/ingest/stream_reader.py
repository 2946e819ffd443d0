"""Reading a JetStream stream as a log: every message from a place on, in order, each once.

A pull consumer without acknowledgements is used as a mere cursor: it lives in memory, is made anew whenever anything
looks odd, and nothing depends on what it remembers. Its own sequence must rise by one; a jump means that something was
lost on the way. (nats-py's fetch stalls after an empty answer, nats.py issue 986, so requests are sent by hand.)
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
from eventscope.subscriptions.nats import client as nats_client
from eventscope.subscriptions.nats.stream import unavailable

T = TypeVar("T")

AHEAD: Final = 4  # batches that are asked for at once
# What is read in one go: MongoDB's answers, heartbeats and signals wait so long.
TURN: Final = 20  # messages
TURN_SECONDS: Final = 0.005
AHEAD_SECONDS: Final = 0.5  # of reading that is done before it is wanted: the time to store a batch in runs meanwhile
BATCH_BYTES: Final = 16 * 1024 * 1024  # one transaction should not hold more: a small MongoDB takes about twice that
REQUEST_BYTES: Final = 64 * 1024 * 1024
REQUEST_SECONDS: Final = 30
HEARTBEAT_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 3.5  # three heartbeats missed
ENDS: Final = ("Batch Completed", "Message Size Exceeds MaxBytes")
MESSAGE: Final = "$JS.ACK."  # what the reply subject of a message of the stream begins with, and of no other
FORGOTTEN_SECONDS: Final = 60.0  # until the server drops a consumer that nobody reads


class ReadInterrupted(Unavailable):
    """The messages must be asked for anew, from the place that was reached; NATS itself answers."""


class StreamReader(Generic[T]):
    """The messages of a stream from a sequence on, each as `read` makes it. Make it with `reading`.

    They are read as they arrive, and more are asked for than one batch takes: while MongoDB stores a batch, the next is
    made ready. It is no more than a batch, and no more than what takes AHEAD_SECONDS to read; `weigh` gives the bytes
    that a message makes in MongoDB.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        inbox: str,
        most: int,
        read: Callable[[Arrival], T],
        weigh: Callable[[T], int],
    ) -> None:
        self._client = client
        self._subject = nats_client.api(client, f"CONSUMER.MSG.NEXT.{stream}.{consumer}")
        self._stream = stream
        self._consumer = consumer
        self._inbox = inbox
        self._most = most
        self._read = read
        self._weigh = weigh
        self._ready: deque[tuple[T, int, float]] = deque()  # with its bytes, and the seconds that reading it took
        self._bytes = 0  # of all that are ready
        self._seconds = 0.0
        self._turn = (0, 0.0)  # how many were read since others had their turn, in how many seconds
        self._room = asyncio.Event()
        self._room.set()
        self._something = asyncio.Event()
        self._awaited = 0
        self._consumer_sequence = 0
        self._failure: Exception | None = None
        self._heard = monotonic()
        self._reconnects = client.stats["reconnects"]
        self.pending = 0  # messages in the stream behind the last one that came
        self.share = 1.0  # of AHEAD_SECONDS

    async def next(self, seconds: float) -> list[T]:
        """What has come, at most a batch of it; waits for the first for up to so many seconds.

        Unavailable when messages were lost on the way or the server is silent: then read anew from the checkpoint.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await self._request()
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            if monotonic() - self._heard > SILENCE_SECONDS:
                if self._client.is_connected:  # perhaps only this end is deaf, and pings would find that out later
                    await self._client.force_reconnect()
                raise Unavailable("NATS is silent")
            if self._client.stats["reconnects"] != self._reconnects:
                raise ReadInterrupted("the connection to NATS was made anew")  # the server has forgotten what was asked
            await self._request()
            self._something.clear()
            left = min(end - loop.time(), SILENCE_SECONDS)
            if left <= 0:
                return []
            with suppress(TimeoutError):
                # not wait_for, which in Python 3.11 may swallow a cancellation
                async with asyncio.timeout(left):
                    await self._something.wait()
        return self._take()

    async def has_all(self) -> bool:
        """Whether all that the server has sent was taken; False when it does not say."""
        if self._ready or self._failure is not None:
            return False
        try:
            info = await self._client.jetstream().consumer_info(self._stream, self._consumer)
        except (nats.errors.Error, APIError, TimeoutError, OSError):
            return False
        sent = 0 if info.delivered is None else info.delivered.consumer_seq
        return sent == self._consumer_sequence and not self._ready

    async def receive(self, message: Msg) -> None:
        """Take what the server sends to the inbox."""
        self._heard = monotonic()
        headers = {} if message.headers is None else message.headers
        # Not the headers tell: a publisher may write `Status` into them, and an empty message besides.
        if message.reply.startswith(MESSAGE):
            # most need neither, and to find that out here takes half as long
            if self._has_plenty:
                await self._until_wanted()
            self._arrived(message, headers)
            if self._turn[0] >= TURN or self._turn[1] >= TURN_SECONDS:
                await self._give_way()
        elif "Status" in headers:
            self._told(headers["Status"], headers.get("Description", ""))
        self._something.set()

    @property
    def _has_plenty(self) -> bool:
        return bool(self._ready) and (self._bytes >= BATCH_BYTES or self._seconds >= AHEAD_SECONDS * self.share)

    async def _until_wanted(self) -> None:
        while self._has_plenty:
            self._room.clear()
            await self._room.wait()

    async def _give_way(self) -> None:
        self._turn = (0, 0.0)
        self._something.set()
        await asyncio.sleep(0)

    def _told(self, status: str, description: str) -> None:
        if status == "100":
            return
        self._awaited = 0
        # some end the request, because there is no more or it is filled; any other, that the consumer is of no more use
        if status not in ("404", "408") and description not in ENDS:
            self._failure = ReadInterrupted(f"NATS ended the read: {status} {description}".strip())

    def _arrived(self, message: Msg, headers: dict[str, str]) -> None:
        sequence, consumer_sequence, nanoseconds, self.pending = place(message.reply)
        self._awaited -= 1
        if self._failure is not None:
            return  # there is a hole in front of it
        if consumer_sequence != self._consumer_sequence + 1:
            self._failure = ReadInterrupted(f"messages were lost on the way before sequence {sequence}")
            return
        self._consumer_sequence = consumer_sequence
        arrival = Arrival(message.subject, headers, message.data, sequence, nanoseconds // 1000)
        began = monotonic()
        try:
            read = self._read(arrival)
            size, seconds = self._weigh(read), monotonic() - began
            self._ready.append((read, size, seconds))
            self._bytes += size
            self._seconds += seconds
            self._turn = (self._turn[0] + 1, self._turn[1] + seconds)
        except Exception as error:  # the client's task would pass over it, and the message would be lost
            self._failure = error

    async def _request(self) -> None:
        if self._awaited > 0:
            return
        self._awaited = AHEAD * self._most
        request = {
            "batch": self._awaited,
            "max_bytes": REQUEST_BYTES,
            "expires": REQUEST_SECONDS * 1_000_000_000,
            "idle_heartbeat": int(HEARTBEAT_SECONDS * 1_000_000_000),
        }
        await self._client.publish(self._subject, orjson.dumps(request), reply=self._inbox)

    def _take(self) -> list[T]:
        taken: list[T] = []
        size = 0
        while self._ready and len(taken) < self._most:
            size += self._ready[0][1]
            if taken and size > BATCH_BYTES:
                break
            one, bytes, seconds = self._ready.popleft()
            self._bytes -= bytes
            self._seconds = self._seconds - seconds if self._ready else 0.0  # floats do not add up to it
            taken.append(one)
        if not self._room.is_set():
            self._heard = monotonic()  # nobody listened meanwhile
            self._room.set()
        return taken


def place(reply: str) -> tuple[int, int, int, int]:
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
    read: Callable[[Arrival], T],
    weigh: Callable[[T], int],
) -> AsyncIterator[StreamReader[T]]:
    """A reader of the stream from that sequence on, for the length of the block."""
    inbox = client.new_inbox()
    try:
        made = await js.add_consumer(
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
        reader = StreamReader(client, stream, made.name, inbox, most, read, weigh)
        subscription = await client.subscribe(inbox, cb=reader.receive)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise unavailable(error, client) from error
    try:
        yield reader
    finally:
        with suppress(nats.errors.Error, NotFoundError, TimeoutError, OSError):
            await subscription.unsubscribe()
            await js.delete_consumer(stream, made.name)
