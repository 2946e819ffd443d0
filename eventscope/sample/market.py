"""The market of the sample: who is there, and the messages for what they do."""

import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from eventscope.sample import cast
from eventscope.subscriptions.publish.protocol import EventMessage

Coordinates = tuple[float, float]

INTEGRATION: Final = "user.integration"
STEP: Final = 0.0015  # degrees, a walk of about 150 metres


@dataclass(slots=True)
class User:
    """The state of a customer after the events so far."""

    id: str
    name: str
    email: str
    plan: str
    place: Coordinates
    means: cast.Means
    address: str
    integrations: dict[str, str] = field(default_factory=dict)  # provider: id


@dataclass(slots=True)
class Vendor:
    """The state of a vendor after the events so far."""

    id: str
    name: str
    trade: str
    owner: str
    menu: dict[str, float]
    pitch: int
    address: str


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts on one visit or working day, by what means and from which address."""

    user: str
    means: cast.Means
    address: str
    correlation: str


class Market:
    """All users and vendors. Those in `free_users` and `free_vendors` are in no story at the moment."""

    def __init__(self, chance: random.Random, start: datetime) -> None:
        self.chance = chance
        self.at = start
        self.users = 0
        self.vendors = 0
        self.free_users: list[User] = []
        self.free_vendors: list[Vendor] = []

    def event(
        self, type: str, id: str, actor: Actor, reason: str, data: dict[str, Any], cause: EventMessage | None
    ) -> EventMessage:
        """The message of an event that happens now.

        The aggregate's type is that in the event's: `user` for `user.created`, `user.integration` for
        `user.integration.deleted`, which is thus the aggregate's own event, and deletes it.
        """
        domain_type = type.removeprefix("websocket.")
        source, agent = actor.means
        message: EventMessage = {
            "type": type,
            "messageId": str(uuid.UUID(int=self.chance.getrandbits(128), version=4)),
            "timestamp": self.at.isoformat().replace("+00:00", "Z"),
            "aggregateType": INTEGRATION if domain_type.startswith(INTEGRATION) else domain_type.partition(".")[0],
            "aggregateId": id,
            "userId": actor.user,
            "correlationId": actor.correlation,
            "data": data,
            "metadata": {"reason": reason, "source": source, "agent": agent, "ip": actor.address},
        }
        return message if cause is None else {**message, "causationId": cause["messageId"]}

    def take_user(self) -> User:
        """A free customer, for a story."""
        return self.free_users.pop(self.chance.randrange(len(self.free_users)))

    def take_vendor(self) -> Vendor:
        """A free vendor, for a story."""
        return self.free_vendors.pop(self.chance.randrange(len(self.free_vendors)))

    def id(self, kind: str) -> str:
        """A new id that begins with its kind."""
        return f"{kind}-{self.chance.getrandbits(48):012x}"

    def address(self) -> str:
        """An IP address reserved for examples."""
        return f"{self.chance.choice(cast.NETWORKS)}.{self.chance.randint(1, 254)}"

    def by_user(self, user: User, correlation: str) -> Actor:
        """A customer on one visit."""
        return Actor(user.id, user.means, user.address, correlation)

    def by_vendor(self, vendor: Vendor, correlation: str) -> Actor:
        """A vendor on one day, at the terminal of the stand."""
        return Actor(vendor.owner, cast.TERMINAL, vendor.address, correlation)

    def by_staff(self) -> Actor:
        """A member of the staff, with a case."""
        return Actor(self.chance.choice(cast.STAFF), cast.DESK, "192.0.2.10", self.id("case"))

    def new_user(self) -> User:
        """A new customer."""
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
        """A new vendor."""
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
        """A mail address at a domain reserved for examples."""
        plain = ".".join(names).lower().translate(cast.PLAIN)
        return f"{plain}{self.chance.randint(1, 999)}@example.com"

    def walk(self, place: Coordinates) -> Coordinates:
        """Coordinates nearby."""
        latitude, longitude = place
        return round(self.chance.gauss(latitude, STEP), 5), round(self.chance.gauss(longitude, STEP), 5)
