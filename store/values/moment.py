"""Moments in time: whole microseconds since 1970 in the store, RFC 3339 text outside.

A BSON date has milliseconds only, which would lose digits that publishers send (docs/decisions/0005).
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE: Final = 60_000_000
HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
TWO: Final = tuple(f"{n:02}" for n in range(60))
THREE: Final = tuple(f"{n:03}" for n in range(1000))
DAY_ALONE: Final = r"\d{4}(-?)\d\d\1\d\d|\d{4}-?W\d\d-?\d"
IS_DAY: Final = re.compile(DAY_ALONE, re.ASCII)
IS_WEEK: Final = re.compile(r"\d{4}-?W\d\d", re.ASCII)
# Python accepts any character before the time of day, so it would read the zone of a day as its time
IS_TIME: Final = re.compile(rf"(?:{DAY_ALONE}|\d{{4}}-?W\d\d)(?:[Tt _]\S+)?", re.ASCII)

# ISO 8601 writes the midnight at the end of a day as 24:00
END_OF_DAY: Final = re.compile(r"(.{8,10}[Tt _])24((?::?00){0,2}(?:[.,]0+)?(?:[Zz]|[+-].*)?)", re.ASCII)

Clock = Callable[[], int]


class Day(int):
    """The start of a day in UTC, when only the day was stated."""

    __slots__ = ()


def now() -> int:
    """The present moment, in microseconds."""
    return of(datetime.now(UTC))


def of(time: datetime) -> int:
    """A time with a zone as microseconds. It is exact, since no float is involved."""
    since = time - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def to_datetime(moment: int) -> datetime:
    """The moment as a time in UTC."""
    return EPOCH + timedelta(microseconds=moment)


@lru_cache(16_384)
def to_text(moment: int) -> str:
    """RFC 3339 in UTC, with microseconds if there are any: `2026-11-23T07:00:00.250000Z`."""
    # Every page formats many moments, often the same recent ones. Composing the text takes a quarter of the time of
    # isoformat, and a cache hit an eighth of that.
    seconds, rest = divmod(moment, 1_000_000)
    minute, second = divmod(seconds, 60)
    if not rest:
        return f"{_minute_text(minute)}{TWO[second]}Z"
    thousands, ones = divmod(rest, 1000)
    return f"{_minute_text(minute)}{TWO[second]}.{THREE[thousands]}{THREE[ones]}Z"


@lru_cache(65_536)
def _minute_text(minute: int) -> str:
    return to_datetime(minute * MINUTE).isoformat()[: len("2026-11-23T07:00:")]


def from_text(text: str) -> int:
    """Parse an ISO 8601 time, which is in UTC unless it names a zone; ValueError when it is not a time."""
    try:
        time = datetime.fromisoformat(text.upper() if "z" in text else text)
        if text[10:11] != "T" and not IS_TIME.fullmatch(text):
            raise ValueError
        return of(time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC))
    except (ValueError, OverflowError):
        with suppress(ValueError, OverflowError):
            if end := END_OF_DAY.fullmatch(text):
                late = from_text(f"{end[1]}00{end[2]}") + DAY
                to_datetime(late)
                return late
        raise ValueError(f"{text[:60]!r} is not a time like 2026-11-23T07:00:00Z") from None


def from_argument(text: str) -> int:
    """Parse a time or a day as people state it in an argument; a day becomes a `Day`. ValueError when it is neither."""
    try:
        if not IS_WEEK.fullmatch(text):
            return Day(from_text(text)) if IS_DAY.fullmatch(text) else from_text(text)
    except ValueError:
        pass
    raise ValueError(f"{text[:60]!r} is not a time like 2026-11-23T07:00:00Z or a day like 2026-11-23")


def ends(start: int | None, last: int | None, before: int | None) -> tuple[int | None, int | None]:
    """The first and the last moment of a range, both included; None for an open end.

    The range includes `last` (all of it, if that is a day), and ends before `before`.
    """
    highs = []
    if last is not None:
        highs.append(last + DAY - 1 if isinstance(last, Day) else last)
    if before is not None:
        highs.append(before - 1)
    return None if start is None else int(start), min(highs, default=None)


def minute_of(moment: int) -> int:
    """The start of the moment's minute."""
    return moment - moment % MINUTE


def hour_of(moment: int) -> int:
    """The start of the moment's hour."""
    return moment - moment % HOUR
