"""Anybody may publish where a publisher waits for its reply: only what an ingester sends is accepted as one."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from eventscope.errors import Rejected, Unavailable
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.rejected import messages
from eventscope.store.state import secret
from eventscope.subscriptions.live import seal
from eventscope.subscriptions.live.log_key import LogKey
from eventscope.subscriptions.live.seal import Seal
from eventscope.subscriptions.messages.headers import REPLY_SEALED, REPLY_TO
from eventscope.subscriptions.publish.confirmed import ConfirmedPublisher, open_confirmed
from eventscope.subscriptions.publish.outcome import StoredEvent
from eventscope.subscriptions.publish.retry import open_retrier
from tests.support.ingesters import ingester
from tests.support.until import until

FORGED = b'{"messageId":"m","position":99,"version":99}'
NO_ANSWERS = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b"{}",
    b'{"code":1,"message":"no"}',
    b'{"code":"X"}',
    b'{"code":"X","message":"no","messageId":1}',
    b'{"events":1}',
    b'{"events":[1]}',
    b'{"events":[]}',
    b'{"events":[{"messageId":"m"}]}',
    b'{"messageId":"m","position":"1","version":null}',
    b'{"messageId":"m","position":true,"version":null}',
    b'{"messageId":"m","position":1,"version":"1"}',
    b"\xff" * 200,
    b'{"messageId":"other","position":1,"version":1}',
)


class Overheard:
    """What a reader of the stream sees, including the inboxes where replies are awaited."""

    def __init__(self, client: Client, subject: str) -> None:
        self._client = client
        self._subject = subject
        self.messages: list[Msg] = []

    async def listen(self) -> None:
        async def hear(message: Msg) -> None:
            self.messages.append(message)

        await self._client.subscribe(self._subject, cb=hear)
        await self._client.flush()

    async def first(self) -> tuple[str, Msg]:
        """The first message that was published, and the inbox for its reply."""
        await until(lambda: self.messages)
        return (self.messages[0].headers or {})[REPLY_TO], self.messages[0]

    async def send(self, place: str, answers: Iterable[bytes]) -> None:
        for answer in answers:
            await self._client.publish(place, answer)
        await self._client.flush()


@pytest.fixture
async def overheard(client: Client, subject_prefix: str) -> Overheard:
    overheard = Overheard(client, f"{subject_prefix}.a")
    await overheard.listen()
    return overheard


def counted(publisher: ConfirmedPublisher) -> list[str]:
    reasons: list[str] = []
    publisher.trust.on_distrust = reasons.append
    return reasons


async def test_of_forged_answers_and_a_true_one_after_them_only_the_true_one_is_accepted(
    settings: Settings, log: Log, client: Client, overheard: Overheard
) -> None:
    key = await secret.ensure(log)
    async with open_confirmed(client, settings.stream, settings.subjects, LogKey(log)) as publisher:
        reasons = counted(publisher)
        publishing = asyncio.create_task(publisher.publish([{"type": "a", "messageId": "m"}], together=False))
        place, message = await overheard.first()
        unsigned = [*NO_ANSWERS, FORGED]
        forged = [
            seal.seal_answer(FORGED, place, message.data, b"f" * 32),
            seal.seal_answer(FORGED, f"{place}0", message.data, key),  # a genuine one, for somebody else
            seal.seal_answer(FORGED, place, b"{}", key),  # or for another message
            Seal(key, 1).on(FORGED[1:-1]),
            seal.seal_answer(FORGED, place, message.data, key)[:-1] + b" ",
        ]
        await overheard.send(place, unsigned + forged)
        await until(lambda: len(reasons) == len(unsigned) + len(forged))
        assert not publishing.done()
        async with ingester(settings):
            [stored] = await publishing
            assert stored == StoredEvent("m", 1, None)
        assert reasons == ["unsigned"] * len(unsigned) + ["forged"] * len(forged)


async def test_a_publisher_without_the_key_accepts_a_readable_answer_about_its_events(
    settings: Settings, client: Client, overheard: Overheard
) -> None:
    async with open_confirmed(client, settings.stream, settings.subjects) as publisher:
        reasons = counted(publisher)
        publishing = asyncio.create_task(publisher.publish([{"type": "a", "messageId": "m"}], together=False))
        place, message = await overheard.first()
        assert REPLY_SEALED not in (message.headers or {})
        await overheard.send(place, NO_ANSWERS)
        await until(lambda: len(reasons) == len(NO_ANSWERS))
        assert set(reasons) == {"malformed", "foreign"}
        async with ingester(settings):
            assert await publishing == [StoredEvent("m", 1, None)]


@pytest.mark.parametrize("has_key", [True, False])
@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([{"type": "a"}, {"type": "a"}], "NO_AGGREGATE"),
        ([{"type": "a", "messageId": "x" * 5_000}], "INVALID_FIELD"),
        ([{"type": "a", "messageId": "x" * 5_000}, {"type": "a"}], "INVALID_FIELD"),
    ],
)
async def test_a_refusal_is_accepted_whatever_its_id(
    settings: Settings,
    log: Log,
    client: Client,
    ingesting: None,
    *,
    events: list[dict[str, Any]],
    code: str,
    has_key: bool,
) -> None:
    async with open_confirmed(
        client, settings.stream, settings.subjects, LogKey(log) if has_key else None
    ) as publisher:
        with pytest.raises(Rejected) as refusal:
            await publisher.publish(events, together=len(events) > 1, expected=[7] if code == "NO_AGGREGATE" else [])
    assert refusal.value.rejection == code


async def test_while_the_log_cannot_be_read_no_answer_is_trusted_and_nothing_fails(
    settings: Settings, log: Log, client: Client, overheard: Overheard
) -> None:
    await log.meta.insert_one({"_id": secret.ID, "key": b"damaged"})
    async with open_confirmed(client, settings.stream, settings.subjects, LogKey(log)) as publisher:
        publishing = asyncio.create_task(publisher.publish([{"type": "a"}], together=False, seconds=0.5))
        place, message = await overheard.first()
        await overheard.send(place, [seal.seal_answer(FORGED, place, message.data, b"damaged")])
        with pytest.raises(Unavailable, match="no outcome within"):
            await publishing


async def test_a_rejected_message_stays_when_somebody_else_answers_its_retry(
    settings: Settings, log: Log, client: Client, subject_prefix: str, overheard: Overheard
) -> None:
    async with ingester(settings):
        await client.jetstream().publish(f"{subject_prefix}.a", b"{")

        async def found() -> Any:
            return await messages.rejections(log, limit=1)

        [message] = await until(found)
    overheard.messages.clear()
    async with open_retrier(log, client, settings.stream) as retrier:
        await retrier.send(message)
        place, _ = await overheard.first()
        true_for_another = seal.seal_answer(FORGED, place, b"[", await secret.ensure(log))
        inbox = place.rpartition(".")[0]
        for odd in (f"{inbox}.x", f"{inbox}.{'9' * 1000}", f"{inbox}.\u00b2", f"{inbox}.77"):
            await overheard.send(odd, [FORGED])
        await overheard.send(place, [*NO_ANSWERS, FORGED, true_for_another])
        await retrier.remove_answered()
        assert retrier.answers == {}
        async with ingester(settings):
            await retrier.settle(20)
        assert retrier.answers[message.number].code == "INVALID_JSON"  # type: ignore[union-attr]
