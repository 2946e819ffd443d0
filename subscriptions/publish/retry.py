"""Trying rejected messages again: each goes the one way in, and leaves the rejected ones once the log has its outcome.

Whatever dies in between, NATS with all that it had not stored included, nothing is lost: the message is in the one
place, or the other, or both. And nothing is stored twice: a retry carries the id that the message had, be it one that
was made of its first place in the stream.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError

from eventscope.errors import Unavailable
from eventscope.store.log import Log
from eventscope.store.rejected.messages import StoredRejection, remove
from eventscope.store.values.message import RETRY
from eventscope.subscriptions.live.log_key import LogKey
from eventscope.subscriptions.messages.parse import MESSAGE_ID, OWN_ID, generated_id
from eventscope.subscriptions.nats.header_block import Sendable, parse
from eventscope.subscriptions.publish import outcome
from eventscope.subscriptions.publish.trust import Answer, Trust

ACK_SECONDS: Final = 5.0
EXPECTED_BYTES: Final = 128  # of the header that names the stream
DIGITS: Final = 20  # more than the number of any rejected message has
SERVERS_OWN: Final = "nats-"  # headers that told JetStream what to do the first time: it has done so


class RetryRefused(Exception):
    """JetStream refuses the message, which therefore stays rejected; another one may be taken."""


def headers(message: StoredRejection) -> Sendable:
    """The headers of a retry: those of the message, but for what JetStream alone was meant to read.

    Its own `Nats-Msg-Id` would make JetStream drop the retry within minutes of the first time; the id is kept in a
    header that only the ingester reads.
    """
    kept = {name: value for name, value in message.headers.items() if not name.lower().startswith(SERVERS_OWN)}
    return Sendable(kept | {OWN_ID: _id(message.headers) or _made_up(message), RETRY: str(message.number)})


def _id(given: Mapping[str, str | list[str]]) -> str | None:
    for name in (OWN_ID, MESSAGE_ID):
        value = given.get(name)
        last = value[-1] if isinstance(value, list) else value  # the one by which it was known
        if last:
            return last
    return None


def _made_up(message: StoredRejection) -> str:
    source = message.source
    return generated_id(source["stream"], source["sequence"], message.recorded_at)


class Retrier:
    """Sends rejected messages again, and hears what becomes of them. Make it with `retrying`."""

    def __init__(self, log: Log, client: Client, stream: str) -> None:
        self.answers: dict[int, Answer] = {}
        self.sent: set[int] = set()
        self._removed: set[int] = set()
        self._log = log
        self._client = client
        self._js = client.jetstream(timeout=ACK_SECONDS)
        self._stream = stream
        self._heard = asyncio.Event()
        self._trust = Trust(LogKey(log))
        self._awaited: dict[int, bytes] = {}  # what was sent for which number
        self.inbox = client.new_inbox()

    async def remove_answered(self) -> None:
        """Take those from the rejected ones that are stored, or rejected again under another number."""
        done = self.answers.keys() - self._removed
        if done:
            await remove(self._log, sorted(done))
            self._removed |= done

    async def send(self, message: StoredRejection) -> None:
        """Send the message again, and return when JetStream has it. It stays among the rejected ones.

        Raises NotTaken, and Unavailable when NATS does not answer: it may have the message, and to send it once more is
        right in both cases.
        """
        given = headers(message)
        given.update(self._trust.headers)
        given[outcome.REPLY_TO] = f"{self.inbox}.{message.number}"
        block = given.block()
        if parse(block).every != given:
            raise RetryRefused("its headers cannot be sent as they are kept")
        size = len(message.raw) + len(block)
        if size + EXPECTED_BYTES > self._client.max_payload:  # NATS would end the connection without a word
            raise RetryRefused(f"it has {size} bytes with its headers, and NATS takes {self._client.max_payload}")
        self._awaited[message.number] = message.raw
        try:
            await self._js.publish(message.subject, message.raw, stream=self._stream, headers=given)
        except NoStreamResponseError:
            raise RetryRefused(f"no stream takes {message.subject} any more") from None
        except APIError as error:
            raise RetryRefused(f"JetStream refuses it: {error.description}") from None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(
                f"JetStream did not acknowledge number {message.number}, which stays rejected; retry it again"
            ) from error
        self.sent.add(message.number)

    async def receive(self, message: Msg) -> None:
        """Take an answer of the ingester in. By one of anybody else a message would be lost that is not stored."""
        token = message.subject.rpartition(".")[2]
        number = int(token) if token.isdecimal() and len(token) < DIGITS else None
        if number is None or number not in self._awaited or number in self.answers:
            return
        answer = await self._trust.answer(message, self._awaited[number])
        if answer is not None:
            self.answers[number] = answer
            del self._awaited[number]
            self._heard.set()

    async def settle(self, seconds: float) -> None:
        """Wait until all that was sent is answered, or no further answer came for so many seconds."""
        while self.sent - self.answers.keys():
            self._heard.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._heard.wait()
            except TimeoutError:
                return


@asynccontextmanager
async def open_retrier(log: Log, client: Client, stream: str) -> AsyncIterator[Retrier]:
    """A retrier on that connection, for the length of the block."""
    retrier = Retrier(log, client, stream)
    subscription = await client.subscribe(f"{retrier.inbox}.*", cb=retrier.receive)
    try:
        yield retrier
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()
