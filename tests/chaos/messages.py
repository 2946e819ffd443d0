"""What the services of a chaos run publish: plain events, wrong versions, expectations, arrays, duplicates, reused
ids and poison."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from eventscope.store.values.message import EXPECTED_VERSION
from eventscope.subscriptions.messages.headers import MESSAGE_ID
from eventscope.subscriptions.messages.versions import header
from tests.chaos.ledger import Ledger, Sent

AGGREGATES: Final = 60
USERS: Final = 7
RESTARTS: Final = 0.005
REGIONS: Final = ("north", "south", "west")
# of a hundred messages; confirmed services set no headers, and send no nonsense
KINDS: Final = {"plain": 70, "expecting": 12, "together": 8, "again": 5, "reused": 2, "poison": 3}
CONFIRMED_KINDS: Final = {"plain": 70, "expecting": 15, "together": 10, "again": 5}
POISON: Final = {
    "INVALID_JSON": '{{"messageId": "{id}", "data": ',
    "INVALID_TYPE": '{{"messageId": "{id}", "type": "two words"}}',
    "NOT_AN_OBJECT": '"{id}"',
    "NO_AGGREGATE": '{{"messageId": "{id}"}}',  # with a header that expects a version
    "INVALID_TIMESTAMP": '{{"messageId": "{id}", "timestamp": "soon"}}',
}


@dataclass(slots=True)
class Author:
    """Generates the messages of one service. `versions` holds the versions that replies reported; they may be old."""

    name: str
    prefix: str
    chance: random.Random
    ledger: Ledger
    versions: dict[str, int]
    kinds: Mapping[str, int] = field(default_factory=lambda: KINDS)
    written: list[Sent] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    number: int = 0

    def next(self) -> Sent:
        """The next message to send; sometimes one that was sent before."""
        [kind] = self.chance.choices(list(self.kinds), list(self.kinds.values()))
        if kind in ("again", "reused") and not self.written:
            kind = "plain"
        self.number += 1
        match kind:
            case "again":
                return self.chance.choice(self.written[-200:])
            case "reused":
                return self._reused(self.chance.choice(self.written[-200:]))
            case "poison":
                code = self.chance.choice(list(POISON))
                headers = {EXPECTED_VERSION: "3"} if code == "NO_AGGREGATE" else {}
                return self._enter(POISON[code].format(id=self._id()).encode(), headers, refusable=[code])
            case "together":
                return self._together()
            case "expecting":
                return self._expecting()
            case _:
                return self._plain()

    def _plain(self) -> Sent:
        message = self._message(self._aggregate())
        # some services let JetStream drop what they send twice
        headers = {MESSAGE_ID: message["messageId"]} if self.chance.random() < 0.3 else {}
        one = self._enter(orjson.dumps(message), headers)
        self.written.append(one)
        return one

    def _expecting(self) -> Sent:
        id = self._aggregate()
        version = self.versions.get(id, 0)
        return self._enter(orjson.dumps(self._message(id)), header([version]), version, ["VERSION_CONFLICT"])

    def _together(self) -> Sent:
        ids = [self._aggregate() for _ in range(2)]
        messages = [self._message(self.chance.choice(ids), index) for index in range(self.chance.randint(1, 5))]
        if self.chance.random() < 0.7:
            return self._enter(orjson.dumps(messages))
        version = self.versions.get(messages[0]["aggregateId"], 0)
        return self._enter(orjson.dumps(messages), header([version]), version, ["VERSION_CONFLICT"])

    def _reused(self, other: Sent) -> Sent:
        # if NATS lost the other message, this one may be stored, and the other one rejected when sent again
        other.refusable.add("ID_REUSED")
        message = self._message(self._aggregate()) | {"messageId": orjson.loads(other.raw)["messageId"]}
        return self._enter(orjson.dumps(message), refusable=["ID_REUSED"])

    def _enter(
        self,
        raw: bytes,
        headers: dict[str, str] | None = None,
        expected: int | None = None,
        refusable: list[str] | None = None,
    ) -> Sent:
        subject = f"{self.prefix}.user.updated"
        return self.ledger.enter(self.name, self.number, subject, raw, headers or {}, expected, refusable or ())

    def _message(self, aggregate: str, index: int = 0) -> dict[str, Any]:
        return {
            "messageId": f"{self._id()}-{index}",
            "type": self.chance.choice(("user.updated", "user.created", "user.deleted")),
            "aggregateType": "user",
            "aggregateId": aggregate,
            "version": self._claim(aggregate),
            "userId": f"u{self.number % USERS}",
            "metadata": {"region": REGIONS[self.number % len(REGIONS)]},
            "data": {
                "from": self.name,
                "number": self.number,
                "index": index,
                "note": "x" * self.chance.randint(0, 200),
            },
        }

    def _claim(self, aggregate: str) -> int:
        """The version as a service counts it in its own memory, which is empty after a restart."""
        if self.chance.random() < RESTARTS:
            self.counted.clear()
        self.counted[aggregate] += 1
        return self.counted[aggregate]

    def _aggregate(self) -> str:
        return str(self.chance.randrange(AGGREGATES))

    def _id(self) -> str:
        return f"{self.name}-{self.number}"
