"""Filters over a plain list of events: what the answers of the API are compared with."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from hypothesis import strategies as st

from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from tests.support.sample_log import IDS, START

Predicate = Callable[[EventDocument, Any], bool]

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
    "toTimestamp": lambda event, time: (
        # a day alone is all of it
        moment.to_text(event["timestamp"])[:10] <= time
        if len(time) == len("2026-03-11")
        else event["timestamp"] <= moment.from_text(time)
    ),
    "beforeTimestamp": lambda event, time: event["timestamp"] < moment.from_text(time),
    "fromPosition": lambda event, position: event["_id"] >= position,
    "toPosition": lambda event, position: event["_id"] <= position,
    "fromVersion": lambda event, version: "version" in event and event["version"] >= version,
    "toVersion": lambda event, version: "version" in event and event["version"] <= version,
    "data": lambda event, conditions: all(holds(event.get("data"), one) for one in conditions),
    "metadata": lambda event, conditions: all(holds(event.get("metadata"), one) for one in conditions),
    "and": lambda event, filters: all(means(one, event) for one in filters),
    "or": lambda event, filters: any(means(one, event) for one in filters),
    "not": lambda event, filter: not means(filter, event),
}


def means(filter: Mapping[str, Any], event: EventDocument) -> bool:
    """Whether the filter, as a client writes it, matches the event."""
    return all(MEANING[name](event, value) for name, value in filter.items())


def like(pattern: str, text: str) -> bool:
    """Whether the text fits a pattern in which only `*` is special."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def holds(content: Any, condition: Mapping[str, Any]) -> bool:
    """Whether the content of an event meets the condition; there must be no keys with dots and no lists of objects."""
    there, value = True, content
    for key in condition["path"].split(".") if condition["path"] else []:
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            there = there and isinstance(value, dict) and key in value
            value = value[key] if isinstance(value, dict) and key in value else None
    values = [*value, value] if isinstance(value, list) else [value]
    tests = {name: operand for name, operand in condition.items() if name in TESTS}
    return (
        any(all(TESTS[name](one, operand) for name, operand in tests.items()) for one in values)
        and ("ne" not in condition or condition["ne"] not in values)
        and ("exists" not in condition or there is condition["exists"])
    )


TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda value, operand: bool(value == operand),
    "in": lambda value, operand: value in operand,
    "gt": lambda value, operand: comparable(value, operand) and value > operand,
    "gte": lambda value, operand: comparable(value, operand) and value >= operand,
    "lt": lambda value, operand: comparable(value, operand) and value < operand,
    "lte": lambda value, operand: comparable(value, operand) and value <= operand,
    "startsWith": lambda value, operand: isinstance(value, str) and value.startswith(operand),
    "contains": lambda value, operand: isinstance(value, str) and operand in value,
}


def comparable(value: Any, operand: Any) -> bool:
    """Whether both are texts or both numbers."""
    return isinstance(value, str) == isinstance(operand, str) and not isinstance(value, list | dict | None)


def whole(unit: int) -> st.SearchStrategy[str]:
    """Times in that month, in whole units."""
    return st.integers(START // unit, START // unit + 31 * moment.DAY // unit).map(lambda n: moment.to_text(n * unit))


# also some that cut no hour or no minute, and days alone
times = st.one_of(whole(1), whole(moment.MINUTE), whole(moment.HOUR), whole(moment.DAY).map(lambda text: text[:10]))
types = st.sampled_from(
    ["user.*", "*.deleted", "*", "user.created", "vendor.*.updated", "us*ted", "session.*", "nothing", ".*", "user..*"]
)
aggregate_types = st.sampled_from(["user", "vendor", "file", "nothing"])
aggregate_ids = st.sampled_from([*IDS["user"][:3], *IDS["file"], "nothing"])
some = {"min_size": 0, "max_size": 3}

numbers = st.integers(-1, 301) | st.floats(0, 300).map(lambda n: round(n, 1))
words = st.sampled_from(["Ada", "Grace", "größe", "", "a", "G", "192.0.2.1", "."])
conditions = st.fixed_dictionaries(
    {
        "path": st.sampled_from(
            ["n", "name", "nested", "nested.list", "nested.list.1", "ip", "source", "nowhere.at.all"]
        )
    },
    optional={
        "eq": numbers | words | st.none() | st.just([1, 2.5, None]) | st.just({"list": [1, 2.5, None]}),
        "ne": numbers | words | st.none(),
        "in": st.lists(numbers | words, max_size=3),
        "gt": numbers | words,
        "gte": numbers | words,
        "lt": numbers | words,
        "lte": numbers | words,
        "exists": st.booleans(),
        "startsWith": words,
        "contains": words,
    },
).filter(lambda condition: len(condition) > 1)

FIELDS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "data": st.lists(conditions, max_size=2),
    "metadata": st.lists(conditions, max_size=2),
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
    "beforeTimestamp": times,
    "fromPosition": st.integers(-5, 310),
    "toPosition": st.integers(-5, 310),
    "fromVersion": st.integers(-1, 20),
    "toVersion": st.integers(-1, 20),
}
own = st.lists(st.sampled_from(list(FIELDS)), max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)
filters: Final = st.recursive(
    own,
    lambda parts: st.fixed_dictionaries(
        {},
        optional={"and": st.lists(parts, max_size=2), "or": st.lists(parts, max_size=2), "not": parts, "userId": words},
    ),
    max_leaves=4,
)
