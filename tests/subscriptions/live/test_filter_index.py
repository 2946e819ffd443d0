"""The index of filters finds exactly those that match an event, whichever filters are added and removed."""

from typing import Any, cast, get_args

from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.filters.filter import (
    EVERYTHING,
    NOTHING,
    All,
    Among,
    Any_,
    Between,
    Exists,
    Field,
    Filter,
    Holds,
    Ids,
    Not,
    TypePatterns,
    matcher,
)
from eventscope.store.filters.inspection import Inspection
from eventscope.store.filters.paths import Compares, Equals, Path
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.live import filter_index
from eventscope.subscriptions.live.filter_index import ORDER, FilterIndex, keys

FIELDS = get_args(Field)
words = st.sampled_from(["a", "b", "c", "user"])
some = st.lists(words, max_size=3).map(tuple)
leaves: st.SearchStrategy[Filter] = st.one_of(
    some.map(Ids),
    st.lists(st.sampled_from(["a", "b", "c", "user", "us*", "*"]), max_size=3).map(tuple).map(TypePatterns),
    st.builds(Among, st.sampled_from(FIELDS), some),
    st.builds(Between, st.just("position"), st.none() | st.integers(0, 5), st.none() | st.integers(0, 5)),
    st.just(Holds(Path("data", ("n",)), (Equals((1,)),))),
    st.just(Exists(Path("data", ("n",)))),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple).map(All),
        st.lists(inner, max_size=4).map(tuple).map(Any_),
        inner.map(Not),
    ),
    max_leaves=8,
)
events = st.fixed_dictionaries(
    {"_id": st.integers(0, 5), "messageId": words, "type": words},
    optional={**dict.fromkeys(FIELDS, words), "data": st.fixed_dictionaries({}, optional={"n": st.integers(0, 1)})},
)


@given(st.lists(filters, max_size=12), st.lists(events, min_size=1, max_size=6), st.sets(st.integers(0, 11)))
def test_it_finds_exactly_the_filters_that_match_the_event(
    given: list[Filter], happened: list[dict[str, Any]], leaving: set[int]
) -> None:
    found: FilterIndex[int] = FilterIndex()
    for number, filter in enumerate(given):
        found.add(number, filter)
    for number in leaving & set(range(len(given))):
        found.remove(number)
    staying = [number for number in range(len(given)) if number not in leaving]
    assert len(found) == len(staying)
    for one in happened:
        event = cast("EventDocument", one)
        matching = [number for some in found.matching(event) for number in some.certain]
        assert sorted(matching) == [number for number in staying if matcher(given[number])(Inspection(event))]


@given(st.lists(filters, max_size=8))
def test_nothing_is_left_of_removed_filters(given: list[Filter]) -> None:
    found: FilterIndex[int] = FilterIndex()
    for number, filter in enumerate(given):
        found.add(number, filter)
    for number in range(len(given)):
        found.remove(number)
    assert (len(found), found._by_key, found._others) == (0, {}, {})


def test_every_field_that_a_filter_can_name_has_a_rank_among_the_keys() -> None:
    """One without a rank would fail only when a live subscription filters by it."""
    assert set(FIELDS) <= set(ORDER)
    assert [keys(All((Among(field, ("a",)),))) for field in FIELDS] == [frozenset({(field, "a")}) for field in FIELDS]


def test_a_filter_for_an_aggregate_is_entered_under_its_name_and_nothing_coarser() -> None:
    type, id = Among("aggregateType", ("user",)), Among("aggregateId", ("1", "2"))
    named = frozenset({("aggregate", "user", "1"), ("aggregate", "user", "2")})
    assert keys(All((TypePatterns(("user.*",)), type, id))) == named
    assert keys(All((type, TypePatterns(("user.created",))))) == frozenset({("type", "user.created")})
    assert keys(All((type, Among("correlationId", ("c",))))) == frozenset({("correlationId", "c")})
    assert keys(All((id, Ids(("m",))))) == frozenset({("messageId", "m")})
    assert keys(Any_((All((type, id)), Ids(("m",))))) == named | {("messageId", "m")}
    assert keys(NOTHING) == frozenset()


def test_a_filter_without_a_key_is_tested_on_every_event() -> None:
    for filter in (
        EVERYTHING,
        TypePatterns(("user.*",)),
        Not(Ids(("m",))),
        Any_((Ids(("m",)), TypePatterns(("*",)))),
        Ids(tuple(f"m{n}" for n in range(filter_index.MOST_KEYS + 1))),
    ):
        assert keys(filter) is None


def test_a_filter_that_takes_too_long_to_test_is_set_apart_and_the_others_are_still_tested() -> None:
    found: FilterIndex[str] = FilterIndex()
    heavy = Holds(Path("data", ("l",)), tuple(Compares("gt", n) for n in range(50)))
    found.add("heavy", Not(heavy))
    found.add("also heavy", All((TypePatterns(("a*",)), heavy)))
    found.add("other type", All((TypePatterns(("b*",)), heavy)))
    found.add("light", Holds(Path("data", ("l",)), (Equals((7,)),)))
    found.add("all", EVERYTHING)
    event = cast("EventDocument", {"_id": 1, "messageId": "m", "type": "a.b", "data": {"l": list(range(10_000))}})
    parts = list(found.matching(event))
    assert sorted(name for part in parts for name in part.certain) == ["all", "light"]
    assert sorted(name for part in parts for name in part.unclear) == ["also heavy", "heavy"]


def test_many_filters_are_tested_in_parts_between_which_other_tasks_get_their_turn() -> None:
    found: FilterIndex[int] = FilterIndex()
    count = 3 * filter_index.TURN // filter_index.ENTRY
    for number in range(count):
        found.add(number, EVERYTHING)
    parts = list(found.matching(cast("EventDocument", {"_id": 1, "messageId": "m", "type": "a.b"})))
    assert [number for part in parts for number in part.certain] == list(range(count))
    assert max(len(part.certain) for part in parts) <= filter_index.TURN // filter_index.ENTRY + 1


def test_filters_may_come_and_go_while_others_are_tested() -> None:
    found: FilterIndex[int] = FilterIndex()
    count = 3 * filter_index.TURN // filter_index.ENTRY
    for number in range(count):
        found.add(number, EVERYTHING)
    parts = found.matching(cast("EventDocument", {"_id": 1, "messageId": "m", "type": "a.b"}))
    seen = len(next(parts).certain)
    for number in range(count):
        found.remove(number)
    found.add(count, EVERYTHING)
    assert seen + sum(len(part.certain) for part in parts) == count


def test_many_filters_with_hundreds_of_patterns_each_are_all_tested() -> None:
    """Patterns count by their pieces: none of these filters reaches the limit, in whatever order they are tested."""
    index = FilterIndex[int]()
    for number in range(100):
        index.add(number, TypePatterns(tuple(f"*s{number}.{n}.*" for n in range(300))))
    for type in ("s7.250.done", "a.s7.250.", "no." * 80 + "such"):
        found = list(index.matching(cast("EventDocument", {"_id": 1, "messageId": "m", "type": type, "timestamp": 0})))
        assert [one for part in found for one in part.unclear] == []
        assert [one for part in found for one in part.certain] == ([7] if "s7" in type else [])
