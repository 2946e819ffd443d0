"""What the doctor reports about the log and the clocks, from facts about them. No I/O."""

from dataclasses import replace

import pytest

from eventscope.doctor import log_checks
from eventscope.doctor.finding import Level
from eventscope.store.stats.claims import Claims
from eventscope.subscriptions.ingest.lag import Lag
from tests.doctor.support.facts import BROKEN, CHECKPOINT, NOTE, OK, WARNING, WRONG


def test_a_missing_ingester_is_reported() -> None:
    assert log_checks.ingester(replace(CHECKPOINT, lease_held=False)).level == BROKEN
    assert log_checks.ingester(replace(CHECKPOINT, lease_held=False, term=0)).level == WARNING


@pytest.mark.parametrize(
    ("lag", "level"), [(None, NOTE), (Lag(0, 0.0), OK), (Lag(500, 9.9), OK), (Lag(1, 10.1), WARNING)]
)
def test_a_log_that_lags_behind_is_found(lag: Lag | None, level: Level) -> None:
    assert log_checks.lag(lag).level == level


def test_a_reset_of_the_stream_is_noted() -> None:
    assert log_checks.source(replace(CHECKPOINT, source_resets=2)).level == NOTE


@pytest.mark.parametrize(
    ("differing", "said"),
    [
        ({"user": 412}, "412 user events claim versions"),
        ({"user": 1}, "1 user event claims a version"),
        ({"user": 12, "order": 1}, "12 user events and 1 order event claim versions"),
        ({f"t{n}": 50 - n for n in range(12)}, "41 t9 events and 79 events of 2 other aggregate types claim versions"),
        ({"x" * 1024: 2}, f"2 {'x' * 60} events claim versions"),
    ],
)
def test_claims_that_differ_from_the_log_are_reported_by_aggregate_type(differing: dict[str, int], said: str) -> None:
    finding = log_checks.claims(Claims(1000, differing))
    assert finding.level == NOTE
    assert finding.found.startswith("of the newest 1,000 events, ")
    assert f"{said} that the log does not give: a publisher counts in its own memory" in finding.found


def test_rejected_messages_are_reported_by_code() -> None:
    finding = log_checks.rejected({"INVALID_JSON": 2, "ID_REUSED": 1})
    assert (finding.level, finding.found) == (WARNING, "INVALID_JSON 2, ID_REUSED 1")
    assert "eventscope rejected list" in finding.advice


@pytest.mark.parametrize(
    ("ahead", "level"),
    [
        ({}, NOTE),
        ({"NATS": None}, NOTE),
        ({"MongoDB": (0.9, 0.0), "NATS": None}, OK),
        ({"MongoDB": (1.1, 0.0)}, WARNING),
        ({"MongoDB": (-1.1, 0.0)}, WARNING),
        ({"MongoDB": (1.1, 0.2)}, OK),
        ({"MongoDB": (0.6, 0.0), "NATS": (-0.6, 0.0)}, WARNING),
    ],
)
def test_clocks_may_be_at_most_a_second_apart(ahead: dict[str, tuple[float, float] | None], level: Level) -> None:
    assert log_checks.clocks(ahead).level == level


def test_wrong_counts_are_named_with_the_command_that_repairs_them() -> None:
    finding = log_checks.counts(WRONG)
    assert finding.level == WARNING
    assert finding.found.startswith(
        r"aggregates of type 'type 0\n': n is 12, should be 0; aggregates of type 'type 1\n': "
    )
    assert finding.found.endswith("; and 2 more of a sample")
    assert "eventscope recount" in finding.advice


@pytest.mark.parametrize(("seconds", "level"), [(60.0, WARNING), (60.1, BROKEN), (-61.0, BROKEN), (86_400.0, BROKEN)])
def test_clocks_that_are_more_than_a_minute_apart_stop_housekeeping(seconds: float, level: Level) -> None:
    finding = log_checks.clocks({"MongoDB": (seconds, 0.0), "NATS": (0.0, 0.0)})
    assert finding.level == level
    assert ("are not removed" in finding.found) == (level == BROKEN)


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("00042", WARNING),
        ("6e8bc430-9c3a-11d9-9669-0800200c9a66", WARNING),
        ("01HV6Z3K9QJ2N", OK),
        ("5f2b8c9d0e1f2a3b4c5d6e7f", WARNING),
        ("v2", OK),
        ("created", OK),
        ("defacedfacadedeed", OK),
    ],
)
def test_types_with_ids_in_them_are_found(word: str, level: Level) -> None:
    assert log_checks.types([f"order{n}.{word}.placed" for n in range(10)]).level == level
    assert log_checks.types([f"order{n}.{word}.placed" for n in range(9)]).level == OK


def test_many_types_are_found() -> None:
    assert log_checks.types([f"a{n}" for n in range(1000)]).level == OK
    assert log_checks.types([f"a{n}" for n in range(1001)]).level == WARNING
