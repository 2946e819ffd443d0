"""Runs `eventscope rejected`: shows rejected messages, sends them again, deletes them."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from eventscope import rejection_codes
from eventscope.connections import connect, connect_mongo
from eventscope.errors import BadInput
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.rejected import messages, quota
from eventscope.store.rejected.messages import StoredRejection
from eventscope.store.values import moment
from eventscope.subscriptions.publish.outcome import PublishRejection
from eventscope.subscriptions.publish.retry import Retrier, RetryRefused, open_retrier
from eventscope.terminal import say

PAGE: Final = 50
SETTLE_SECONDS: Final = 5.0  # of silence, after which we assume that no ingester is running


async def show_all(settings: Settings, code: str | None, limit: int) -> None:
    """Print a line for each of the newest rejected messages, and how many there are; BadInput for an unknown code."""
    count = 0
    async with connect_mongo(settings) as log:
        counts, dropped = await messages.codes(log), await quota.dropped(log)
        if code is not None:
            code = rejection_codes.find(code, counts)
        below: int | None = None
        while page := await messages.rejections(log, limit=min(PAGE, limit - count), below=below, code=code):
            for message in page:
                name = message.code.ljust(rejection_codes.LONGEST)
                say(f"{message.number:>6}  {name}  {_time(message)}  {message.subject}  {message.reason}")
            below = page[-1].number
            count += len(page)
            if count == limit:
                break
    total = sum(n for name, n in counts.items() if code in (None, name))
    say(f"{count} of {total} rejected message{'' if total == 1 else 's'}{f' with {code}' if code else ''}")
    if code is None and len(counts) > 1:
        say(", ".join(f"{name} {n}" for name, n in counts.items()))
    if dropped is not None:
        by_code = ", ".join(f"{name} {n}" for name, n in dropped.codes.items())
        last = moment.to_text(dropped.last)
        were = "older one was" if dropped.count == 1 else "older ones were"
        say(f"{dropped.count} {were} dropped to make room, the last at {last}: {by_code}")


async def show(settings: Settings, number: int, *, raw: bool) -> None:
    """Print all that is known of one message, or with `raw` only its bytes; BadInput if there is none."""
    async with connect_mongo(settings) as log:
        message = await messages.one(log, number)
    if message is None:
        raise _missing([number])
    if raw:
        sys.stdout.buffer.write(message.raw)
        sys.stdout.buffer.flush()
        return
    source = message.source
    say(f"number: {message.number}")
    say(f"code: {message.code}")
    say(f"reason: {message.reason}")
    say(f"time: {_time(message)}")
    say(f"place: {source['stream']} {source['sequence']}, stream of {source['created'].replace('+00:00', 'Z')}")
    say(f"subject: {message.subject}")
    for name, value in message.headers.items():
        for text in value if isinstance(value, list) else [value]:
            say(f"header {name}: {text}")
    say(f"bytes: {len(message.raw)}")
    say("")
    for line in _lines(message.raw):
        say(line)


async def retry(settings: Settings, numbers: Sequence[int] | None, code: str | None) -> int:
    """Send messages again in their original order, and return the exit code: 0 if all are stored.

    `numbers` None means all, or all with that code. BadInput for a number or a code that does not exist.
    """
    unsent = 0
    async with (
        connect(settings, "eventscope rejected") as at,
        open_retrier(at.log, at.nats, settings.stream) as retrier,
    ):
        # the numbers are read once: a message that is rejected again gets a new number, and is not retried in this run
        try:
            for turn, number in enumerate(await _selection(at.log, numbers, code), 1):
                message = await messages.one(at.log, number)
                if message is None:  # retried or dropped by somebody else meanwhile
                    continue
                try:
                    await retrier.send(message)
                except RetryRefused as refusal:
                    unsent += 1
                    say(f"{number} stays: {refusal}")
                if turn % PAGE == 0:
                    await retrier.remove_answered()
            await retrier.settle(SETTLE_SECONDS)
        finally:
            await retrier.remove_answered()
        new_numbers = await _new_numbers(at.log, retrier)
    return _report(retrier, unsent, new_numbers)


async def retry_with(settings: Settings, number: int, raw: bytes) -> int:
    """Send `raw` with the subject, headers and id of a rejected message, and return the exit code: 0 if it is stored.

    The rejected message is removed only after that, since nothing else has its bytes. BadInput if there is none.
    """
    unsent = 0
    async with (
        connect(settings, "eventscope rejected") as at,
        open_retrier(at.log, at.nats, settings.stream) as retrier,
    ):
        message = await messages.one(at.log, number)
        if message is None:
            raise _missing([number])
        try:
            await retrier.send(replace(message, raw=raw))
        except RetryRefused as refusal:
            unsent = 1
            say(f"{number} stays: {refusal}")
        await retrier.settle(SETTLE_SECONDS)
        answer = retrier.answers.get(number)
        if isinstance(answer, list):
            await messages.remove(at.log, [number])
        new_numbers = await _new_numbers(at.log, retrier)
    code = _report(retrier, unsent, new_numbers)
    if isinstance(answer, PublishRejection):
        say(f"{number} stays rejected, unchanged")
    elif answer is None and not unsent:
        say(f"{number} stays rejected until its corrected message is known to be stored; repeat the command later")
    return code


async def drop(
    settings: Settings, numbers: Sequence[int] | None, code: str | None, confirm: Callable[[int], bool]
) -> None:
    """Delete messages, if `confirm` agrees to their number. BadInput for a number or a code that does not exist."""
    dropped = 0
    async with connect_mongo(settings) as log:
        selection = await _selection(log, numbers, code)
        if selection and confirm(len(selection)):
            for start in range(0, len(selection), 1000):
                dropped += await messages.remove(log, selection[start : start + 1000])
    say(f"{dropped} dropped")


def _rejections(retrier: Retrier) -> dict[int, PublishRejection]:
    return {number: answer for number, answer in retrier.answers.items() if isinstance(answer, PublishRejection)}


async def _new_numbers(log: Log, retrier: Retrier) -> dict[int, int]:
    """The new numbers of messages that were rejected again, by their old ones."""
    rejections = _rejections(retrier)
    ids = {number: answer.message_id for number, answer in rejections.items() if answer.message_id is not None}
    newest = await messages.newest(log, list(ids.values()))
    return {number: newest[id] for number, id in ids.items() if newest.get(id, number) != number}


def _report(retrier: Retrier, unsent: int, new_numbers: Mapping[int, int]) -> int:
    rejections = _rejections(retrier)
    for number, answer in sorted(rejections.items()):
        name = f" as {new_numbers[number]}" if number in new_numbers else ""
        say(f"{number} was sent and is rejected again{name}: {answer.code}: {answer.reason}")
    stored = len(retrier.answers) - len(rejections)
    unanswered = len(retrier.sent_numbers) - len(retrier.answers)
    say(f"{stored} stored, {len(rejections)} rejected again, {unsent} not sent")
    if unanswered:
        say(
            f"{unanswered} sent, but no ingester has answered yet: they wait in NATS,"
            " and stay rejected until a later retry finds them stored"
        )
    return 1 if rejections or unsent or unanswered else 0


async def _selection(log: Log, numbers: Sequence[int] | None, code: str | None) -> list[int]:
    if code is not None:
        code = rejection_codes.find(code, await messages.codes(log))
    present = await messages.numbers(log, code)
    if not numbers:
        return present
    selection = set(numbers)
    if missing := sorted(selection.difference(present)):
        raise _missing(missing)
    return sorted(selection)


def _missing(numbers: Sequence[int]) -> BadInput:
    return BadInput(f"there is no rejected message with the number {', '.join(map(str, numbers))}")


def _time(message: StoredRejection) -> str:
    return moment.to_text(message.recorded_at)


def _lines(raw: bytes) -> list[str]:
    try:
        return raw.decode().splitlines()
    except UnicodeDecodeError:
        return ["not UTF-8 text; in hexadecimal:", raw.hex(" ")]
