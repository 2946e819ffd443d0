"""Filters: MongoDB, live delivery and plain Python agree on which events match, on a log of random events."""

import re
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventscope.store.events import pages
from eventscope.store.filters.filter import (
    EVERYTHING,
    All,
    Filter,
    Not,
    TypePatterns,
    conditions,
    is_pattern,
    matcher,
    pattern_regex,
)
from eventscope.store.filters.inspection import Inspection
from eventscope.store.search_limits import SearchLimits
from eventscope.store.values.documents import EventDocument
from tests.store.support import filter_model as model
from tests.store.support.random_log import EVENT_TYPES, RandomLog, State, filters, moments, patterns


def positions(events: list[EventDocument]) -> list[int]:
    return [event["_id"] for event in events]


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_a_page_contains_exactly_the_events_that_match_in_either_direction(
    corpus: RandomLog, data: st.DataObject
) -> None:
    filter = data.draw(filters(corpus), "filter")
    state: State = data.draw(st.sampled_from(["whole", "tidied"]), "state")
    log = corpus.at(data.draw(moments(corpus), "now"), state)
    above, below = (data.draw(st.none() | st.integers(0, len(corpus.events) + 1), end) for end in ("above", "below"))
    newest_first = data.draw(st.booleans(), "newest first")
    limit = data.draw(st.integers(1, 60) | st.just(1000), "limit")

    found = corpus.ask(pages.events(log, filter, limit=limit, above=above, below=below, newest_first=newest_first))

    left = model.unexpired(corpus.events, corpus.clock.now)
    meant = [event for event in left if model.means(filter, event)]
    lively = matcher(filter)
    assert [event for event in left if lively(Inspection(event))] == meant, "live delivery means other events"
    inside = [p for p in positions(meant) if (above is None or p > above) and (below is None or p < below)]
    assert positions(found) == (inside[::-1] if newest_first else inside)[:limit]


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_patterns_that_match_too_many_types_to_list_mean_the_same(corpus: RandomLog, data: st.DataObject) -> None:
    limits = SearchLimits(
        most_names=data.draw(st.sampled_from([0, 1, 5]), "types that may be named"),
        most_types=data.draw(st.sampled_from([0, 3, 1000]), "types that may be looked at"),
        most_prefixes=data.draw(st.sampled_from([1, 8]), "prefixes that may be asked for"),
    )
    filter = All((data.draw(filters(corpus), "filter"), data.draw(_types(), "types")))
    log = corpus.at(data.draw(moments(corpus), "now"), data.draw(st.sampled_from(["whole", "tidied"]), "state"))
    log = replace(log, search=limits)
    newest_first = data.draw(st.booleans(), "newest first")
    limit = data.draw(st.integers(1, 60) | st.just(1000), "limit")

    found = corpus.ask(pages.events(log, filter, limit=limit, newest_first=newest_first))
    counted = corpus.ask(pages.count(log, filter))

    meant = [event["_id"] for event in model.unexpired(corpus.events, corpus.clock.now) if model.means(filter, event)]
    assert positions(found) == (meant[::-1] if newest_first else meant)[:limit]
    assert counted == len(meant)


def _types() -> st.SearchStrategy[Filter]:
    """Conditions on types, by patterns, and their negations."""
    some: st.SearchStrategy[Filter] = st.lists(patterns(), min_size=1, max_size=4).map(
        lambda all: TypePatterns(tuple(all))
    )
    return some | some.map(Not) | st.just(EVERYTHING)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_counting_gives_the_same_number_as_reading(corpus: RandomLog, data: st.DataObject) -> None:
    filter = data.draw(filters(corpus), "filter")
    state: State = data.draw(st.sampled_from(["whole", "tidied"]), "state")
    log = corpus.at(data.draw(moments(corpus), "now"), state)
    most = data.draw(st.none() | st.integers(1, 50), "most")

    counted = corpus.ask(pages.count(log, filter, most))

    meant = sum(model.means(filter, event) for event in model.unexpired(corpus.events, corpus.clock.now))
    assert counted == (meant if most is None else min(meant, most))


@given(pattern=patterns() | st.text(), text=st.sampled_from(EVENT_TYPES) | st.text())
@settings(max_examples=300, deadline=None)
@example("*created", "user.created\n")
@example("user.*", "user.\ncreated\n")
@example("*", "")
@example("a*b*c", "abc")
@example("a*a", "a")
@example("u.*", "user")
def test_a_star_stands_for_any_text_and_nothing_else_is_special(pattern: str, text: str) -> None:
    event: EventDocument = {"type": text}  # type: ignore[typeddict-item]  # a filter by type looks at nothing else
    assert matcher(TypePatterns((pattern,)))(Inspection(event)) == model.fits(pattern, text)


stars = st.lists(st.sampled_from(["", "a", "b", "ab", "aba", "\n", "."]), max_size=6).map("*".join)


@given(pattern=stars, text=st.text("ab\n.", max_size=12))
@settings(max_examples=500, deadline=None)
def test_a_pattern_and_its_regular_expression_mean_the_same(pattern: str, text: str) -> None:
    event: EventDocument = {"type": text}  # type: ignore[typeddict-item]  # a filter by type looks at nothing else
    assert matcher(TypePatterns((pattern,)))(Inspection(event)) == model.fits(pattern, text)
    if is_pattern(pattern):
        # Python and MongoDB write the end of a text differently
        expression = re.compile(pattern_regex(pattern).removesuffix(r"\z") + r"\Z", re.DOTALL)
        assert (expression.match(text) is not None) == model.fits(pattern, text)


def test_many_stars_take_no_longer_than_few() -> None:
    """A search with backtracking would try more ways than there are atoms."""
    pattern, text = "*a" * 200 + "*b", "a" * 1024
    event: EventDocument = {"type": text}  # type: ignore[typeddict-item]  # a filter by type looks at nothing else
    assert not matcher(TypePatterns((pattern,)))(Inspection(event))
    assert re.compile(pattern_regex(pattern).removesuffix(r"\z") + r"\Z", re.DOTALL).match(text) is None


def test_a_text_with_a_star_is_a_pattern() -> None:
    assert is_pattern("user.*")
    assert not is_pattern("user.created")


def test_a_filter_without_conditions_matches_everything(corpus: RandomLog) -> None:
    log = corpus.at(0, "whole")
    assert len(corpus.ask(pages.events(log, EVERYTHING, limit=10_000))) == len(corpus.events)


def test_nested_conditions_are_flattened() -> None:
    one, two, three = TypePatterns(("a",)), TypePatterns(("b",)), TypePatterns(("c",))
    nested: Filter = All((one, All((two, All(()), All((three,))))))
    assert conditions(nested) == [one, two, three]
