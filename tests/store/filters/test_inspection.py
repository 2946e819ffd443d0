"""Inspecting an event: what a path reaches is found once, and work beyond the limit is not done."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.filters.filter import All, Exists, Filter, Holds, Not, TypePatterns, matcher, matching
from eventscope.store.filters.inspection import Inspection
from eventscope.store.filters.paths import Compares, Equals, Path, Reads
from eventscope.store.filters.step_limit import STEPS, TooManySteps
from eventscope.store.values.documents import EventDocument
from tests.store.support.json_values import parts_of, path_conditions


def of(data: Any, type: str = "a.b") -> EventDocument:
    return cast("EventDocument", {"_id": 1, "messageId": "m", "type": type, "data": data})


WIDE = [{"a": n} for n in range(40_000)]
HEAVY: list[tuple[str, Any, Filter]] = [
    ("values times tests", {"l": WIDE}, Holds(Path("data", ("l", "a")), tuple(Compares("gt", n) for n in range(5)))),
    (
        "values times conditions",
        {"l": WIDE},
        All(tuple(Not(Holds(Path("data", ("l", "a")), (Equals((-n,)),))) for n in range(1, 99))),
    ),
    (
        "paths that lead nowhere through a long list",
        {"l": WIDE},
        All(tuple(Not(Exists(Path("data", ("l", f"b{n}")))) for n in range(99))),
    ),
    (
        "lists in a list",
        [[n] for n in range(50_000)],
        Holds(Path("data", ()), (Equals(tuple([-n] for n in range(1, 101))),)),
    ),
    (
        "objects that differ in their last member",
        {"l": [{"a": 1, "b": {"c": n}} for n in range(10_000)]},
        Holds(Path("data", ("l",)), (Equals(tuple({"a": 1, "b": {"c": -n}} for n in range(1, 100))),)),
    ),
    (
        "long texts",
        {"t": ["x" * 1000] * 900},
        All(tuple(Not(Holds(Path("data", ("t",)), (Reads("contains", f"x{n}"),))) for n in range(99))),
    ),
]


@pytest.mark.parametrize(("data", "filter"), [case[1:] for case in HEAVY], ids=[case[0] for case in HEAVY])
def test_a_filter_that_would_take_too_long_is_abandoned(data: Any, filter: Filter) -> None:
    with pytest.raises(TooManySteps):
        matcher(filter)(Inspection(of(data)))


def test_so_are_many_type_patterns() -> None:
    patterns = TypePatterns(tuple(f"*x{n}" for n in range(STEPS + 1)))
    with pytest.raises(TooManySteps):
        matcher(patterns)(Inspection(of({})))
    assert matcher(TypePatterns((*patterns.patterns, "a.b")))(Inspection(of({}))), "an exact type needs no patterns"


def test_so_are_patterns_of_many_pieces_on_many_types_and_each_is_tried_once_per_type() -> None:
    patterns = TypePatterns(tuple(f"*{'a*' * 400}b{n}*" for n in range(25)))
    assert list(matching(matcher(patterns), [of({}, "a" * 1000)] * 5_000)) == []
    with pytest.raises(TooManySteps):
        list(matching(matcher(patterns), [of({}, f"{'a' * 990}{n}") for n in range(100)]))


def test_a_path_on_which_one_filter_ran_out_of_steps_is_not_tried_by_the_next() -> None:
    look = Inspection(of({"l": WIDE}), 10_000)
    path = Path("data", ("l", "a"))
    with pytest.raises(TooManySteps):
        look.values_at(path)
    look.steps = STEPS
    with pytest.raises(TooManySteps):
        look.values_at(path)
    assert look.steps == STEPS


def test_what_a_path_reaches_is_found_once_for_all_filters() -> None:
    look, holds = Inspection(of({"l": WIDE})), matcher(Holds(Path("data", ("l", "a")), (Equals((-1,)),)))
    assert not holds(look)
    first = STEPS - look.steps
    look.steps = STEPS
    assert not holds(look)
    assert STEPS - look.steps == len(WIDE) < first


def test_several_events_share_one_limit_of_steps() -> None:
    matches = matcher(Holds(Path("data", ("l", "a")), (Equals((-1,)),)))
    assert list(matching(matches, [of({"l": WIDE[:1000]})] * 10)) == []
    with pytest.raises(TooManySteps):
        list(matching(matches, [of({"l": WIDE})] * 10))


@given(st.data())
def test_a_result_within_the_limit_is_the_same_however_low_the_limit(data: st.DataObject) -> None:
    value = data.draw(st.recursive(st.none() | st.integers(0, 3) | st.sampled_from(["", "a", "ab"]), _nested))
    condition = data.draw(path_conditions(list(parts_of(value))))
    whole = matcher(condition)(Inspection(of(value)))
    try:
        assert matcher(condition)(Inspection(of(value), data.draw(st.integers(0, 30)))) is whole
    except TooManySteps:
        return


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0"]), inner, max_size=3)
