"""A log as one operation reads it."""

from dataclasses import fields, replace

from eventscope.store.log import Log
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.recent_events import RecentEvents
from eventscope.store.search_limits import SearchLimits


async def test_a_log_with_a_budget_is_otherwise_the_same(log: Log) -> None:
    whole = replace(
        log, question_seconds=3.0, indexed_paths=("data.a",), recent=RecentEvents(1), search=SearchLimits(window=7)
    )
    budget = ReadBudget(1000)
    part = whole.within(budget)
    assert part.budget is budget
    assert all(getattr(part, one.name) is getattr(whole, one.name) for one in fields(Log) if one.name != "budget")
