"""Aggregates and counts that are kept up to date for a subscriber, and replays of the log."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, TypeVar

from eventscope.errors import BadInput
from eventscope.resolvers import cursor
from eventscope.resolvers import replay as replay_resolver
from eventscope.resolvers import stats as stats_resolver
from eventscope.resolvers.stats import Stats
from eventscope.schema.context import Context
from eventscope.schema.types.feed import Delivery, delivery
from eventscope.schema.types.filter import texts
from eventscope.store.aggregates import AggregateSummary
from eventscope.store.filters.filter import Filter
from eventscope.store.stats.counts import Scope
from eventscope.subscriptions.current.queries import SharedQuery
from eventscope.subscriptions.live.history import Item, position_after
from eventscope.subscriptions.live.replay import Rhythm, replay

T = TypeVar("T")

SECONDS: Final = 1.0
SHORTEST: Final = 0.2
LONGEST: Final = 3600.0
SLOWEST: Final = 0.001
FASTEST: Final = 1_000_000.0
PAUSE: Final = 5.0


def aggregate_changes(context: Context, type: str, id: str) -> AsyncGenerator[AggregateSummary, None]:
    """The aggregate now, and again whenever it has changed."""
    [type], [id] = texts("type", [type]), texts("id", [id])
    return _follow(context, context.services.aggregate_updates.follow(type, id))


def stats_changes(context: Context, scope: Scope, seconds: float | None) -> AsyncGenerator[Stats, None]:
    """The counts now, and again whenever they have changed; BadInput if `seconds` is out of range."""
    pace = _within("everySeconds", SECONDS if seconds is None else seconds, SHORTEST, LONGEST)

    async def read() -> Stats:
        return await stats_resolver.shared_stats(context.services.log, scope)

    query = SharedQuery(scope, stats_resolver.as_filter(scope), pace, read, lambda stats: frozenset(stats.cells))
    return _follow(context, context.services.shared_queries.follow(query))


async def replay_log(
    context: Context, filter: Filter, after: str | None, up_to: str | None, speed: float | None, pause: float | None
) -> AsyncGenerator[Delivery, None]:
    """The matching events of the log, replayed; BadInput if `speed` or `pause` is out of range."""
    longest = _within("maxPauseSeconds", PAUSE if pause is None else pause, 0.0, LONGEST)
    rhythm = None if speed is None else Rhythm(_within("speed", speed, SLOWEST, FASTEST), longest)
    log = context.services.log
    start, head = await replay_resolver.bounds(log, context.resume or after, up_to)
    return _deliver(context, replay(log, filter, start, head, rhythm), head)


async def _follow(context: Context, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    with context.services.feed.count_subscriber():
        async with aclosing(_with_own_budgets(context, items)) as budgeted:
            async for item in budgeted:
                yield item


async def _deliver(context: Context, items: AsyncGenerator[Item, None], head: int) -> AsyncGenerator[Delivery, None]:
    async with aclosing(_with_own_budgets(context, items)) as budgeted:
        async for item in budgeted:
            tag = context.log.identity.tag
            context.last_cursor = cursor.encode("e", position_after(item), head, tag=tag)
            yield delivery(item, tag)


async def _with_own_budgets(context: Context, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The items, each with a read budget of its own."""
    async with aclosing(items):
        async for item in items:
            yield item
            context.renew()


def _within(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise BadInput(f"{name} is {value:g}; it must be {low:g} to {high:g}", name)
    return value
