"""Reading a JetStream stream as a log: every message from a place on, in order, each once.

A pull consumer without acknowledgements is used as a mere cursor: it lives in memory, is made anew whenever anything
looks odd, and nothing depends on what it remembers. Its own sequence must rise by one; a jump means that something was
lost on the way. (nats-py's fetch stalls after an empty answer, nats.py issue 986, so requests are sent by hand.)
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from eventscope.errors import Unavailable
from eventscope.store.message import Arrival

BATCH_BYTES: Final = 8 * 1024 * 1024  # one transaction should not hold more
REQUEST_BYTES: Final = 64 * 1024 * 1024
REQUEST_SECONDS: Final = 30
HEARTBEAT_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 3.5  # three heartbeats missed
FORGOTTEN_SECONDS: Final = 60.0  # until the server drops a consumer that nobody reads


class Reader:
    """The messages of a stream from a sequence on. Make it with `reading`."""

    def __init__(self, client: Client, stream: str, consumer: str, inbox: str, most: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = inbox
        self._most = most
        self._arrivals: deque[Arrival] = deque()
        self._bytes = 0
        self._something = asyncio.Event()
        self._awaited = 0
        self._consumer_sequence = 0
        self._failure: str | None = None
        self._heard = asyncio.get_running_loop().time()
        self.pending = 0  # messages in the stream behind the last one that came

    async def next(self, seconds: float) -> list[Arrival]:
        """What has come, at most a batch of it; waits for the first for up to so many seconds.

        Unavailable when messages were lost on the way or the server is silent: then read anew from the checkpoint.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self._arrivals:
            if self._failure is not None:
                raise Unavailable(self._failure)
            if loop.time() - self._heard > SILENCE_SECONDS:
                raise Unavailable("NATS is silent")
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

    async def receive(self, message: Msg) -> None:
        """Take what the server sends to the inbox."""
        self._heard = asyncio.get_running_loop().time()
        headers = message.headers or {}
        status = headers.get("Status") if not message.data else None
        if status is not None:
            self._told(status, headers.get("Description", ""))
        else:
            self._arrived(message, headers)
        self._something.set()

    def _told(self, status: str, description: str) -> None:
        if status == "100":
            return
        self._awaited = 0
        # 404 and 408 end a request that found no more; any other says that the consumer is of no more use
        if status not in ("404", "408") and description != "Batch Completed":
            self._failure = f"NATS ended the read: {status} {description}".strip()

    def _arrived(self, message: Msg, headers: dict[str, str]) -> None:
        sequence, consumer_sequence, nanoseconds, self.pending = place(message.reply)
        self._awaited -= 1
        if self._failure is not None:
            return  # there is a hole in front of it
        if consumer_sequence != self._consumer_sequence + 1:
            self._failure = f"messages were lost on the way before sequence {sequence}"
            return
        self._consumer_sequence = consumer_sequence
        self._arrivals.append(Arrival(message.subject, headers, message.data, sequence, nanoseconds // 1000))

    async def _request(self) -> None:
        if self._awaited > 0:
            return
        self._awaited = self._most
        request = {
            "batch": self._most,
            "max_bytes": REQUEST_BYTES,
            "expires": REQUEST_SECONDS * 1_000_000_000,
            "idle_heartbeat": int(HEARTBEAT_SECONDS * 1_000_000_000),
        }
        await self._client.publish(self._subject, orjson.dumps(request), reply=self._inbox)

    def _take(self) -> list[Arrival]:
        taken: list[Arrival] = []
        size = 0
        while self._arrivals and len(taken) < self._most:
            size += len(self._arrivals[0].raw)
            if taken and size > BATCH_BYTES:
                break
            taken.append(self._arrivals.popleft())
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
async def reading(client: Client, js: JetStreamContext, stream: str, start: int, most: int) -> AsyncIterator[Reader]:
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
        reader = Reader(client, stream, made.name, inbox, most)
        subscription = await client.subscribe(inbox, cb=reader.receive)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise Unavailable(f"NATS does not answer now ({type(error).__name__})") from error
    try:
        yield reader
    finally:
        with suppress(nats.errors.Error, NotFoundError, TimeoutError, OSError):
            await subscription.unsubscribe()
            await js.delete_consumer(stream, made.name)
