"""Filters in MongoDB's form. What a caller passes is only ever a value here, never an operator."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, assert_never

from bson import Regex

from eventscope.store.filters.filter import (
    KEYS,
    All,
    Among,
    Any_,
    Between,
    Exists,
    Filter,
    Holds,
    Ids,
    Not,
    TypePatterns,
    conditions,
    is_pattern,
    pattern_regex,
)
from eventscope.store.filters.mongo_paths import exists, holds
from eventscope.store.mongo.driver import Document
from eventscope.store.values import moment

NEVER: Final[Document] = {"_id": {"$in": []}}


def query(filter: Filter, *more: Document) -> Document:
    """The filter and further conditions as one MongoDB query."""
    parts = [_condition(leaf) for leaf in conditions(filter)] + list(more)
    match parts:
        case []:
            return {}
        case [only]:
            return only
        case _:
            return {"$and": parts}


def unexpired(now: int) -> Document:
    """Matches what has not expired: expiry is exact (I7), although MongoDB's TTL task may delete minutes later.

    `$not $lte` is also true where there is no `expireAt`, and unlike `$or` does not influence the choice of index.
    """
    return {"expireAt": {"$not": {"$lte": bson_date(now)}}}


def bson_date(now: int) -> datetime:
    """A moment in the driver's form of dates: naive, in UTC."""
    return moment.to_datetime(now).replace(tzinfo=None)


def _condition(filter: Filter) -> Document:
    match filter:
        case Ids(ids):
            return {"messageId": _one_of(list(ids))}
        case TypePatterns(patterns):
            return {"type": one_of_types(patterns)}
        case Among(field, values):
            return {field: _one_of(list(values))}
        case Between(measure, low, high):
            ends = {"$gte": low, "$lte": high}
            bounds = {operator: end for operator, end in ends.items() if end is not None}
            return {KEYS[measure]: bounds or {"$exists": True}}
        case All():
            return query(filter)
        case Any_(filters):
            return {"$or": [query(way) for way in filters]} if filters else NEVER
        case Not(inner):
            return {"$nor": [query(inner)]}
        case Holds(path, tests):
            return holds(path, tests)
        case Exists(path):
            return exists(path)
        case _:
            assert_never(filter)


def one_of_types(patterns: Sequence[str]) -> Any:
    """Matches a type that fits one of the patterns.

    An index leads to a pattern's literal prefix, but not in the order of positions.
    """
    return _one_of([Regex(pattern_regex(p), "s") if is_pattern(p) else p for p in patterns])


def _one_of(values: list[Any]) -> Any:
    if len(values) == 1 and isinstance(values[0], Regex):
        return values[0]
    # with equality, the index has the events in order of position; $in has to merge
    return {"$eq": values[0]} if len(values) == 1 else {"$in": values}
