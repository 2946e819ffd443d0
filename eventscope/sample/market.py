"""The market of the sample: who is there at the moment, and how a thing that happens becomes a message."""

import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from eventscope.sample import cast
from eventscope.subscriptions.publish.protocol import EventMessage

Place = tuple[float, float]

STEP: Final = 0.0015  # degrees, about 150 metres of a walk


@dataclass(slots=True)
class User:
    """A customer, as the events so far have made them."""

    id: str
    name: str
    email: str
    plan: str
    place: Place
    means: cast.Means
    address: str
    integrations: dict[str, str] = field(default_factory=dict)  # provider: id


@dataclass(slots=True)
class Vendor:
    """A vendor, as the events so far have made them."""

    id: str
    name: str
    trade: str
    owner: str
    menu: dict[str, float]
    pitch: int
    address: str


@dataclass(frozen=True, slots=True)
class Doing:
    """Who acts, by what means and from where, in one visit or working day."""

    user: str
    means: cast.Means
    address: str
    correlation: str


class Market:
    """Everybody who is there. Those in `free_users` and `free_vendors` take part in nothing just now."""

    def __init__(self, chance: random.Random, start: datetime) -> None:
        self.chance = chance
        self.at = start
        self.users = 0
        self.vendors = 0
        self.free_users: list[User] = []
        self.free_vendors: list[Vendor] = []

    def event(
        self, type: str, id: str, doing: Doing, reason: str, data: dict[str, Any], cause: EventMessage | None
    ) -> EventMessage:
        """A thing that happens now, to what the type names: `websocket.user.connected` happens to a user."""
        words = type.removeprefix("websocket.").split(".")
        source, agent = doing.means
        message: EventMessage = {
            "type": type,
            "messageId": str(uuid.UUID(int=self.chance.getrandbits(128), version=4)),
            "timestamp": self.at.isoformat().replace("+00:00", "Z"),
            "aggregateType": "integration" if "integration" in words else words[0],
            "aggregateId": id,
            "userId": doing.user,
            "correlationId": doing.correlation,
            "data": data,
            "metadata": {"reason": reason, "source": source, "agent": agent, "ip": doing.address},
        }
        return message if cause is None else {**message, "causationId": cause["messageId"]}

    def take_user(self) -> User:
        """A customer who takes part in something from now on."""
        return self.free_users.pop(self.chance.randrange(len(self.free_users)))

    def take_vendor(self) -> Vendor:
        """A vendor who takes part in something from now on."""
        return self.free_vendors.pop(self.chance.randrange(len(self.free_vendors)))

    def id(self, kind: str) -> str:
        """A new id that says what it is for."""
        return f"{kind}-{self.chance.getrandbits(48):012x}"

    def address(self) -> str:
        """An address on the net that belongs to nobody."""
        return f"{self.chance.choice(cast.NETWORKS)}.{self.chance.randint(1, 254)}"

    def by_user(self, user: User, correlation: str) -> Doing:
        """What a customer does in one visit."""
        return Doing(user.id, user.means, user.address, correlation)

    def by_vendor(self, vendor: Vendor, correlation: str) -> Doing:
        """What a vendor does in one day, at the terminal of the stand."""
        return Doing(vendor.owner, cast.TERMINAL, vendor.address, correlation)

    def by_staff(self) -> Doing:
        """What the staff does about one case."""
        return Doing(self.chance.choice(cast.STAFF), cast.DESK, "192.0.2.10", self.id("case"))

    def new_user(self) -> User:
        """Somebody who has just found the market."""
        first, last = self.chance.choice(cast.FIRST_NAMES), self.chance.choice(cast.LAST_NAMES)
        _, latitude, longitude = self.chance.choice(cast.PITCHES)
        self.users += 1
        return User(
            id=self.id("user"),
            name=f"{first} {last}",
            email=self.email(first, last),
            plan=self.chance.choice(cast.PLANS),
            place=self.walk((latitude, longitude)),
            means=self.chance.choice(cast.CLIENTS),
            address=self.address(),
        )

    def new_vendor(self) -> Vendor:
        """Somebody who has just got a place."""
        trade, goods = self.chance.choice(list(cast.TRADES.items()))
        owner = self.chance.choice(cast.FIRST_NAMES)
        self.vendors += 1
        return Vendor(
            id=self.id("vendor"),
            name=f"{owner}'s {trade}",
            trade=trade,
            owner=self.id("owner"),
            menu={
                item: self.chance.randint(low * 10, high * 10) / 10
                for item, (low, high) in zip(goods, cast.COSTS, strict=True)
            },
            pitch=self.chance.randrange(len(cast.PITCHES)),
            address=self.address(),
        )

    def email(self, *names: str) -> str:
        """An address at a domain that is set aside for examples."""
        plain = ".".join(names).lower().translate(cast.PLAIN)
        return f"{plain}{self.chance.randint(1, 999)}@example.com"

    def walk(self, place: Place) -> Place:
        """A place not far from here."""
        latitude, longitude = place
        return round(self.chance.gauss(latitude, STEP), 5), round(self.chance.gauss(longitude, STEP), 5)
