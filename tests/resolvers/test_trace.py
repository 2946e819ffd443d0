"""Trees of causes: every event once, below its cause, whatever causes the events name."""

from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.errors import BadInput, PageTooLarge
from eventscope.resolvers.trace import MOST, CauseNode, size, tree
from eventscope.store.events.links import Cause
from eventscope.store.values.documents import EventDocument


def event(position: int, cause: str | None = None, at: int | None = None) -> EventDocument:
    fields: dict[str, Any] = {"_id": position, "messageId": f"e{position}", "correlationId": "c"}
    if cause is not None:
        fields["causationId"] = cause
    return cast("EventDocument", fields | {"timestamp": position * 1000 if at is None else at})


def drawn(nodes: list[CauseNode]) -> list[str]:
    return ["  " * node.depth + node.event["messageId"] for node in nodes]


def statuses(nodes: list[CauseNode]) -> dict[str, str]:
    return {node.event["messageId"]: node.cause_status for node in nodes}


def test_each_event_is_below_its_cause_and_siblings_are_in_log_order() -> None:
    events = [event(1), event(2, "e1"), event(3), event(4, "e2"), event(5, "e1"), event(6, "e3"), event(7, "e2")]
    nodes = tree(events, {})
    assert drawn(nodes) == ["e1", "  e2", "    e4", "    e7", "  e5", "e3", "  e6"]
    assert [node.parent_index for node in nodes] == [None, 0, 1, 1, 0, None, 5]
    assert [node.effect_count for node in nodes] == [2, 2, 0, 0, 0, 1, 0]


def test_an_effect_that_was_stored_before_its_cause_is_below_it() -> None:
    assert drawn(tree([event(1, "e2"), event(2)], {})) == ["e2", "  e1"]


def test_the_time_from_cause_to_effect_is_negative_if_clocks_disagree() -> None:
    nodes = tree([event(1, at=5_000), event(2, "e1", at=6_500), event(3, "e1", at=4_000)], {})
    assert [node.cause_millis for node in nodes] == [None, 1.5, -1.0]


def test_a_cause_outside_the_trace_is_described_by_where_it_is() -> None:
    known = {"other": Cause("elsewhere", 1_000), "loner": Cause(None, 2_000), "earlier": Cause("c", 3_000)}
    nodes = tree([event(5), *(event(n, id) for n, id in enumerate(["other", "loner", "earlier", "gone"], 6))], known)
    assert list(statuses(nodes).values()) == ["ROOT", "ELSEWHERE", "ELSEWHERE", "OTHER_PAGE", "MISSING"]
    assert [node.cause_millis for node in nodes] == [None, 5.0, 5.0, 5.0, None]


def test_a_cycle_is_cut_at_its_first_event() -> None:
    nodes = tree([event(1, "e4"), event(2, "e4"), event(3, "e2"), event(4, "e3")], {})
    assert drawn(nodes) == ["e2", "  e3", "    e4", "      e1"]
    assert statuses(nodes) == {"e2": "CYCLE", "e3": "IN_TRACE", "e4": "IN_TRACE", "e1": "IN_TRACE"}


def test_an_event_that_claims_to_have_caused_itself_is_a_cycle() -> None:
    nodes = tree([event(1, "e1"), event(2, "e1")], {})
    assert drawn(nodes) == ["e1", "  e2"]
    assert statuses(nodes) == {"e1": "CYCLE", "e2": "IN_TRACE"}


@pytest.mark.parametrize("closed", [False, True], ids=["a chain", "a circle"])
def test_causes_may_be_10000_deep(closed: bool) -> None:
    first = event(1, f"e{MOST}" if closed else None)
    nodes = tree([first, *(event(n, f"e{n - 1}") for n in range(2, MOST + 1))], {})
    assert [node.depth for node in nodes] == list(range(MOST))
    assert nodes[0].cause_status == ("CYCLE" if closed else "ROOT")


@given(st.lists(st.none() | st.integers(1, 24), max_size=24))
@settings(max_examples=400)
def test_every_event_is_in_the_tree_once_after_its_cause_and_each_cycle_is_cut_once(causes: list[int | None]) -> None:
    events = [event(n, None if cause is None else f"e{cause}") for n, cause in enumerate(causes, 1)]
    ids = {e["messageId"] for e in events}

    nodes = tree(events, {})

    assert sorted(node.event["_id"] for node in nodes) == [e["_id"] for e in events]
    for index, node in enumerate(nodes):
        assert node.index == index
        cause = node.event.get("causationId")
        if node.parent is not None:
            assert (node.cause_status, node.parent_id) == ("IN_TRACE", cause)
            assert node.depth == node.parent.depth + 1
            # depth first: everything between a cause and its effect is below the cause
            assert all(one.depth > node.parent.depth for one in nodes[node.parent.index + 1 : index + 1])
        else:
            assert node.depth == 0
            assert node.cause_status == ("ROOT" if cause is None else "CYCLE" if cause in ids else "MISSING")
        assert [one.event["_id"] for one in node.effects] == sorted(
            one.event["_id"] for one in nodes if one.parent is node
        )
    assert {n.event["_id"] for n in nodes if n.cause_status == "CYCLE"} == first_of_circles(causes)


def first_of_circles(causes: list[int | None]) -> set[int]:
    def ahead(n: int, steps: int) -> int | None:
        at: int | None = n
        for _ in range(steps):
            at = None if at is None or at > len(causes) else causes[at - 1]
        return at

    numbers = range(1, len(causes) + 1)
    circles = {frozenset(ahead(n, s) for s in range(k)) for n in numbers for k in range(1, 25) if ahead(n, k) == n}
    return {min(n for n in circle if n is not None) for circle in circles}


def test_a_trace_has_up_to_10000_events() -> None:
    assert (size(None), size(1), size(MOST)) == (MOST, 1, MOST)
    with pytest.raises(PageTooLarge):
        size(MOST + 1)
    with pytest.raises(BadInput):
        size(0)
