"""The stories of the sample: what customers and vendors do, event by event, each caused by one before."""

from collections.abc import Callable, Generator
from typing import Any, Final

from eventscope.sample import cast
from eventscope.sample.market import INTEGRATION, Actor, Market, User, Vendor
from eventscope.subscriptions.publish.protocol import EventMessage

# A story yields its events one by one, each when its time has come.
Story = Generator[EventMessage, None, None]
Scene = Generator[EventMessage, None, EventMessage]  # returns the event that causes what follows


def sign_up(market: Market) -> Story:
    """A new customer signs up, and looks around at once."""
    user = market.new_user()
    actor = market.by_user(user, market.id("visit"))
    profile = {"name": user.name, "email": user.email, "plan": user.plan}
    created = market.event("user.created", user.id, actor, market.chance.choice(cast.SIGNUPS), profile, None)
    yield created
    yield from _visit(market, user, actor, created)
    market.free_users.append(user)


def visit(market: Market, user: User) -> Story:
    """A customer comes online, does this and that, and goes."""
    yield from _visit(market, user, market.by_user(user, market.id("visit")), None)
    market.free_users.append(user)


def leave(market: Market, user: User) -> Story:
    """A customer leaves for good: alone, or with the help of the staff. Linked accounts go first."""
    reason = market.chance.choice(cast.LEAVINGS)
    last: EventMessage | None = None
    if market.chance.random() < 0.5:
        actor = market.by_user(user, market.id("visit"))
        last = yield from _visit(market, user, actor, None)
    else:
        actor = market.by_staff()
    for provider in list(user.integrations):
        last = yield from _unlink(market, user, actor, last, provider, "account is closed")
    yield market.event("user.deleted", user.id, actor, reason, {}, last)
    market.users -= 1


def join(market: Market) -> Story:
    """A vendor gets a place, and opens the stand for the first time."""
    vendor = market.new_vendor()
    actor = market.by_staff()
    data = {"name": vendor.name, "trade": vendor.trade, "ownerId": vendor.owner, "menu": _menu(vendor), "open": False}
    created = market.event("vendor.created", vendor.id, actor, "application approved", data | _pitch(vendor), None)
    yield created
    yield from _day(market, vendor, market.by_vendor(vendor, actor.correlation), created)
    market.free_vendors.append(vendor)


def day(market: Market, vendor: Vendor) -> Story:
    """A vendor opens, sells, perhaps moves, and closes."""
    yield from _day(market, vendor, market.by_vendor(vendor, market.id("day")), None)
    market.free_vendors.append(vendor)


def close(market: Market, vendor: Vendor) -> Story:
    """A vendor gives up the stand, or has to."""
    reason = market.chance.choice(cast.CLOSINGS)
    yield market.event("vendor.deleted", vendor.id, market.by_staff(), reason, {}, None)
    market.vendors -= 1


def _visit(market: Market, user: User, actor: Actor, cause: EventMessage | None) -> Scene:
    connection = market.id("connection")
    since = market.at
    last = market.event("websocket.user.connected", user.id, actor, "app opened", {"connectionId": connection}, cause)
    yield last
    for act in market.chance.choices(VISITOR_ACTS, VISITOR_WEIGHTS, k=market.chance.randint(0, 6)):
        last = yield from act(market, user, actor, last)
    left = {"connectionId": connection, "seconds": round((market.at - since).total_seconds(), 3)}
    reason = market.chance.choice(cast.FAREWELLS)
    last = market.event("websocket.user.disconnected", user.id, actor, reason, left, last)
    yield last
    return last


def _walk(market: Market, user: User, actor: Actor, cause: EventMessage) -> Scene:
    user.place = market.walk(user.place)
    latitude, longitude = user.place
    accuracy = market.chance.choice((5, 8, 12, 30))
    data = {"location": {"latitude": latitude, "longitude": longitude, "accuracyMetres": accuracy}}
    yield market.event("user.location.updated", user.id, actor, "moved", data, cause)
    return cause  # a walk causes nothing


