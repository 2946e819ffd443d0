"""Scanning the log where no index helps: one window of positions after another, until enough is found or time is up.

Windows grow as long as they are fast, so that a scan through positions without matches needs few of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from eventscope.errors import QuestionTimedOut
from eventscope.store.log import Log
from eventscope.store.mongo.errors import translate_errors

WIDEST: Final = 1_000_000
QUICK_SECONDS: Final = 0.1

WindowReader: TypeAlias = Callable[[int, int], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The positions to scan, both ends included, in or against the order of the log."""

    low: int
    high: int
    newest_first: bool


async def through(log: Log, stretch: Stretch, read: WindowReader) -> int | None:
    """Call `read` with the first and last position of one window after another, until it returns True.

    Returns None when it did, or when all of the stretch was read; else the last position read before time was up.
    QuestionTimedOut when even a small window takes too long.
    """
    loop, limits = asyncio.get_running_loop(), log.search
    remaining, size, end = stretch, limits.window, loop.time() + log.question_seconds * limits.patience
    while remaining.low <= remaining.high:
        window, rest = _cut(remaining, size)
        start = loop.time()
        try:
            with translate_errors(log.question_seconds * limits.window_share):
                enough = await read(window.low, window.high)
        except QuestionTimedOut:
            if remaining is not stretch:
                break
            if size == 1:
                raise QuestionTimedOut(log.question_seconds) from None
            size = max(size // 50, 1)
            continue
        if enough:
            return None
        remaining = rest
        if loop.time() >= end:
            break
        size = _next(size, loop.time() - start)
    if remaining.low > remaining.high:
        return None
    return remaining.high + 1 if remaining.newest_first else remaining.low - 1


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
