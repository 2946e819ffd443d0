"""Retrying rejected messages: each goes through the stream again, and is removed once the log has its outcome.

Whatever fails in between, even NATS with all that it had not stored, nothing is lost: the message is among the rejected
ones, in the log, or both. Nothing is stored twice either: a retry carries the id of the first attempt, even an id that
was generated from its sequence in the stream.
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
from eventscope.subscriptions.messages.headers import EXPECTED_STREAM, MESSAGE_ID, OWN_ID, REPLY_TO
from eventscope.subscriptions.messages.parse import generated_id
from eventscope.subscriptions.nats.header_block import Sendable, parse
from eventscope.subscriptions.publish.protocol import size
from eventscope.subscriptions.publish.trust import Answer, AnswerTrust

ACK_SECONDS: Final = 5.0
DIGITS: Final = 20  # more than the number of any rejected message has
SERVERS_OWN: Final = "nats-"  # headers that only JetStream reads, and that it obeyed the first time


class RetryRefused(Exception):
    """The message cannot be sent, or JetStream refuses it, so it stays rejected; others may be retried."""


def headers(message: StoredRejection) -> Sendable:
    """The headers of a retry: those of the message, without those for JetStream alone.

    With its own `Nats-Msg-Id`, JetStream would drop a retry that comes within minutes of the first attempt; the id
    goes into a header that only the ingester reads.
    """
    others = {name: value for name, value in message.headers.items() if not name.lower().startswith(SERVERS_OWN)}
    return Sendable(others | {OWN_ID: _id(message.headers) or _generated_id(message), RETRY: str(message.number)})


def _id(headers: Mapping[str, str | list[str]]) -> str | None:
    for name in (OWN_ID, MESSAGE_ID):
        value = headers.get(name)
        last = value[-1] if isinstance(value, list) else value  # the value that JetStream and the parser use
        if last:
            return last
    return None


def _generated_id(message: StoredRejection) -> str:
    source = message.source
    return generated_id(source["stream"], source["sequence"], message.recorded_at)


class Retrier:
    """Sends rejected messages again and collects their outcomes. Made by `open_retrier`."""

    def __init__(self, log: Log, client: Client, stream: str) -> None:
        self.answers: dict[int, Answer] = {}
        self.sent_numbers: set[int] = set()
        self.inbox = client.new_inbox()
        self._removed_numbers: set[int] = set()
        self._log = log
        self._client = client
        self._js = client.jetstream(timeout=ACK_SECONDS)
        self._stream = stream
        self._answer_came = asyncio.Event()
        self._trust = AnswerTrust(LogKey(log))
        self._payloads: dict[int, bytes] = {}  # by the number of the message, until its answer comes

    async def remove_answered(self) -> None:
        """Remove the rejected messages that are now stored, or rejected again under another number."""
        numbers = self.answers.keys() - self._removed_numbers
        if numbers:
            await remove(self._log, sorted(numbers))
            self._removed_numbers |= numbers

    async def send(self, message: StoredRejection) -> None:
        """Send the message again, and return when JetStream has it. It stays among the rejected ones.

        Raises RetryRefused, and Unavailable when NATS does not answer: JetStream may have the message, and sending it
        once more is right in both cases.
        """
        outgoing = headers(message)
        outgoing.update(self._trust.headers)
        outgoing[REPLY_TO] = f"{self.inbox}.{message.number}"
        outgoing[EXPECTED_STREAM] = self._stream
        if parse(outgoing.block()).every != outgoing:
            raise RetryRefused("NATS cannot carry its headers as they are stored")
        bytes, limit = size(message.raw, outgoing), self._client.max_payload
        if bytes > limit:  # NATS would close the connection without an error
            raise RetryRefused(f"it has {bytes} bytes with its headers; NATS accepts at most {limit}")
        self._payloads[message.number] = message.raw
        try:
            await self._js.publish(message.subject, message.raw, headers=outgoing)
        except NoStreamResponseError:
            raise RetryRefused(f"no stream takes {message.subject} any more") from None
        except APIError as error:
            raise RetryRefused(f"JetStream refuses it: {error.description}") from None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(
                f"JetStream did not acknowledge number {message.number}, which stays rejected; retry it again"
            ) from error
        self.sent_numbers.add(message.number)

    async def receive(self, message: Msg) -> None:
        """Accept an answer if an ingester sent it: a forged one would remove a message that is not stored."""
        token = message.subject.rpartition(".")[2]
        number = int(token) if token.isdecimal() and len(token) < DIGITS else None
        if number is None or number not in self._payloads or number in self.answers:
            return
        answer = await self._trust.answer(message, self._payloads[number])
        if answer is not None:
            self.answers[number] = answer
            del self._payloads[number]
            self._answer_came.set()

    async def settle(self, seconds: float) -> None:
        """Wait until all that was sent is answered, or no further answer came for `seconds`."""
        while self.sent_numbers - self.answers.keys():
            self._answer_came.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._answer_came.wait()
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
