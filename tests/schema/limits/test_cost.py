"""How many entries an operation requests: sizes of lists, multiplied where a list is in a list, before execution."""

from typing import Any

import pytest
from graphql import parse

from eventscope.schema.build import build
from eventscope.schema.limits.cost import bills

SCHEMA = build()._schema
N = {"n": 7, "m": 11}


@pytest.mark.parametrize(
    ("query", "entries"),
    [
        ("{ log { head } }", 0),
        ("{ stats { totalEvents timeRange { earliest } } }", 1),
        ('{ event(id: "x") { id } }', 0),
        ('{ event(id: "x") { cause { cause { id } } } }', 2),
        ("{ events { nodes { id } } }", 50),
        ("{ events(first: null) { nodes { id } } }", 50),
        ("{ events(first: 0) { nodes { cause { id } } } }", 0),
        ("{ events(first: 20) { edges { cursor node { id } } pageInfo { endCursor } totalCount { exact } } }", 20),
        ("{ events(last: 20) { nodes { id } } replay(first: 30) { nodes { id } } }", 50),
        ("{ events(first: null, last: 20) { nodes { id } } }", 20),
        ("{ events(first: 20) { nodes { cause { id } aggregate { id } } } }", 60),
        ("{ events(first: 20) { nodes { id } edges { node { cause { id } } } } }", 40),
        ("{ events(first: 20) { nodes { effects(first: 5) { nodes { cause { id } } } } } }", 20 * (1 + 5 * 2)),
        ("{ a: events(first: 20) { nodes { id } } b: events(first: 20) { nodes { id } } }", 40),
        ("{ events(first: 20) { ... { nodes { ... on Event { cause { id } } } } } }", 40),
        ("{ ...F ...F } fragment F on Query { events(first: 20) { nodes { id } } }", 40),
        ("{ events { nodes { ...F } } } fragment F on Event { ...G ...G } fragment G on Event { cause { id } }", 150),
        ("query ($n: Int) { events(first: $n) { nodes { cause { id } } } }", 14),
        ("query ($n: Int, $m: Int) { events(first: $n) { nodes { related(first: $m) { nodes { id } } } } }", 7 * 12),
        ("query ($o: Int) { events(first: $o) { nodes { id } } }", 50),
        ("query ($o: Int = 3) { events(first: $o) { nodes { id } } }", 3),
        ("query ($n: Int, $o: Int) { events(first: $o, last: $n) { nodes { id } } }", 7),
        ("query ($n: Int) { ...F } fragment F on Query { events(first: $n) { nodes { id } } }", 7),
        ("{ events(first: 5) @skip(if: true) { nodes { id } } }", 5),
        ("{ __schema { types { fields { args { name } } } } __typename }", 0),
        ("subscription { events { ... on Event { cause { id } related(first: 9) { nodes { id } } } } }", 10),
    ],
)
def test_the_cost_of_an_operation_is_the_number_of_entries_it_requests(query: str, entries: int) -> None:
    [bill] = bills(SCHEMA, parse(query)).values()
    assert bill.of(N) == entries


@pytest.mark.parametrize("size", [1000, 1001, 2**31, -5, "5", True, [5], 5.5])
def test_a_size_that_no_page_can_have_is_refused_elsewhere(size: Any) -> None:
    """It counts as the largest page at most; a size that is no number counts as a page of default size."""
    [bill] = bills(SCHEMA, parse("query ($n: Int) { events(first: $n) { nodes { id } } }")).values()
    assert bill.of({"n": size}) <= 1000


def test_each_operation_has_its_own_cost() -> None:
    text = "query A { ...F } query B { log { head } } fragment F on Query { events(first: 9) { nodes { id } } }"
    found = bills(SCHEMA, parse(text))
    assert {name: bill.of(None) for name, bill in found.items()} == {"A": 9, "B": 0}


def test_a_cost_with_variables_is_computed_once_and_filled_in_for_each_request() -> None:
    """However large the document, only the lists whose sizes are variables are visited."""
    inner = " ".join(f"a{n}: cause {{ id }}" for n in range(20))
    [bill] = bills(SCHEMA, parse("query ($n: Int) { events(first: $n) { nodes { " + inner + " } } }")).values()
    assert bill.cost.own == 0
    [(_, each)] = bill.cost.lists
    assert (each.own, each.lists) == (21, ())
