"""Moments: whole microseconds inside, RFC 3339 outside, with no loss between the two."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.filters.mongo import bson_date
from eventscope.store.values import moment
from eventscope.store.values.moment import HOUR, Day

FIRST, LAST = moment.of(datetime.min.replace(tzinfo=UTC)), moment.of(datetime.max.replace(tzinfo=UTC))
ANY = st.integers(FIRST, LAST)


@given(ANY)
def test_a_moment_written_as_text_is_parsed_as_the_same_moment(at: int) -> None:
    assert moment.from_text(moment.to_text(at)) == at


@given(ANY)
def test_what_is_converted_to_a_time_is_the_same_moment(at: int) -> None:
    assert moment.of(moment.to_datetime(at)) == at
    assert moment.of(bson_date(at).replace(tzinfo=UTC)) == at


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_a_time_in_any_zone_is_one_moment(naive: datetime, zone: timezone) -> None:
    there = naive.replace(tzinfo=zone)
    assert moment.to_datetime(moment.of(there)) == there
    assert moment.from_text(there.isoformat()) == moment.of(there)


@given(ANY, ANY)
def test_times_as_text_in_utc_sort_like_their_moments_within_a_second(one: int, other: int) -> None:
    assert (moment.to_text(one)[:19] <= moment.to_text(other)[:19]) == (one // 1_000_000 <= other // 1_000_000)


@given(ANY)
def test_the_hour_of_a_moment_is_the_start_of_that_hour(at: int) -> None:
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
def test_an_invalid_time_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time like 2026-11-23T07:00:00Z") as refusal:
        moment.from_text(text)
    assert repr(text[:60]) in str(refusal.value)


@pytest.mark.parametrize("text", ["2026-11-23+02:00", "2026-11-23-05:00", "20261123+02", "2026-11-23/12", "2026W47+02"])
def test_a_day_with_a_zone_is_not_a_time_on_that_day(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time like"):
        moment.from_text(text)


@pytest.mark.parametrize("text", ["2026-11-23", "20261123", "2026-W48-1", "2026W481"])
def test_a_day_alone_is_recognized_as_one(text: str) -> None:
    day = moment.from_argument(text)
    assert isinstance(day, Day)
    assert moment.to_text(day) == "2026-11-23T00:00:00Z"
    assert moment.ends(day, day, None) == (day, moment.from_text("2026-11-23T23:59:59.999999Z"))
    assert moment.ends(None, day, day) == (None, day - 1)
    assert moment.ends(None, moment.from_argument(f"{text}T00:00"), None) == (None, day)


@pytest.mark.parametrize("text", ["2026", "2026-11", "202611", "2026-W48", "2026W48", "", "2026-11-23T"])
def test_a_year_a_month_or_a_week_is_not_a_day(text: str) -> None:
    with pytest.raises(ValueError, match="or a day like 2026-11-23"):
        moment.from_argument(text)


def test_the_last_possible_day_ends_at_the_last_possible_moment() -> None:
    assert moment.ends(None, moment.from_argument("9999-12-31"), None) == (None, LAST)
    assert moment.ends(moment.from_argument("0001-01-01"), None, None) == (FIRST, None)


@given(st.text())
def test_any_other_text_is_a_time_or_raises_a_value_error(text: str) -> None:
    try:
        at = moment.from_text(text)
    except ValueError:
        return
    assert FIRST <= at <= LAST


def test_the_present_moment_lies_between_earlier_and_later_ones() -> None:
    before = datetime.now(UTC)
    now = moment.to_datetime(moment.now())
    assert before <= now <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-23t07:00:00z", "2026-11-23T07:00:00Z"),
        ("2026-11-23T07:00:00.5z", "2026-11-23T07:00:00.5Z"),
        ("2026-11-23T24:00:00Z", "2026-11-24T00:00:00Z"),
        ("2026-12-31t24:00:00.000+01:00", "2026-12-31T23:00:00Z"),
        ("20261123T2400", "2026-11-24T00:00:00Z"),
    ],
)
def test_times_are_parsed_as_their_standards_allow(text: str, same: str) -> None:
    assert moment.from_text(text) == moment.from_text(same)


@pytest.mark.parametrize(
    "text", ["2026-11-23T24:00:01Z", "2026-11-23T25:00:00Z", "9999-12-31T24:00:00Z", "2026-11-23T23:59:60Z"]
)
def test_no_other_hour_after_the_end_of_the_day_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        moment.from_text(text)
