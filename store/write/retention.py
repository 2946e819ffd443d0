"""How long events and rejected messages are kept: days by type pattern, and the hour at which each expires."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from eventscope.store.filters.filter import fits
from eventscope.store.filters.mongo import bson_date
from eventscope.store.values import moment

MOST_CACHED = 10_000  # types and times that are cached; hostile publishers could send any number of types


class Retention:
    """The rules of a log. Of the patterns that match a type, the one with the most literal characters applies.

    Events of a type that no pattern matches are kept for ever, as are those whose rule says 0 days. `rejected_days` is
    for all rejected messages; 0 keeps them for ever.
    """

    def __init__(self, days: Mapping[str, float], rejected_days: float = 0.0) -> None:
        self.days = dict(days)
        self.rejected_days = rejected_days
        most_literal_first = sorted(days, key=lambda pattern: ("*" in pattern, -len(pattern.replace("*", "")), pattern))
        self._rules = [(fits(pattern), days[pattern]) for pattern in most_literal_first]
        self._days_by_type: dict[str, float] = {}
        self._ends: dict[tuple[float, int], datetime] = {}

    def days_for(self, type: str) -> float:
        """The days for which events of the type are kept; 0 means for ever."""
        days_of_type = self._days_by_type.get(type)
        if days_of_type is None:
            days_of_type = next((days for rule, days in self._rules if rule(type)), 0.0)
            if len(self._days_by_type) < MOST_CACHED:
                self._days_by_type[type] = days_of_type
        return days_of_type

    def expire_at(self, type: str, recorded_at: int) -> datetime | None:
        """When an event expires: the end of its hour plus the days of its type; None if it is kept for ever.

        Whole hours keep the rollups small, since these count by hour of expiry.
        """
        return self._after(self.days_for(type), recorded_at)

    def rejection_expires_at(self, rejected_at: int) -> datetime | None:
        """When a message that is rejected at that moment expires; None if it is kept for ever.

        The time of recording does not matter: a message that is rejected for its age must be visible, too.
        """
        return self._after(self.rejected_days, rejected_at)

    def _after(self, days: float, recorded_at: int) -> datetime | None:
        if days == 0:
            return None
        hour = -(-recorded_at // moment.HOUR)
        end = self._ends.get((days, hour))
        if end is None:
            end = _whole_hour(bson_date(hour * moment.HOUR) + timedelta(days=days))
            if len(self._ends) >= MOST_CACHED:
                self._ends.clear()
            self._ends[days, hour] = end
        return end


def _whole_hour(time: datetime) -> datetime:
    floor = time.replace(minute=0, second=0, microsecond=0)
    return floor if floor == time else floor + timedelta(hours=1)