def _change(market: Market, user: User, actor: Actor, cause: EventMessage) -> Scene:
    data: dict[str, Any]
    match market.chance.randrange(4):
        case 0:
            user.plan = market.chance.choice([plan for plan in cast.PLANS if plan != user.plan])
            reason, data = "changed the plan", {"plan": user.plan}
        case 1:
            user.email = market.email(*user.name.split(" "))
            reason, data = "has a new address", {"email": user.email}
        case 2:
            user.name = f"{user.name.split(' ')[0]} {market.chance.choice(cast.LAST_NAMES)}"
            reason, data = "changed the name", {"name": user.name}
        case _:
            reason, data = "changed the settings", {"newsletter": market.chance.random() < 0.3}
    changed = market.event("user.updated", user.id, actor, reason, data, cause)
    yield changed
    return changed


def _link(market: Market, user: User, actor: Actor, cause: EventMessage) -> Scene:
    provider, scopes = market.chance.choice(list(cast.PROVIDERS.items()))
    if provider in user.integrations:
        return (yield from _unlink(market, user, actor, cause, provider, "no longer used"))
    user.integrations[provider] = id = market.id("integration")
    data = {"userId": user.id, "provider": provider, "scopes": list(scopes)}
    linked = market.event(f"{INTEGRATION}.created", id, actor, "consent given", data, cause)
    yield linked
    return linked


def _unlink(market: Market, user: User, actor: Actor, cause: EventMessage | None, provider: str, reason: str) -> Scene:
    id = user.integrations.pop(provider)
    data = {"userId": user.id, "provider": provider}
    unlinked = market.event(f"{INTEGRATION}.deleted", id, actor, reason, data, cause)
    yield unlinked
    return unlinked


def _day(market: Market, vendor: Vendor, actor: Actor, cause: EventMessage | None) -> Scene:
    connection = market.id("connection")
    since = market.at
    last = market.event(
        "websocket.vendor.connected", vendor.id, actor, "terminal started", {"connectionId": connection}, cause
    )
    yield last
    if market.chance.random() < 0.6:
        last = yield from _move(market, vendor, actor, last)
    last = market.event("vendor.updated", vendor.id, actor, "opens", {"open": True}, last)
    yield last
    for act in market.chance.choices((_price, _move), (3, 1), k=market.chance.randint(0, 4)):
        last = yield from act(market, vendor, actor, last)
    last = market.event("vendor.updated", vendor.id, actor, "closes for today", {"open": False}, last)
    yield last
    left = {"connectionId": connection, "seconds": round((market.at - since).total_seconds(), 3)}
    last = market.event("websocket.vendor.disconnected", vendor.id, actor, "terminal switched off", left, last)
    yield last
    return last


def _move(market: Market, vendor: Vendor, actor: Actor, cause: EventMessage) -> Scene:
    vendor.pitch = (vendor.pitch + market.chance.randrange(1, len(cast.PITCHES))) % len(cast.PITCHES)
    moved = market.event("vendor.location.updated", vendor.id, actor, "better place", _pitch(vendor), cause)
    yield moved
    return moved


def _price(market: Market, vendor: Vendor, actor: Actor, cause: EventMessage) -> Scene:
    item = market.chance.choice(list(vendor.menu))
    price = round(vendor.menu[item] * market.chance.choice((0.8, 0.9, 1.05, 1.1)), 1)
    vendor.menu[item] = min(max(price, 1.0), 30.0)
    reason = market.chance.choice(cast.PRICE_CHANGES)
    changed = market.event("vendor.updated", vendor.id, actor, reason, {"menu": _menu(vendor)}, cause)
    yield changed
    return changed


def _menu(vendor: Vendor) -> list[dict[str, Any]]:
    return [{"item": item, "price": price} for item, price in vendor.menu.items()]


def _pitch(vendor: Vendor) -> dict[str, Any]:
    name, latitude, longitude = cast.PITCHES[vendor.pitch]
    return {"pitch": name, "location": {"latitude": latitude, "longitude": longitude}}


VISITOR_ACTS: Final[tuple[Callable[[Market, User, Actor, EventMessage], Scene], ...]] = (_walk, _change, _link)
VISITOR_WEIGHTS: Final = (6, 2, 2)
