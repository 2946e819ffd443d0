"""What `eventscope rejected` does: shows messages that could not be taken, sends them again, lets them go."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from eventscope import rejection_codes
from eventscope.connections import connect, connect_mongo
from eventscope.errors import BadInput
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.rejected import messages as store
from eventscope.store.rejected import room
from eventscope.store.rejected.messages import StoredRejection
from eventscope.store.values import moment
from eventscope.subscriptions.publish.outcome import PublishRejection
from eventscope.subscriptions.publish.retry import Retrier, RetryRefused, open_retrier
from eventscope.terminal import say

PAGE: Final = 50
SETTLE_SECONDS: Final = 5.0  # without a further answer, after which no ingester is believed to be at work


async def show_all(settings: Settings, code: str | None, limit: int) -> None:
    """A line for each of the last ones, and how many there are."""
    shown = 0
    async with connect_mongo(settings) as log:
        counts, dropped = await store.codes(log), await room.dropped(log)
        if code is not None:
            code = rejection_codes.known(code, counts)
        below: int | None = None
        while page := await store.rejected(log, limit=min(PAGE, limit - shown), below=below, code=code):
            for message in page:
                name = message.code.ljust(rejection_codes.LONGEST)
                say(f"{message.number:>6}  {name}  {_time(message)}  {message.subject}  {message.reason}")
            below = page[-1].number
            shown += len(page)
            if shown == limit:
                break
    total = sum(n for name, n in counts.items() if code in (None, name))
    say(f"{shown} of {total} rejected message{'' if total == 1 else 's'}{f' with {code}' if code else ''}")
    if code is None and len(counts) > 1:
        say(", ".join(f"{name} {n}" for name, n in counts.items()))
    if dropped is not None:
        gone = ", ".join(f"{name} {n}" for name, n in dropped.codes.items())
        last = moment.to_text(dropped.last)
        were = "older one was" if dropped.count == 1 else "older ones were"
        say(f"{dropped.count} {were} dropped for want of room, the last at {last}: {gone}")


async def show(settings: Settings, number: int, *, raw: bool) -> None:
    """One message with all that is known of it, or with `raw` its bytes alone."""
    async with connect_mongo(settings) as log:
        message = await store.one(log, number)
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
    """Send them again in the order in which they came; the exit code is 0 when all are stored."""
    kept = 0
    async with (
        connect(settings, "eventscope rejected") as at,
        open_retrier(at.log, at.nats, settings.stream) as retrier,
    ):
        # what is rejected again meanwhile has a new number, and is not among them
        try:
            for turn, number in enumerate(await _chosen(at.log, numbers, code), 1):
                message = await store.one(at.log, number)
                if message is None:  # somebody else was quicker
                    continue
                try:
                    await retrier.send(message)
                except RetryRefused as refusal:
                    kept += 1
                    say(f"{number} stays: {refusal}")
                if turn % PAGE == 0:
                    await retrier.remove_answered()
            await retrier.settle(SETTLE_SECONDS)
        finally:
            await retrier.remove_answered()
        anew = await _anew(at.log, retrier)
    return _tell(retrier, kept, anew)


async def retry_with(settings: Settings, number: int, mended: bytes) -> int:
    """Send a mended message in place of a rejected one, with its subject, headers and id; 0 when it is stored.

    The rejected one is removed only after the mended one is stored, since nothing else has its bytes.
    """
    kept = 0
    async with (
        connect(settings, "eventscope rejected") as at,
        open_retrier(at.log, at.nats, settings.stream) as retrier,
    ):
        message = await store.one(at.log, number)
        if message is None:
            raise _missing([number])
        try:
            await retrier.send(replace(message, raw=mended))
        except RetryRefused as refusal:
            kept = 1
            say(f"{number} stays: {refusal}")
        await retrier.settle(SETTLE_SECONDS)
        answer = retrier.answers.get(number)
        if isinstance(answer, list):
            await store.remove(at.log, [number])
        anew = await _anew(at.log, retrier)
    code = _tell(retrier, kept, anew)
    if isinstance(answer, PublishRejection):
        say(f"{number} stays as it was")
    elif answer is None and not kept:
        say(f"{number} stays until the mended message is known to be stored; give the same command again")
    return code


async def drop(
    settings: Settings, numbers: Sequence[int] | None, code: str | None, agreed: Callable[[int], bool]
) -> None:
    """Let them go, if that is agreed to."""
    dropped = 0
    async with connect_mongo(settings) as log:
        chosen = await _chosen(log, numbers, code)
        if chosen and agreed(len(chosen)):
            for start in range(0, len(chosen), 1000):
                dropped += await store.remove(log, chosen[start : start + 1000])
    say(f"{dropped} dropped")


def _again(retrier: Retrier) -> dict[int, PublishRejection]:
    return {number: answer for number, answer in retrier.answers.items() if isinstance(answer, PublishRejection)}


async def _anew(log: Log, retrier: Retrier) -> dict[int, int]:
    """The new numbers of those that are rejected again, by their old ones."""
    ids = {number: answer.message_id for number, answer in _again(retrier).items() if answer.message_id is not None}
    newest = await store.newest(log, list(ids.values()))
    return {number: newest[id] for number, id in ids.items() if newest.get(id, number) != number}


def _tell(retrier: Retrier, kept: int, anew: Mapping[int, int]) -> int:
    again = _again(retrier)
    for number, answer in sorted(again.items()):
        name = f" as {anew[number]}" if number in anew else ""
        say(f"what was sent for {number} is rejected{name}: {answer.code}: {answer.reason}")
    stored = len(retrier.answers) - len(again)
    silent = len(retrier.sent) - len(retrier.answers)
    say(f"{stored} stored, {len(again)} rejected again, {kept} not sent")
    if silent:
        say(
            f"{silent} sent, but no ingester has answered yet: they wait in NATS,"
            " and stay rejected until a further retry finds them stored"
        )
    return 1 if again or kept or silent else 0


async def _chosen(log: Log, numbers: Sequence[int] | None, code: str | None) -> list[int]:
    if code is not None:
        code = rejection_codes.known(code, await store.codes(log))
    there = await store.numbers(log, code)
    if not numbers:
        return there
    wanted = set(numbers)
    if missing := sorted(wanted.difference(there)):
        raise _missing(missing)
    return sorted(wanted)


def _missing(numbers: Sequence[int]) -> BadInput:
    return BadInput(f"there is no rejected message with the number {', '.join(map(str, numbers))}")


def _time(message: StoredRejection) -> str:
    return moment.to_text(message.recorded_at)


def _lines(raw: bytes) -> list[str]:
    try:
        return raw.decode().splitlines()
    except UnicodeDecodeError:
        return ["no text; in hexadecimal:", raw.hex(" ")]
