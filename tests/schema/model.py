"""Filters over a plain list of events: what the answers of the API are compared with."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from hypothesis import strategies as st

from eventscope.store import moment
from eventscope.store.documents import Event
from tests.app.world import IDS, START

Predicate = Callable[[Event, Any], bool]

MEANING: Final[Mapping[str, Predicate]] = {
    "ids": lambda event, ids: event["messageId"] in ids,
    "eventTypes": lambda event, patterns: any(like(pattern, event["type"]) for pattern in patterns),
    "aggregateType": lambda event, type: event.get("aggregateType") == type,
    "aggregateTypes": lambda event, types: event.get("aggregateType") in types,
    "aggregateId": lambda event, id: event.get("aggregateId") == id,
    "aggregateIds": lambda event, ids: event.get("aggregateId") in ids,
    "userId": lambda event, id: event.get("userId") == id,
    "correlationId": lambda event, id: event.get("correlationId") == id,
    "causationId": lambda event, id: event.get("causationId") == id,
    "fromTimestamp": lambda event, time: event["timestamp"] >= moment.from_text(time),
    "toTimestamp": lambda event, time: event["timestamp"] <= moment.from_text(time),
    "fromPosition": lambda event, position: event["_id"] >= position,
    "toPosition": lambda event, position: event["_id"] <= position,
    "fromVersion": lambda event, version: "version" in event and event["version"] >= version,
    "toVersion": lambda event, version: "version" in event and event["version"] <= version,
}


def means(filter: Mapping[str, Any], event: Event) -> bool:
    """Whether the filter, as a client writes it, means the event."""
    return all(MEANING[name](event, value) for name, value in filter.items())


def like(pattern: str, text: str) -> bool:
    """Whether the text fits a pattern in which only `*` is special."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


times = st.integers(START, START + 31 * moment.DAY).map(moment.to_text)
types = st.sampled_from(
    ["user.*", "*.deleted", "*", "user.created", "vendor.*.updated", "us*ted", "session.*", "nothing", ".*", "user..*"]
)
aggregate_types = st.sampled_from(["user", "vendor", "file", "nothing"])
aggregate_ids = st.sampled_from([*IDS["user"][:3], *IDS["file"], "nothing"])
some = {"min_size": 0, "max_size": 3}

filters: Final = st.fixed_dictionaries(
    {},
    optional={
        "ids": st.lists(st.integers(0, 310).map("m{:03}".format), max_size=40),
        "eventTypes": st.lists(types, max_size=3),
        "aggregateType": aggregate_types,
        "aggregateTypes": st.lists(aggregate_types, max_size=3),
        "aggregateId": aggregate_ids,
        "aggregateIds": st.lists(aggregate_ids, max_size=3),
        "userId": st.sampled_from(["alice", "bob", "ali", ".*"]),
        "correlationId": st.integers(0, 21).map("c{}".format),
        "causationId": st.sampled_from(["command-1", "m001", "m010"]),
        "fromTimestamp": times,
        "toTimestamp": times,
        "fromPosition": st.integers(-5, 310),
        "toPosition": st.integers(-5, 310),
        "fromVersion": st.integers(-1, 20),
        "toVersion": st.integers(-1, 20),
    },
).map(lambda filter: dict(list(filter.items())[:4]))
