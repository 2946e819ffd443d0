"""Going through the log where no index helps: window after window of positions, until there is enough or time is up.

Windows grow while they are quick, so that a search through what is empty takes few of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from eventscope.errors import QuestionTimedOut
from eventscope.store.log import Log
from eventscope.store.mongo.errors import translate_errors

WINDOW: Final = 2_000
WIDEST: Final = 1_000_000
QUICK_SECONDS: Final = 0.1
# of the time that a question may take: a page is worth more when it comes soon
SHARE: Final = 0.25  # for one read
PATIENCE: Final = 0.25  # after which no further window is looked at

WindowReader: TypeAlias = Callable[[int, int], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The positions that are gone through, both ends included, in or against the order of the log."""

    low: int
    high: int
    newest_first: bool


async def through(log: Log, stretch: Stretch, look: WindowReader) -> int | None:
    """Look at one window after the other, each given by its first and last position, until `look` has enough.

    The last position that was looked at when time was up before; None if it was not. QuestionTimedOut when even a small
    window takes too long.
    """
    loop = asyncio.get_running_loop()
    left, size, end = stretch, WINDOW, loop.time() + log.question_seconds * PATIENCE
    while left.low <= left.high:
        window, rest = _cut(left, size)
        began = loop.time()
        try:
            with translate_errors(log.question_seconds * SHARE):
                enough = await look(window.low, window.high)
        except QuestionTimedOut:
            if left is not stretch:
                break
            if size == 1:
                raise QuestionTimedOut(log.question_seconds) from None
            size = max(size // 50, 1)
            continue
        if enough:
            return None
        left = rest
        if loop.time() >= end:
            break
        size = _next(size, loop.time() - began)
    if left.low > left.high:
        return None
    return left.high + 1 if left.newest_first else left.low - 1


def _cut(stretch: Stretch, size: int) -> tuple[Stretch, Stretch]:
    if stretch.newest_first:
        start = max(stretch.high - size + 1, stretch.low)
        return Stretch(start, stretch.high, newest_first=True), Stretch(stretch.low, start - 1, newest_first=True)
    last = min(stretch.low + size - 1, stretch.high)
    return Stretch(stretch.low, last, newest_first=False), Stretch(last + 1, stretch.high, newest_first=False)


def _next(size: int, seconds: float) -> int:
    if seconds > 4 * QUICK_SECONDS:
        return max(size // 4, 1)
    return min(size * 4, WIDEST) if seconds < QUICK_SECONDS else size
