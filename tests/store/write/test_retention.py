"""Retention: the rule that fits a type best, and whole hours (I7)."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.values import moment
from eventscope.store.values.moment import DAY, HOUR
from eventscope.store.write.retention import MOST_CACHED, Retention
from tests.store.support.appender import NOON

RULES = Retention({"*": 30, "user.*": 14, "user.session.*": 2, "*.deleted": 60, "user.session.ended": 0, "tick": 0.5})


def test_of_the_patterns_that_match_the_most_specific_one_applies() -> None:
    assert {
        type: RULES.days_for(type)
        for type in (
            "vendor.created",
            "user.created",
            "user.session.started",
            "user.session.ended",
            "vendor.deleted",
            "user.deleted",
            "tick",
            "tick.tock",
        )
    } == {
        "vendor.created": 30,
        "user.created": 14,
        "user.session.started": 2,
        "user.session.ended": 0,
        "vendor.deleted": 60,
        "user.deleted": 60,
        "tick": 0.5,
        "tick.tock": 30,
    }


def test_an_exact_name_outranks_every_pattern_even_one_with_more_literal_characters() -> None:
    assert Retention({"a": 1, "a*": 2, "*a*": 3}).days_for("a") == 1


def test_the_order_of_retention_rules_does_not_matter() -> None:
    backwards = Retention(dict(reversed(RULES.days.items())))
    for type in ("user.deleted", "user.session.deleted", "x", "tick"):
        assert backwards.days_for(type) == RULES.days_for(type)


def test_nothing_but_the_star_is_special_in_a_pattern() -> None:
    rules = Retention({"a.b": 1, "[x]*": 2})
    assert (rules.days_for("axb"), rules.days_for("x"), rules.days_for("[x]y\nz")) == (0, 0, 2)


def test_events_with_zero_days_or_without_a_rule_are_kept_for_ever() -> None:
    assert RULES.expire_at("user.session.ended", NOON) is None
    assert Retention({"user.*": 1}).expire_at("vendor.created", NOON) is None
    assert Retention({}).expire_at("vendor.created", NOON) is None


def test_an_event_expires_at_the_end_of_its_hour_of_recording_plus_its_days() -> None:
    noon = datetime(2100, 6, 15, 12)
    assert RULES.expire_at("user.created", NOON) == noon + timedelta(days=14)
    assert RULES.expire_at("user.created", NOON + 1) == noon + timedelta(days=14, hours=1)
    assert RULES.expire_at("user.created", NOON + HOUR - 1) == noon + timedelta(days=14, hours=1)
    assert RULES.expire_at("user.created", NOON + HOUR) == noon + timedelta(days=14, hours=1)
    # 2.4 hours from one o'clock on, and these up to the hour
    assert Retention({"*": 0.1}).expire_at("any", NOON + 1) == noon + timedelta(hours=4)


@given(
    st.integers(0, 4_000_000_000_000_000),
    st.floats(1e-6, 36_500) | st.integers(1, 36_500),
)
def test_every_event_is_kept_for_its_days_and_at_most_two_more_hours(recorded_at: int, days: float) -> None:
    expiry = Retention({"*": days}).expire_at("any", recorded_at)
    assert expiry is not None
    at = moment.of(expiry.replace(tzinfo=UTC))
    assert at % HOUR == 0
    # a timedelta rounds to microseconds
    assert -1 <= at - recorded_at - days * DAY < 2 * HOUR


def test_rules_apply_to_any_number_of_types() -> None:
    rules = Retention({"*": 30, "user.*": 1})
    for n in range(MOST_CACHED + 10):
        assert rules.days_for(f"user.{n}") == 1
    assert rules.days_for("other") == 30
