"""Filters as MongoDB queries: what a caller passes is only ever a value, never an operator."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.filters.filter import EVERYTHING, All, Among, Filter, Ids, TypePatterns
from eventscope.store.filters.mongo import query

NASTY = st.text() | st.sampled_from(["$where", "$gt", "a.b", "", "*", "^.*$"])


def keys(value: Any) -> set[str]:
    """All keys, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    if isinstance(value, list):
        return set[str]().union(*map(keys, value))
    return set()


@given(st.lists(NASTY), st.lists(NASTY), st.lists(NASTY))
def test_text_from_a_caller_is_never_a_key(ids: list[str], types: list[str], users: list[str]) -> None:
    filter = All((Ids(tuple(ids)), All((TypePatterns(tuple(types)), Among("userId", tuple(users))))))
    assert keys(query(filter)) <= {"$and", "$eq", "$in", "messageId", "type", "userId"}


def test_without_conditions_the_query_matches_everything() -> None:
    assert query(EVERYTHING) == {}


def test_one_condition_needs_no_operator_around_it() -> None:
    nested: Filter = All((All(()), All((TypePatterns(("a",)),))))
    assert query(nested) == {"type": {"$eq": "a"}}
    assert query(EVERYTHING, {"_id": 1}) == {"_id": 1}
