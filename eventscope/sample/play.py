"""An invented town market, whose customers and vendors cause an endless sequence of lifelike events.

Customers sign up, come online, walk about, change their profile, link accounts of other services, and some leave for
good. Vendors join, open their stands, move, change prices, close for the day, and some for ever. The events of one
visit or one working day have one correlation id, and each names the event that caused it. Nothing happens to what is
deleted, and only those who are connected disconnect.
"""

import asyncio
import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from eventscope.sample import stories
from eventscope.sample.market import Market
from eventscope.sample.stories import Story
from eventscope.subscriptions.publish.protocol import EventMessage
from eventscope.subscriptions.publish.publisher import Publisher

MEAN_SECONDS: Final = 2.0
PAST: Final = timedelta(days=3)
LAG: Final = 1.0  # seconds; events later than this, as after an outage of NATS, are not caught up on

STORIES: Final = range(4, 9)  # running at the same time
USERS: Final = range(12, 60)
VENDORS: Final = range(4, 14)


def business(seed: int | None, start: datetime) -> Iterator[EventMessage]:
    """The events of a market from `start` on, on average one in two seconds; the same for the same seed and start."""
    chance = _chance(seed, start)
    market = Market(chance, start)
    happenings = _happenings(market)
    while True:
        yield next(happenings)
        market.at += timedelta(seconds=_pause(chance, MEAN_SECONDS))


async def play(publisher: Publisher, *, rate: float, seed: int | None, history: int = 0) -> None:
    """Publish `history` events of the last three days, then `rate` events per second on average until cancelled.

    Each run is another market with its own ids: the seed decides everything but its start time.
    """
    start = datetime.now(UTC)
    chance = _chance(seed, start)
    market = Market(chance, start)
    happenings = _happenings(market)
    for moment in _past(chance, start, history):
        market.at = moment
        await publisher.publish(next(happenings))
    clock = asyncio.get_running_loop().time
    due = clock()
    while True:
        due = max(due + _pause(chance, 1 / rate), clock() - LAG)
        await asyncio.sleep(due - clock())
        market.at = datetime.now(UTC)
        await publisher.publish(next(happenings))


def _chance(seed: int | None, start: datetime) -> random.Random:
    return random.Random() if seed is None else random.Random(f"{seed} {start.isoformat()}")


def _pause(chance: random.Random, mean: float) -> float:
    """Seconds until the next event: mostly few, as between the clicks of a visit, and sometimes many."""
    return chance.expovariate(1 / mean) * (0.25 if chance.random() < 0.6 else 2.125)


def _past(chance: random.Random, now: datetime, count: int) -> Iterator[datetime]:
    """Times within the last days, more of them by day than by night."""
    ages: list[timedelta] = []
    while len(ages) < count:
        age = PAST * chance.random()
        hour = (now - age).hour
        if chance.random() < 0.55 - 0.45 * math.cos((hour - 2) / 12 * math.pi):
            ages.append(age)
    return (now - age for age in sorted(ages, reverse=True))


def _happenings(market: Market) -> Iterator[EventMessage]:
    """The next event of any of the running stories, again and again."""
    running: list[Story] = []
    while True:
        while len(running) < market.chance.choice(STORIES):
            running.append(_begin(market))
        story = market.chance.choice(running)
        event = next(story, None)
        if event is None:
            running.remove(story)
        else:
            yield event


def _begin(market: Market) -> Story:
    """A new story: people come while there are few of them, and some leave when there are many."""
    users, vendors = market.users, market.vendors
    choices: list[tuple[float, Callable[[], Story]]] = [
        (10 if users < USERS.start else users < USERS.stop, lambda: stories.sign_up(market)),
        (9 if market.free_users else 0, lambda: stories.visit(market, market.take_user())),
        (0.7 if market.free_users and users > USERS.start else 0, lambda: stories.leave(market, market.take_user())),
        (6 if vendors < VENDORS.start else 0.3 * (vendors < VENDORS.stop), lambda: stories.join(market)),
        (3 if market.free_vendors else 0, lambda: stories.day(market, market.take_vendor())),
        (
            0.2 if market.free_vendors and vendors > VENDORS.start else 0,
            lambda: stories.close(market, market.take_vendor()),
        ),
    ]
    [(_, begin)] = market.chance.choices(choices, [weight for weight, _ in choices])
    return begin()
