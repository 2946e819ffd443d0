"""Publishing with an answer: the event goes the one way in, and its outcome comes back when it is in the log.

What is not answered is sent again with the same messageId, which the log stores once. JetStream's own deduplication is
left out of it: it would swallow the second sending, and nobody would answer.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from eventscope.errors import BadInput, Rejected, Unavailable, VersionConflict
from eventscope.store.values import json_text
from eventscope.subscriptions.messages import versions
from eventscope.subscriptions.messages.envelope import PLAIN
from eventscope.subscriptions.messages.parse import MOST_BYTES
from eventscope.subscriptions.nats.client import violation_on
from eventscope.subscriptions.nats.subjects import subject_of
from eventscope.subscriptions.publish import outcome
from eventscope.subscriptions.publish.outcome import PublishRejection, StoredEvent
from eventscope.subscriptions.publish.outgoing import EXPECTED_STREAM, EventMessage
from eventscope.subscriptions.publish.trust import Answer, Trust

if TYPE_CHECKING:  # it brings the MongoDB driver, which services that publish do without
    from eventscope.subscriptions.live.log_key import LogKey

AGAIN_SECONDS: Final = 2.0  # after which an event that was not answered is sent again
DEADLINE_SECONDS: Final = 10.0
MOST_UNSENT: Final = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class _Awaited:
    """An answer that is waited for, to what was published."""

    payload: bytes
    ids: list[str]
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ConfirmedPublisher:
    """Publishes events and waits for what becomes of them. Make it with `asking`."""

    def __init__(self, client: Client, stream: str, subjects: Sequence[str], key: "LogKey | None" = None) -> None:
        self.trust = Trust(key)
        self._client = client
        self._stream = stream
        self._subjects = subjects
        self._awaited: dict[str, _Awaited] = {}
        self.inbox = client.new_inbox()

    async def publish(
        self,
        messages: Sequence[EventMessage],
        *,
        together: bool,
        expected: Sequence[int | None] = (),
        seconds: float = DEADLINE_SECONDS,
    ) -> list[StoredEvent]:
        """Publish one event, or several `together`: all are stored, or none is.

        `expected` are the versions that the aggregates must have before each of them: 0 if it must not exist, None if
        any will do; nothing is expected where there are fewer.

        Raises VersionConflict or Rejected when they are refused, BadInput when they cannot be sent, and Unavailable
        when there is no outcome in time: they may be stored later; publishing again with the same messageIds is safe.
        """
        named = [{**message, "messageId": message.get("messageId") or str(uuid.uuid4())} for message in messages]
        try:
            payload = json_text.dumps(named if together else named[0])
        except json_text.Fault as fault:
            raise BadInput(f"the event is not JSON: {fault}", fault.place or None) from None
        stated = versions.header(expected)
        room = self._client.max_payload - 1024 - sum(map(len, stated.values()))
        if len(payload) > min(MOST_BYTES, room):
            raise BadInput(f"{len(payload)} bytes are too many for one message; {MOST_BYTES} are the most")
        subject = subject_of(str(named[0]["type"]), self._subjects)
        token = uuid.uuid4().hex
        awaited = self._awaited[token] = _Awaited(payload, [str(message["messageId"]) for message in named])
        answer = awaited.answer
        headers = {**stated, **PLAIN, **self.trust.headers, EXPECTED_STREAM: self._stream}
        headers[outcome.REPLY_TO] = f"{self.inbox}.{token}"
        try:
            async with asyncio.timeout(seconds):
                while not answer.done():
                    await self._send(subject, payload, headers)
                    await asyncio.wait([answer], timeout=AGAIN_SECONDS)
        except TimeoutError:
            raise Unavailable(f"no outcome within {seconds:g} seconds; publish again with the same messageId") from None
        finally:
            del self._awaited[token]
        return _stored(answer.result())

    async def receive(self, message: Msg) -> None:
        """Take an answer in, unless somebody else than an ingester has sent it: then the true one may still come."""
        awaited = self._awaited.get(message.subject.rpartition(".")[2])
        if awaited is None or awaited.answer.done():
            return
        answer = await self.trust.answer(message, awaited.payload, awaited.ids)
        if answer is not None and not awaited.answer.done():
            awaited.answer.set_result(answer)

    async def _send(self, subject: str, payload: bytes, headers: Mapping[str, Any]) -> None:
        if self._client.pending_data_size > MOST_UNSENT:
            # nats-py would wait for room, and swallow what tells it that the time is up
            await asyncio.sleep(AGAIN_SECONDS / 10)
            return
        try:
            # nats-py writes into the headers that it is given
            await self._client.jetstream().publish(subject, payload, timeout=AGAIN_SECONDS, headers=dict(headers))
        except nats.js.errors.APIError as error:
            raise Unavailable(f"JetStream takes no events now: {error.description}") from error
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError):
            if (reason := violation_on(self._client, subject)) is not None:
                raise Unavailable(reason) from None
            await asyncio.sleep(AGAIN_SECONDS / 10)  # it may have arrived all the same, so only the answer tells


@asynccontextmanager
async def open_confirmed(
    client: Client, stream: str, subjects: Sequence[str], key: "LogKey | None" = None
) -> AsyncIterator[ConfirmedPublisher]:
    """An asker on that connection, for the length of the block; one with the log's key takes sealed answers only."""
    asker = ConfirmedPublisher(client, stream, subjects, key)
    subscription = await client.subscribe(f"{asker.inbox}.*", cb=asker.receive)
    try:
        yield asker
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()


def _stored(answer: Answer) -> list[StoredEvent]:
    if not isinstance(answer, PublishRejection):
        return answer
    if answer.actual_version is not None:
        raise VersionConflict(answer.reason, answer.actual_version, answer.index)
    raise Rejected(f"{answer.code}: {answer.reason}", answer.code, answer.index)
