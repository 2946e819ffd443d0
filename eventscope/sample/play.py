"""A small business that never was: a town market whose customers and vendors make lifelike events without end.

Customers sign up, come online, walk about, change their profile, link accounts of other services, and some leave for
good. Vendors join, open their stands, move, change prices, close for the day, and some for ever. What happens within
one visit or one working day has one correlation, and each event names the one that caused it. Nothing happens to what
is deleted, and who disconnects was connected.
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
LAG: Final = 1.0  # seconds; what a longer silence of NATS kept back is not made up for in a rush

AT_ONCE: Final = range(4, 9)  # stories
USERS: Final = range(12, 60)
VENDORS: Final = range(4, 14)


def business(seed: int | None, start: datetime) -> Iterator[EventMessage]:
    """The events of the market from `start` on, about one in two seconds; the same for the same seed and start."""
    chance = _chance(seed, start)
    market = Market(chance, start)
    happenings = _happenings(market)
    while True:
        yield next(happenings)
        market.at += timedelta(seconds=_pause(chance, MEAN_SECONDS))


async def play(publisher: Publisher, *, rate: float, seed: int | None, history: int = 0) -> None:
    """Publish so many events a second on average until cancelled, after `history` events of the last three days.

    Each run plays another market, with its own ids: the seed decides all but for the moment at which it starts.
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
    """Seconds until the next event: mostly few, as between the clicks of a visit, and now and then many."""
    return chance.expovariate(1 / mean) * (0.25 if chance.random() < 0.6 else 2.125)


def _past(chance: random.Random, now: datetime, count: int) -> Iterator[datetime]:
    """Moments of the days before, more of them by day than by night."""
    ages: list[timedelta] = []
    while len(ages) < count:
        age = PAST * chance.random()
        hour = (now - age).hour
        if chance.random() < 0.55 - 0.45 * math.cos((hour - 2) / 12 * math.pi):
            ages.append(age)
    return (now - age for age in sorted(ages, reverse=True))


def _happenings(market: Market) -> Iterator[EventMessage]:
    """What happens next in any of the stories that go on."""
    going: list[Story] = []
    while True:
        while len(going) < market.chance.choice(AT_ONCE):
            going.append(_begin(market))
        story = market.chance.choice(going)
        event = next(story, None)
        if event is None:
            going.remove(story)
        else:
            yield event


def _begin(market: Market) -> Story:
    """A new story: people come while there are few of them, and some go when there are many."""
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
