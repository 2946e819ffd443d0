"""Types of events and the subjects they travel on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.errors import BadInput
from eventscope.subscriptions.nats.subjects import covers, merge_patterns, prefix_of, subject_of, type_of

words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters=".*>"), min_size=1, max_size=8
)
dotted = st.lists(words, min_size=1, max_size=4).map(".".join)
wild = st.builds(
    lambda before, middle, rest: ".".join([*before, *middle, *rest]),
    st.lists(words, max_size=2),
    st.lists(st.just("*") | words, max_size=3),
    st.sampled_from([["*"], [">"]]),
)


@pytest.mark.parametrize(
    ("type", "subjects", "subject"),
    [
        ("user.created", ["events.>"], "events.user.created"),
        ("user.created", ["shop.eu.>"], "shop.eu.user.created"),
        ("user.created", ["orders.*", "people.>"], "people.user.created"),
        ("user.created", ["events.*.created"], "events.user.created"),
        ("user.created", ["user.deleted", "user.created"], "user.created"),
        ("user.created", ["inbox"], "inbox"),
        ("user.created", [">"], "user.created"),
    ],
)
def test_an_event_is_published_on_the_first_subject_that_fits_its_type(
    type: str, subjects: list[str], subject: str
) -> None:
    assert subject_of(type, subjects) == subject


@pytest.mark.parametrize(
    ("subject", "subjects", "type"),
    [
        ("events.user.created", ["events.>"], "user.created"),
        ("a.b.c", ["x.>", "a.>"], "b.c"),
        ("inbox", ["inbox"], None),
        ("elsewhere.user.created", ["events.>"], None),
        ("events", ["events.>"], None),
    ],
)
def test_a_subject_names_the_type_after_the_first_words_of_its_pattern(
    subject: str, subjects: list[str], type: str | None
) -> None:
    assert type_of(subject, subjects) == type


@given(dotted, st.lists(wild | dotted, min_size=1, max_size=4))
def test_a_type_follows_from_its_subject(type: str, subjects: list[str]) -> None:
    try:
        subject = subject_of(type, subjects)
    except BadInput:
        assert all(prefix_of(pattern) is not None for pattern in subjects)
        return
    assert any(covers(pattern, subject) for pattern in subjects)
    if subject not in subjects:  # with a subject without a wildcard, the message must name the type
        assert type_of(subject, subjects) == type


@given(dotted, words)
def test_a_type_always_follows_from_a_pattern_that_matches_everything(type: str, first: str) -> None:
    assert type_of(subject_of(type, [f"{first}.>"]), [f"{first}.>"]) == type


@pytest.mark.parametrize("type", ["", " ", "a b", "a..b", ".a", "a.", "a.*", ">", "a\nb", "x" * 1025])
def test_what_is_not_a_subject_is_not_a_type(type: str) -> None:
    with pytest.raises(BadInput, match="is not words joined by dots"):
        subject_of(type, ["events.>"])


def test_a_type_that_fits_no_subject_is_refused() -> None:
    with pytest.raises(BadInput, match=r"'user.created' fits none of the subjects orders\.\*"):
        subject_of("user.created", ["orders.*"])


def test_a_subject_on_which_the_server_would_disconnect_is_refused() -> None:
    with pytest.raises(BadInput, match="give the event a shorter type"):
        subject_of("é" * 1024, ["events.>"])


@pytest.mark.parametrize(
    ("wide", "narrow", "does"),
    [
        ("a.>", "a.b", True),
        ("a.>", "a", False),
        ("a.>", "a.>", True),
        ("a.>", "a.*.c", True),
        ("a.*", "a.>", False),
        ("a.*", "a.*", True),
        ("a.*", "a.b.c", False),
        ("a.*.c", "a.b.c", True),
        ("a.b", "a.*", False),
        (">", "a", True),
    ],
)
def test_a_pattern_covers_another_if_it_matches_everything_the_other_matches(
    wide: str, narrow: str, does: bool
) -> None:
    assert covers(wide, narrow) is does


def test_merged_patterns_lose_nothing_and_do_not_overlap_needlessly() -> None:
    assert merge_patterns(["a.>", "b"], ["b", "a.x", "c.*"]) == ["a.>", "b", "c.*"]
    assert merge_patterns(["a.x.>", "b"], ["a.>"]) == ["b", "a.>"]
