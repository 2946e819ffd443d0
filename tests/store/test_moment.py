"""Moments: whole microseconds inside, RFC 3339 outside, and nothing is lost between the two."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.store import moment
from eventscope.store.moment import HOUR
from eventscope.store.query import bson_date

FIRST, LAST = moment.of(datetime.min.replace(tzinfo=UTC)), moment.of(datetime.max.replace(tzinfo=UTC))
ANY = st.integers(FIRST, LAST)


@given(ANY)
def test_what_is_written_as_text_is_read_as_the_same_moment(at: int) -> None:
    assert moment.from_text(moment.to_text(at)) == at


@given(ANY)
def test_what_is_made_a_time_is_the_same_moment(at: int) -> None:
    assert moment.of(moment.to_datetime(at)) == at
    assert moment.of(bson_date(at).replace(tzinfo=UTC)) == at


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_a_time_of_any_zone_is_one_moment(naive: datetime, zone: timezone) -> None:
    there = naive.replace(tzinfo=zone)
    assert moment.to_datetime(moment.of(there)) == there
    assert moment.from_text(there.isoformat()) == moment.of(there)


@given(ANY, ANY)
def test_text_in_utc_sorts_as_its_moments_do_within_a_second(one: int, other: int) -> None:
    assert (moment.to_text(one)[:19] <= moment.to_text(other)[:19]) == (one // 1_000_000 <= other // 1_000_000)


@given(ANY)
def test_the_hour_of_a_moment_is_its_beginning(at: int) -> None:
    hour = moment.hour_of(at)
    assert hour % HOUR == 0
    assert hour <= at < hour + HOUR


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-11-23T07:00:00Z", "2026-11-23T07:00:00Z"),
        ("2026-11-23T07:00:00.25Z", "2026-11-23T07:00:00.250000Z"),
        ("2026-11-23T07:00:00.123456Z", "2026-11-23T07:00:00.123456Z"),
        ("2026-11-23T07:00:00", "2026-11-23T07:00:00Z"),
        ("2026-11-23 07:00:00+01:30", "2026-11-23T05:30:00Z"),
        ("2026-11-23T07:00:00-12:00", "2026-11-23T19:00:00Z"),
        ("2026-11-23", "2026-11-23T00:00:00Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_read_as_people_and_programs_write_them(text: str, canonical: str) -> None:
    assert moment.to_text(moment.from_text(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-13-01T00:00:00Z", "2026-11-23T25:00:00Z", "1795417200", "0001-01-01T00:00:00+01:00", "9" * 500],
)
def test_what_is_no_time_is_refused_with_what_was_given(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time like 2026-11-23T07:00:00Z") as refusal:
        moment.from_text(text)
    assert repr(text[:60]) in str(refusal.value)


@given(st.text())
def test_any_other_text_is_refused_as_a_value_error_or_is_a_time(text: str) -> None:
    try:
        at = moment.from_text(text)
    except ValueError:
        return
    assert FIRST <= at <= LAST


def test_the_present_lies_between_before_and_after() -> None:
    before = datetime.now(UTC)
    now = moment.to_datetime(moment.now())
    assert before <= now <= datetime.now(UTC)
