"""Publishing with an answer: the event goes through the stream, and its outcome comes back once it is in the log.

An event without an answer is sent again with the same messageId, which the log stores once. JetStream's own
deduplication is not used: it would drop the second sending, and no answer would come.
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

from eventscope.errors import Rejected, Unavailable, VersionConflict
from eventscope.subscriptions.messages import versions
from eventscope.subscriptions.messages.envelope import PLAIN
from eventscope.subscriptions.messages.headers import EXPECTED_STREAM, REPLY_TO
from eventscope.subscriptions.messages.json_body import MOST_BYTES
from eventscope.subscriptions.nats.client import violation_on
from eventscope.subscriptions.nats.subjects import subject_of
from eventscope.subscriptions.publish.outcome import PublishRejection, StoredEvent
from eventscope.subscriptions.publish.protocol import EventMessage, check_size, encode
from eventscope.subscriptions.publish.trust import Answer, AnswerTrust

if TYPE_CHECKING:  # it loads the MongoDB driver, which services that only publish do without
    from eventscope.subscriptions.live.log_key import LogKey

AGAIN_SECONDS: Final = 2.0
DEADLINE_SECONDS: Final = 10.0
MOST_UNSENT: Final = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class _Request:
    """What was published, and the answer to it."""

    payload: bytes
    ids: list[str]
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ConfirmedPublisher:
    """Publishes events and waits for their outcome. Made by `open_confirmed`."""

    def __init__(
        self,
        client: Client,
        stream: str,
        subjects: Sequence[str],
        key: "LogKey | None" = None,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        self.deadline_seconds = DEADLINE_SECONDS
        """How long `publish` waits for an outcome if its caller does not say it."""
        self._again_seconds = again_seconds
        self.trust = AnswerTrust(key)
        self.inbox = client.new_inbox()
        self._client = client
        self._stream = stream
        self._subjects = subjects
        self._requests: dict[str, _Request] = {}

    async def publish(
        self,
        messages: Sequence[EventMessage],
        *,
        together: bool,
        expected: Sequence[int | None] = (),
        seconds: float | None = None,
    ) -> list[StoredEvent]:
        """Publish one event, or several `together`: all are stored, or none.

        `expected` are the versions that the aggregates must have before each event: 0 if it must not exist, None for
        any, which is also what missing ones mean.

        Raises VersionConflict or Rejected when the events are rejected, BadInput when they cannot be sent, and
        Unavailable when there is no outcome within `seconds`: they may still be stored, and publishing them again with
        the same messageIds is safe.
        """
        events = [{**message, "messageId": message.get("messageId") or str(uuid.uuid4())} for message in messages]
        name = "the list of events" if len(messages) > 1 else "the event"
        payload = encode(events if together else events[0], name)
        token = uuid.uuid4().hex
        headers = {
            **versions.header(expected),
            **PLAIN,
            **self.trust.headers,
            EXPECTED_STREAM: self._stream,
            REPLY_TO: f"{self.inbox}.{token}",
        }
        check_size(name, payload, headers, MOST_BYTES, self._client.max_payload)
        subject = subject_of(str(events[0]["type"]), self._subjects)
        request = self._requests[token] = _Request(payload, [str(event["messageId"]) for event in events])
        seconds = self.deadline_seconds if seconds is None else seconds
        try:
            async with asyncio.timeout(seconds):
                while not request.answer.done():
                    await self._send(subject, payload, headers)
                    await asyncio.wait([request.answer], timeout=self._again_seconds)
        except TimeoutError:
            raise Unavailable(f"no outcome within {seconds:g} seconds; publish again with the same messageId") from None
        finally:
            del self._requests[token]
        return _stored_events(request.answer.result())

    async def receive(self, message: Msg) -> None:
        """Accept an answer if an ingester sent it; after any other, the true one may still come."""
        request = self._requests.get(message.subject.rpartition(".")[2])
        if request is None or request.answer.done():
            return
        answer = await self.trust.answer(message, request.payload, request.ids)
        if answer is not None and not request.answer.done():
            request.answer.set_result(answer)

    async def _send(self, subject: str, payload: bytes, headers: Mapping[str, Any]) -> None:
        if self._client.pending_data_size > MOST_UNSENT:
            # nats-py would wait for room, and swallow the cancellation that ends the wait at the deadline
            await asyncio.sleep(self._again_seconds / 10)
            return
        try:
            # a copy, since nats-py adds to the headers it is given
            await self._client.jetstream().publish(subject, payload, timeout=self._again_seconds, headers=dict(headers))
        except nats.js.errors.APIError as error:
            raise Unavailable(f"JetStream accepts no events now: {error.description}") from error
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError):
            if (reason := violation_on(self._client, subject)) is not None:
                raise Unavailable(reason) from None
            await asyncio.sleep(
                self._again_seconds / 10
            )  # it may have arrived all the same; only the answer shows that


@asynccontextmanager
async def open_confirmed(
    client: Client,
    stream: str,
    subjects: Sequence[str],
    key: "LogKey | None" = None,
    again_seconds: float = AGAIN_SECONDS,
) -> AsyncIterator[ConfirmedPublisher]:
    """A publisher on that connection, for the length of the block; one with the log's key accepts sealed answers only.

    Without the key it accepts any answer that is about its events. An event without an answer is sent again every
    `again_seconds`.
    """
    publisher = ConfirmedPublisher(client, stream, subjects, key, again_seconds)
    subscription = await client.subscribe(f"{publisher.inbox}.*", cb=publisher.receive)
    try:
        yield publisher
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()


def _stored_events(answer: Answer) -> list[StoredEvent]:
    if not isinstance(answer, PublishRejection):
        return answer
    if answer.actual_version is not None:
        raise VersionConflict(answer.reason, answer.actual_version, answer.index)
    raise Rejected(f"{answer.code}: {answer.reason}", answer.code, answer.index)
